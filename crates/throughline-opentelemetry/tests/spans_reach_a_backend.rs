//! What a library says through the API, and what a program says natively, reach a backend as one trace.

use std::time::Duration;

use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use throughline::span;
use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::{Receiver, Spool};

/// A library that knows of the API only.
mod client {
    use super::*;

    pub fn charge(order: i64) {
        let scope = InstrumentationScope::builder("shop-client")
            .with_version("1.2")
            .with_attributes([KeyValue::new("k", "v")]);
        let tracer = global::tracer_with_scope(scope.with_schema_url("https://example.com/schema").build());
        let span = tracer
            .span_builder("charge")
            .with_kind(SpanKind::Client)
            .with_attributes([KeyValue::new("order.id", order)])
            .start(&tracer);
        let context = Context::current_with_span(span);
        let _attached = context.clone().attach();
        let mut headers = std::collections::HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject(&mut headers));
        assert!(headers["traceparent"].contains(&context.span().span_context().span_id().to_string()));
        context.span().add_event("sent", vec![]);
        tracer.start("decode").end();
    }
}

#[test]
fn spans_of_both_reach_a_backend_as_one_trace() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let cached_too_early = global::tracer("too early");
    throughline_opentelemetry::install();
    let tracing = throughline::builder("shop")
        .spool_dir(spool.path())
        .endpoint(receiver.endpoint())
        .init();
    span!("order").in_scope(|| client::charge(7));
    assert!(
        !cached_too_early.start("nothing").is_recording(),
        "its library asked before"
    );
    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert_eq!((report.delivered(), report.is_complete()), (3, true), "{report}");

    let spans = receiver.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("it came");
    let (order, charge, decode) = (find("order"), find("charge"), find("decode"));
    assert_eq!(
        (&charge.parent_span_id, &decode.parent_span_id),
        (&order.span_id, &charge.span_id)
    );
    assert!(spans.iter().all(|span| span.trace_id == order.trace_id));
    assert_eq!((charge.kind, charge.events.len()), (3, 1));
    let attribute = charge.attributes.iter().find(|attribute| attribute.key == "order.id");
    let value = attribute.and_then(|attribute| attribute.value.as_ref()?.value.clone());
    assert_eq!(value, Some(Value::IntValue(7)));
    let scope = format!("{:?}", charge.scope);
    assert!(scope.contains("shop-client") && scope.contains("1.2"), "{scope}");
    assert_eq!(
        charge.resource_attribute("service.name"),
        order.resource_attribute("service.name")
    );
}
