//! Continues the trace whose `traceparent` is the argument, then begins one of its own; in each three spans are nested,
//! and the innermost says which `traceparent` it would send.

use std::time::Duration;

use throughline::{Context, extract, inject, span};

fn main() {
    let tracing = throughline::init("propagate");
    let header = std::env::args().nth(1).unwrap_or_default();
    for parent in [extract([("traceparent", header)]).unwrap_or_default(), Context::root()] {
        let mut outer = span!(parent: &parent, "outer");
        outer.in_scope(|| {
            let _middle = span!("middle").enter();
            let _inner = span!("inner").enter();
            for (name, value) in inject(Vec::new()) {
                if name == "traceparent" {
                    writeln(&value);
                }
            }
        });
    }
    tracing.flush(Duration::from_secs(10)).wait();
}

fn writeln(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout(), "{line}");
}
