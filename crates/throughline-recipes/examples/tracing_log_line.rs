//! A trace id in a log line of `tracing`, by hand.

use throughline::{Context, span};
use tracing::info;

fn main() {
    let _tracing = throughline::init("orders");
    let _span = span!("pay").enter();
    info!(
        trace_id = Context::current().trace_id().map(tracing::field::display),
        "paid"
    );
}
