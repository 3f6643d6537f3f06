//! The service of `fastrace_before.rs`, traced by Throughline.

use std::collections::HashMap;
use std::num::ParseFloatError;

use futures::executor::block_on;
use throughline::{InSpanExt, Tracing, event, extract, inject, span, traced};

fn init() -> Tracing {
    throughline::init("orders")
}

fn main() {
    let _tracing = init(); // flushes when it is dropped
    place_order(7);
}

fn place_order(order: u64) {
    let _root = span!("place order", order.id = order).enter();
    check_stock(order);
    call(order);
    let mut receipt = span!("write receipt");
    let thread = std::thread::spawn(move || {
        receipt.in_scope(|| ());
    });
    thread.join().expect("it does not panic");
}

fn check_stock(order: u64) {
    let span = span!(kind: Client, "check stock", db.system.name = "postgresql").enter();
    event!("cache miss", order.id = order);
    span.set("stock.left", 3);
}

fn call(order: u64) {
    let _span = span!(kind: Client, "POST /charge").enter();
    let headers: HashMap<String, String> = inject(HashMap::new());
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let span = span!(parent: extract(headers), kind: Server, "request");
    let _paid = block_on(charge(order).in_span(span));
}

#[traced(fields(order.id = order))]
async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    "12,50".parse()
}
