//! Random OTLP messages of `opentelemetry-proto`, and what this crate reads turned into the same
//! types, so that the two can be compared.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use throughline_wire::any_value::KeyValues;
use throughline_wire::{AnyValueView, SpanView};

/// Any text, often one whose length is at the edge of a one-byte varint.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\PC{0,12}",
        1 => any::<String>(),
        1 => (100..140_usize).prop_map(|len| "x".repeat(len)),
    ]
}

/// Finite, so that equality is equality of what was said.
pub fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("finite", |value| value.is_finite())
}

/// A value, also a nested one.
pub fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        1 => Just(None),
        4 => text().prop_map(|text| Some(Any::StringValue(text))),
        1 => any::<bool>().prop_map(|value| Some(Any::BoolValue(value))),
        2 => any::<i64>().prop_map(|value| Some(Any::IntValue(value))),
        1 => (0..300_i64).prop_map(|value| Some(Any::IntValue(value))),
        1 => finite().prop_map(|value| Some(Any::DoubleValue(value))),
        1 => vec(any::<u8>(), 0..140).prop_map(|bytes| Some(Any::BytesValue(bytes))),
    ]
    .prop_map(|value| AnyValue { value });
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|values| Some(Any::ArrayValue(ArrayValue { values }))),
            vec(pair(inner), 0..5).prop_map(|values| Some(Any::KvlistValue(KeyValueList { values }))),
        ]
        .prop_map(|value| AnyValue { value })
    })
}

fn pair(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (text(), value).prop_map(|(key, value)| KeyValue {
        key,
        value: Some(value),
        key_strindex: 0,
    })
}

/// Attributes, repeated keys not excluded.
pub fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(pair(any_value()), 0..5)
}

/// An event.
pub fn event() -> impl Strategy<Value = Event> {
    (any::<u64>(), text(), attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    )
}

/// A link; its ids need not be valid.
pub fn link() -> impl Strategy<Value = Link> {
    (id(16), id(8), text(), attributes(), any::<u32>(), any::<u32>()).prop_map(
        |(trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags)| Link {
            trace_id,
            span_id,
            trace_state,
            attributes,
            dropped_attributes_count,
            flags,
        },
    )
}

/// A span; its ids need not be valid, its enums not known.
pub fn span() -> impl Strategy<Value = Span> {
    let head = (id(16), id(8), text(), id(8), any::<u32>(), text(), 0..9_i32);
    let times = (any::<u64>(), any::<u64>());
    let lists = (attributes(), vec(event(), 0..3), vec(link(), 0..3));
    let dropped = (any::<u32>(), any::<u32>(), any::<u32>());
    let status = prop::option::of(
        (text(), 0..4_i32)
            // A status that says nothing cannot be told from none.
            .prop_filter("not empty", |(message, code)| !message.is_empty() || *code != 0)
            .prop_map(|(message, code)| Status { message, code }),
    );
    (head, times, lists, dropped, status).prop_map(|(head, times, lists, dropped, status)| Span {
        trace_id: head.0,
        span_id: head.1,
        trace_state: head.2,
        parent_span_id: head.3,
        flags: head.4,
        name: head.5,
        kind: head.6,
        start_time_unix_nano: times.0,
        end_time_unix_nano: times.1,
        attributes: lists.0,
        dropped_attributes_count: dropped.0,
        events: lists.1,
        dropped_events_count: dropped.1,
        links: lists.2,
        dropped_links_count: dropped.2,
        status,
    })
}

fn id(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), len),
        1 => Just(vec![0; len]),
        1 => vec(any::<u8>(), 0..20),
        1 => Just(Vec::new()),
    ]
}

/// All that a view tells, as the oracle's type. An id that is not valid is missing.
pub fn owned(span: &SpanView<'_>) -> Span {
    let (code, message) = span.status();
    Span {
        trace_id: span.trace_id().map_or(Vec::new(), |id| id.to_bytes().to_vec()),
        span_id: span.span_id().map_or(Vec::new(), |id| id.to_bytes().to_vec()),
        trace_state: span.trace_state().into(),
        parent_span_id: span.parent_span_id().map_or(Vec::new(), |id| id.to_bytes().to_vec()),
        flags: span.flags(),
        name: span.name().into(),
        kind: span.kind().number().into(),
        start_time_unix_nano: span.start_time_unix_nano(),
        end_time_unix_nano: span.end_time_unix_nano(),
        attributes: owned_attributes(span.attributes()),
        dropped_attributes_count: span.dropped_attributes_count(),
        events: span
            .events()
            .map(|event| Event {
                time_unix_nano: event.time_unix_nano(),
                name: event.name().into(),
                attributes: owned_attributes(event.attributes()),
                dropped_attributes_count: event.dropped_attributes_count(),
            })
            .collect(),
        dropped_events_count: span.dropped_events_count(),
        links: span
            .links()
            .map(|link| Link {
                trace_id: link.trace_id().map_or(Vec::new(), |id| id.to_bytes().to_vec()),
                span_id: link.span_id().map_or(Vec::new(), |id| id.to_bytes().to_vec()),
                trace_state: link.trace_state().into(),
                attributes: owned_attributes(link.attributes()),
                dropped_attributes_count: link.dropped_attributes_count(),
                flags: link.flags(),
            })
            .collect(),
        dropped_links_count: span.dropped_links_count(),
        status: (code.number() != 0 || !message.is_empty()).then(|| Status {
            message: message.into(),
            code: code.number().into(),
        }),
    }
}

/// Attributes as the oracle's type.
pub fn owned_attributes(attributes: KeyValues<'_>) -> Vec<KeyValue> {
    attributes
        .map(|(key, value)| KeyValue {
            key: key.into(),
            value: Some(owned_value(&value)),
            key_strindex: 0,
        })
        .collect()
}

/// A value as the oracle's type.
pub fn owned_value(value: &AnyValueView<'_>) -> AnyValue {
    let value = match value {
        AnyValueView::Empty => None,
        AnyValueView::Str(text) => Some(Any::StringValue((*text).into())),
        AnyValueView::Bool(value) => Some(Any::BoolValue(*value)),
        AnyValueView::I64(value) => Some(Any::IntValue(*value)),
        AnyValueView::F64(value) => Some(Any::DoubleValue(*value)),
        AnyValueView::Bytes(bytes) => Some(Any::BytesValue(bytes.to_vec())),
        AnyValueView::Array(array) => Some(Any::ArrayValue(ArrayValue {
            values: array.iter().map(|value| owned_value(&value)).collect(),
        })),
        AnyValueView::Map(entries) => Some(Any::KvlistValue(KeyValueList {
            values: owned_attributes(entries.clone()),
        })),
    };
    AnyValue { value }
}

/// What is left of a random span when ids that are not valid and unknown enums are taken away.
pub fn sanitised(mut span: Span) -> Span {
    let keep = |id: &mut Vec<u8>, len: usize| {
        if id.len() != len || id.iter().all(|&byte| byte == 0) {
            id.clear();
        }
    };
    keep(&mut span.trace_id, 16);
    keep(&mut span.span_id, 8);
    keep(&mut span.parent_span_id, 8);
    for link in &mut span.links {
        keep(&mut link.trace_id, 16);
        keep(&mut link.span_id, 8);
    }
    if span.kind > 5 {
        span.kind = 0;
    }
    if let Some(status) = &mut span.status
        && status.code > 2
    {
        status.code = 0;
    }
    span.status = span
        .status
        .filter(|status| status.code != 0 || !status.message.is_empty());
    span
}
