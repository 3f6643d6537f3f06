//! A small service, traced by fastrace. `fastrace_after.rs` is the same, traced by Throughline.

use std::collections::HashMap;
use std::num::ParseFloatError;

use fastrace::collector::{Config, SpanContext};
use fastrace::future::FutureExt;
use fastrace::local::LocalSpan;
use fastrace::{Event, Span, trace};
use futures::executor::block_on;
use throughline_recipes::Printed;

fn init() {
    fastrace::set_reporter(Printed, Config::default()); // Printed stands for OpenTelemetryReporter::new(..)
}

fn main() {
    init();
    place_order(7);
    fastrace::flush();
}

fn place_order(order: u64) {
    let root = Span::root("place order", SpanContext::random());
    root.add_property(|| ("order.id", order.to_string()));
    let _guard = root.set_local_parent();
    check_stock(order);
    call(order);
    let receipt = Span::enter_with_local_parent("write receipt");
    let thread = std::thread::spawn(move || {
        let _guard = receipt.set_local_parent();
    });
    thread.join().expect("it does not panic");
}

fn check_stock(order: u64) {
    let _span = LocalSpan::enter_with_local_parent("check stock")
        .with_properties(|| [("span.kind", "client"), ("db.system.name", "postgresql")]);
    LocalSpan::add_event(Event::new("cache miss").with_property(|| ("order.id", order.to_string())));
    LocalSpan::add_property(|| ("stock.left", "3"));
}

fn call(order: u64) {
    let _span = LocalSpan::enter_with_local_parent("POST /charge").with_property(|| ("span.kind", "client"));
    let mut headers = HashMap::new();
    if let Some(context) = SpanContext::current_local_parent() {
        headers.insert("traceparent".to_owned(), context.encode_w3c_traceparent());
    }
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let parent = headers
        .get("traceparent")
        .and_then(|header| SpanContext::decode_w3c_traceparent(header));
    let span =
        Span::root("request", parent.unwrap_or_else(SpanContext::random)).with_property(|| ("span.kind", "server"));
    let _paid = block_on(charge(order).in_span(span));
}

#[trace(name = "charge")]
async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    let amount = "12,50".parse();
    LocalSpan::add_property(|| ("order.id", order.to_string()));
    if amount.is_err() {
        LocalSpan::add_property(|| ("span.status_code", "error"));
    }
    amount
}
