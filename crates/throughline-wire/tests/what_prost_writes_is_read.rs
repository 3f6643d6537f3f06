//! Spans and requests that `prost` wrote are read as they were, and as JSON say the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the helpers serve several test files")]

mod common;

use common::{owned, owned_attributes, sanitised, span};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, TracesData};
use proptest::prelude::*;
use prost::Message;
use throughline_wire::{Malformed, SpanView, json, request};

proptest! {
    #[test]
    fn a_span(span in span()) {
        let bytes = span.encode_to_vec();
        prop_assert_eq!(owned(&SpanView::new(&bytes)), sanitised(span));
    }

    #[test]
    fn attribute_by_its_key(span in span()) {
        let bytes = span.encode_to_vec();
        let view = SpanView::new(&bytes);
        for attribute in &span.attributes {
            let last = span.attributes.iter().rfind(|other| other.key == attribute.key).unwrap();
            let found = view.attribute(&attribute.key).unwrap();
            prop_assert_eq!(Some(common::owned_value(&found)), last.value.clone());
        }
        prop_assert!(view.attribute("\0 no such key").is_none());
    }

    #[test]
    fn span_as_json(span in span()) {
        let mut text = String::new();
        json::write_span(&mut text, &SpanView::new(&span.encode_to_vec()));
        prop_assert_eq!(serde_json::from_str::<Span>(&text).unwrap(), span);
    }

    #[test]
    fn a_request(parts in prop::collection::vec(resource_spans(), 0..3)) {
        let request = ExportTraceServiceRequest { resource_spans: parts };
        let bytes = request.encode_to_vec();
        prop_assert_eq!(owned_request(&bytes).unwrap(), request.resource_spans.clone());

        let mut line = String::new();
        json::write_request(&mut line, &bytes).unwrap();
        prop_assert!(!line.contains('\n'));
        let data: TracesData = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(data.resource_spans, request.resource_spans);
    }
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource = (common::attributes(), any::<u32>()).prop_map(|(attributes, dropped_attributes_count)| Resource {
        attributes,
        dropped_attributes_count,
        entity_refs: Vec::new(),
    });
    let scopes = prop::collection::vec(scope_spans(), 0..3);
    (resource, scopes, common::text()).prop_map(|(resource, scope_spans, schema_url)| ResourceSpans {
        resource: Some(resource),
        scope_spans,
        schema_url,
    })
}

fn scope_spans() -> impl Strategy<Value = ScopeSpans> {
    let scope = (common::text(), common::text(), common::attributes(), any::<u32>()).prop_map(
        |(name, version, attributes, dropped_attributes_count)| InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count,
        },
    );
    let spans = prop::collection::vec(span().prop_map(sanitised), 0..2);
    (scope, spans, common::text()).prop_map(|(scope, spans, schema_url)| ScopeSpans {
        scope: Some(scope),
        spans,
        schema_url,
    })
}

fn owned_request(bytes: &[u8]) -> Result<Vec<ResourceSpans>, Malformed> {
    request::resource_spans(bytes)
        .map(|part| {
            let part = part?;
            let scope_spans: Result<_, Malformed> = part
                .scope_spans()
                .map(|scope| {
                    let scope = scope?;
                    let spans: Result<_, _> = scope.spans().map(|span| span.map(|span| owned(&span))).collect();
                    Ok(ScopeSpans {
                        scope: Some(InstrumentationScope {
                            name: scope.scope_name().into(),
                            version: scope.scope_version().into(),
                            attributes: owned_attributes(scope.scope_attributes()),
                            dropped_attributes_count: scope.scope_dropped_attributes_count(),
                        }),
                        spans: spans?,
                        schema_url: scope.schema_url().into(),
                    })
                })
                .collect();
            Ok(ResourceSpans {
                resource: Some(Resource {
                    attributes: owned_attributes(part.resource_attributes()),
                    dropped_attributes_count: part.resource_dropped_attributes_count(),
                    entity_refs: Vec::new(),
                }),
                scope_spans: scope_spans?,
                schema_url: part.schema_url().into(),
            })
        })
        .collect()
}
