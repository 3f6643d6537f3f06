//! A small service, traced by `tracing` and tracing-opentelemetry in `tracing_before.rs`: here it keeps its macros, and changes the layer.

use std::collections::HashMap;
use std::num::ParseFloatError;

use futures::executor::block_on;
use throughline::{Tracing, extract, inject};
use throughline_tracing::SpanExt as _;
use tracing::{Instrument, Span, field, info, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn init() -> Tracing {
    let tracing = throughline::init("orders");
    tracing_subscriber::registry().with(throughline_tracing::layer()).init();
    tracing
}

fn main() {
    let _tracing = init(); // flushes when it is dropped
    place_order(7);
}

#[instrument(name = "place order", fields(order.id = order), skip_all)]
fn place_order(order: u64) {
    check_stock(order);
    call(order);
    let span = Span::current();
    let thread = std::thread::spawn(move || {
        let _receipt = info_span!(parent: &span, "write receipt").entered();
    });
    thread.join().expect("it does not panic");
}

fn check_stock(order: u64) {
    let span = info_span!(
        "check stock",
        otel.kind = "client",
        db.system.name = "postgresql",
        stock.left = field::Empty
    );
    let _entered = span.enter();
    info!(order.id = order, "cache miss");
    span.record("stock.left", 3);
}

fn call(order: u64) {
    let _span = info_span!("call", otel.name = "POST /charge", otel.kind = "client").entered();
    let headers: HashMap<String, String> = inject(HashMap::new());
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let span = info_span!(parent: None, "request", otel.kind = "server");
    span.set_parent(extract(headers)).expect("the span has just been made");
    let _paid = block_on(charge(order).instrument(span));
}

#[instrument(err, skip(order), fields(order.id = order))]
async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    "12,50".parse()
}
