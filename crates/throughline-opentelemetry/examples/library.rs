//! A library that is instrumented with the OpenTelemetry API, in a program that is traced with Throughline.

use opentelemetry::trace::{TraceContextExt, Tracer};
use opentelemetry::{KeyValue, global};
use throughline::span;

/// Stands for somebody else's crate: it knows of `opentelemetry` only.
fn charge(order: i64) {
    global::tracer("shop-client").in_span("charge", |context| {
        context.span().set_attribute(KeyValue::new("order.id", order));
        context.span().add_event("declined", vec![]);
    });
}

fn main() {
    let _tracing = throughline::init("orders");
    throughline_opentelemetry::install();
    span!("order").in_scope(|| charge(7));
}
