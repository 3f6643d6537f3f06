//! A small service, traced by `tracing` and tracing-opentelemetry. `tracing_after.rs` is the same, traced by Throughline.

use std::collections::HashMap;
use std::num::ParseFloatError;

use futures::executor::block_on;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use throughline_recipes::Printed;
use tracing::{Instrument, Span, field, info, info_span, instrument};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

fn init() -> SdkTracerProvider {
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(Printed) // stands for SpanExporter::builder().with_tonic().build()?
        .with_resource(Resource::builder().with_service_name("orders").build())
        .build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("shop"));
    tracing_subscriber::registry().with(layer).init();
    provider
}

fn main() {
    let provider = init();
    place_order(7);
    provider.shutdown().expect("the spans are exported");
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
    let span = info_span!("call", otel.name = "POST /charge", otel.kind = "client").entered();
    let mut headers = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject_context(&span.context(), &mut headers));
    serve(&headers, order);
}

fn serve(headers: &HashMap<String, String>, order: u64) {
    let parent = global::get_text_map_propagator(|propagator| propagator.extract(headers));
    let span = info_span!(parent: None, "request", otel.kind = "server");
    span.set_parent(parent).expect("the span has not started");
    let _paid = block_on(charge(order).instrument(span));
}

#[instrument(err, skip(order), fields(order.id = order))]
async fn charge(order: u64) -> Result<f64, ParseFloatError> {
    "12,50".parse()
}
