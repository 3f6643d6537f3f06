//! A program that wants spans traced and events as JSON lines, and nothing else.

use throughline_tracing::SpanExt as _;
use tracing::{Span, info, info_span};

fn main() -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    let _tracing = throughline::init("orders");
    let subscriber = throughline_tracing::subscriber().json().lines_from("RUST_LOG");
    tracing::subscriber::set_global_default(subscriber)?;

    info_span!("order", order.id = 7).in_scope(|| {
        Span::current().set_attribute("order.lines", 3);
        info!("paid");
    });
    Ok(())
}
