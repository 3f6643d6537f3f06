//! Traces a little with tracing switched as the argument says, and tells what that made: threads, sockets, allocations,
//! and the headers that a call further on would get.

use std::io::Write;

use throughline::{extract, inject, span};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn main() {
    let builder = throughline::builder("switched");
    let builder = match std::env::args().nth(1).as_deref() {
        Some("code") => builder.on(false),
        Some("variable") => builder.switch_variable("ORDERS_TRACING"),
        Some("only with endpoint") => builder.only_with_endpoint(),
        _ => builder,
    };
    let _tracing = builder.init();
    let without_context = allocation_counter::measure(|| (0..1000).for_each(|_| work()));
    let incoming = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")];
    let incoming = extract(incoming).unwrap_or_default();
    // The first spans that have something to pass on get memory for it, which is kept.
    incoming.in_scope(work);
    let with_context = allocation_counter::measure(|| (0..1000).for_each(|_| incoming.in_scope(work)));
    let allocations = without_context.count_total + with_context.count_total;
    let outgoing = incoming.in_scope(|| {
        let mut outer = span!(kind: Server, "outer");
        outer.in_scope(|| {
            let _inner = span!("inner").enter();
            inject(Vec::new())
        })
    });
    let values: Vec<_> = outgoing.iter().map(|(_, value)| value.as_str()).collect();
    let tasks = count("/proc/self/task", |_| true);
    let sockets = count("/proc/self/fd", |target| target.starts_with("socket:"));
    let line = format!(
        "tasks={tasks} sockets={sockets} allocations={allocations} headers={}",
        values.join("|")
    );
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn work() {
    let order = span!("order", id = 1234, customer = "ada").enter();
    let mut charge = span!(kind: Client, "charge");
    charge.set("currency", "EUR");
    charge.in_scope(|| throughline::current(|span| span.event("paid", [])));
    order.status_error("refused");
}

fn count(directory: &str, is_counted: impl Fn(&str) -> bool) -> usize {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| is_counted(&std::fs::read_link(entry.path()).unwrap_or_default().to_string_lossy()))
        .count()
}
