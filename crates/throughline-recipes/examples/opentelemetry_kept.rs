//! The program of `opentelemetry_before.rs` with every call of the API left as it is; only the SDK has gone.

use std::collections::HashMap;
use std::num::ParseFloatError;

use futures::executor::block_on;
use opentelemetry::global;
use opentelemetry::trace::{FutureExt, Span, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use throughline::{Sampler, Tracing};

fn init() -> Tracing {
    throughline_opentelemetry::install();
    throughline::builder("orders")
        .sampler(Sampler::ratio(1.0).expect("1 is in 0..=1").parent_based())
        .resource("deployment.environment.name", "test")
        .init()
}

fn main() {
    let _tracing = init(); // flushes when it is dropped
    place_order(7);
}

fn place_order(order: u64) {
    let tracer = global::tracer("shop");
    tracer.in_span("place order", |cx| {
        cx.span().set_attribute(KeyValue::new("order.id", order as i64));
        check_stock(order);
        call(order);
        let cx = Context::current();
        let thread = std::thread::spawn(move || {
            let _guard = cx.attach();
            global::tracer("shop").in_span("write receipt", |_cx| ());
        });
        thread.join().expect("it does not panic");
    });
}

fn check_stock(order: u64) {
    let tracer = global::tracer("shop");
    let mut span = tracer
        .span_builder("check stock")
        .with_kind(SpanKind::Client)
        .with_attributes([KeyValue::new("db.system.name", "postgresql")])
        .start(&tracer);
    span.add_event("cache miss", vec![KeyValue::new("order.id", order as i64)]);
    span.set_attribute(KeyValue::new("stock.left", 3));
    span.end();
}

fn call(order: u64) {
    let tracer = global::tracer("shop");
    let span = tracer
        .span_builder("POST /charge")
        .with_kind(SpanKind::Client)
        .start(&tracer);
    let cx = Context::current_with_span(span);
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&cx, &mut headers));
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(headers));
    let tracer = global::tracer("shop");
    let span = tracer
        .span_builder("charge")
        .with_kind(SpanKind::Server)
        .start_with_context(&tracer, &parent);
    let cx = parent.with_span(span);
    let _paid = block_on(charge(order).with_context(cx));
}

async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    let cx = Context::current();
    let amount = "12,50".parse::<f64>();
    if let Err(error) = &amount {
        cx.span().set_attribute(KeyValue::new("order.id", order as i64));
        cx.span().record_error(error);
        cx.span().set_status(Status::error(error.to_string()));
    }
    amount
}
