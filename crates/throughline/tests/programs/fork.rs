//! Forks without exec while a span is open. The parent and, unless the argument is `silent` or `flushes first`, the child trace
//! on.

use std::time::Duration;

use fork::Fork;
use throughline::{Context, Tracing, span};

fn main() {
    let argument = std::env::args().nth(1);
    let is_silent = argument.as_deref() == Some("silent");
    let flushes_first = argument.as_deref() == Some("flushes first");
    let tracing = throughline::init("forking");
    span!(parent: &Context::root(), "before").end();
    let mut inherited = span!(parent: &Context::root(), "inherited");
    inherited.set("long", "x".repeat(200));
    match fork::fork() {
        Ok(Fork::Child) if is_silent => std::process::exit(0),
        Ok(Fork::Child) if flushes_first => {
            // The parent's thread, which is not here, would have to answer.
            let report = tracing.flush(Duration::from_secs(3600)).wait();
            assert!(report.is_complete(), "{report}");
            std::process::exit(0);
        }
        Ok(Fork::Child) => {
            inherited.set("set in the child", true);
            inherited.event("in the child", []);
            inherited.rename("renamed in the child");
            inherited.in_scope(|| span!("below the inherited").end());
            inherited.end();
            work(&tracing, "in the child");
            std::process::exit(0);
        }
        Ok(Fork::Parent(child)) => {
            inherited.set("set in the parent", true);
            // As the child does, so that both would make the same ids if they drew from the same numbers.
            inherited.in_scope(|| span!("below, in the parent").end());
            let status = fork::waitpid(child);
            assert_eq!(status.ok(), Some(0), "the child ends well");
            inherited.end();
            work(&tracing, "in the parent");
        }
        Err(error) => panic!("fork: {error}"),
    }
}

fn work(tracing: &Tracing, name: &str) {
    let thread = || (0..50).for_each(|_| span!(parent: &Context::root(), name).end());
    thread();
    std::thread::scope(|scope| drop(scope.spawn(thread)));
    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert!(report.is_complete(), "{report}");
}
