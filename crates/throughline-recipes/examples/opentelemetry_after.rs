//! The service of `opentelemetry_before.rs`, traced by Throughline.

use std::collections::HashMap;
use std::num::ParseFloatError;

use futures::executor::block_on;
use throughline::{Context, InSpanExt, Sampler, Tracing, event, extract, inject, span};

fn init() -> Tracing {
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
    let _span = span!("place order", order.id = order).enter();
    check_stock(order);
    call(order);
    let context = Context::current();
    let thread = std::thread::spawn(move || {
        let _guard = context.enter();
        let _span = span!("write receipt");
    });
    thread.join().expect("it does not panic");
}

fn check_stock(order: u64) {
    let mut span = span!(kind: Client, "check stock", db.system.name = "postgresql");
    event!(span: span, "cache miss", order.id = order);
    span.set("stock.left", 3);
}

fn call(order: u64) {
    let _span = span!(kind: Client, "POST /charge").enter();
    let headers: HashMap<String, String> = inject(HashMap::new());
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let span = span!(parent: extract(headers), kind: Server, "charge");
    let _paid = block_on(charge(order).in_span(span));
}

async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    let amount = "12,50".parse::<f64>();
    if let Err(error) = &amount {
        throughline::current(|span| {
            span.set("order.id", order);
            span.error(error); // the event `exception`, and the status
        });
    }
    amount
}
