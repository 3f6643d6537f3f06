//! The README's program: two spans, a child in a parent, and an error.

use throughline::span;

fn main() {
    let _tracing = throughline::init("orders"); // reads OTEL_*; with nothing set: local history
    let order = span!("handle order", order.id = 1234).enter();
    for attempt in 1..=2 {
        let mut charge = span!(kind: Client, "charge card", attempt = attempt);
        if let Err(error) = "12,50".parse::<f64>() {
            charge.error(&error); // an exception event, and the span's status
        }
    }
    order.set("order.lines", 3);
}
