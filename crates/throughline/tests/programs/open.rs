//! Leaves spans open for ever, and says when they are: a root that outgrows its slot, a child, and one that has ended.

use std::io::Write;

use throughline::span;

fn main() {
    let _tracing = throughline::init("open");
    let large = span!("large", size = 2000).enter();
    large.set("text", "x".repeat(2000));
    let small = span!(kind: Client, "small", a = 1).enter();
    small.event("begun", []);
    small.set("b", "two");
    small.rename("small, renamed");
    span!("ended").end();
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "all open");
    loop {
        std::thread::park();
    }
}
