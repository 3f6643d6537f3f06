//! The README's program: two spans, a child in a parent, and an error.

use throughline::span;

fn main() {
    let _tracing = throughline::init("orders");
    let order = span!("handle order", order.id = 1234, customer = "ada").enter();
    for attempt in 1..=2 {
        let mut charge = span!(kind: Client, "charge card", attempt = attempt);
        if let Err(error) = "12,50".parse::<f64>().map(|_| attempt) {
            charge.error(&error);
        }
    }
    order.set("order.lines", 3);
}
