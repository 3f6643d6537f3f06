//! A program that keeps its `tracing` macros: one layer more, and ids in its log lines.

use std::collections::HashMap;

use throughline::{extract, inject};
use throughline_tracing::{SetParentError, SpanExt as _};
use tracing::{info, info_span, instrument};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> Result<(), SetParentError> {
    let _tracing = throughline::init("orders"); // flushes when it is dropped
    tracing_subscriber::registry()
        .with(throughline_tracing::layer())
        .with(
            fmt::layer()
                .with_writer(std::io::stderr)
                .map_event_format(throughline_tracing::text_with_ids),
        )
        .init();

    let headers = HashMap::from([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    let request = info_span!("POST /orders", otel.kind = "server");
    request.set_parent(extract(headers))?;
    request.in_scope(|| charge(7));
    Ok(())
}

#[instrument]
fn charge(order: u64) {
    let _headers: HashMap<String, String> = inject(HashMap::new());
    info!(order, "charged");
}
