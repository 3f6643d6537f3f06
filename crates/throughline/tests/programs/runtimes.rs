//! Ends five spans, flushes, and ends five more just before `main` returns, with the runtime that the first argument names;
//! with `leave` as the second argument it does not flush.

use std::io::Write;
use std::time::Duration;

use throughline::{Context, InSpanExt, Tracing, span};
use tokio::runtime::{Builder, Runtime};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().unwrap_or_default();
    let flushes = arguments.next().as_deref() != Some("leave");
    match kind.as_str() {
        "none" => {
            let tracing = throughline::init("runtimes");
            (0..5).for_each(|_| span!(parent: &Context::root(), "first").end());
            if flushes {
                say(&tracing.flush(Duration::from_secs(20)).wait().to_string());
            }
            (0..5).for_each(|_| span!(parent: &Context::root(), "last").end());
        }
        "dropped" => {
            let runtime = runtime("1");
            let tracing = runtime.block_on(async { throughline::init("runtimes") });
            runtime.block_on(work(&tracing, flushes));
            drop(runtime);
        }
        kind => {
            let runtime = runtime(kind);
            let tracing = runtime.block_on(async { throughline::init("runtimes") });
            runtime.block_on(work(&tracing, flushes));
            // Inside of the runtime, as where `main` is a `#[tokio::main]`.
            runtime.block_on(async move { drop(tracing) });
        }
    }
}

fn runtime(kind: &str) -> Runtime {
    let mut builder = match kind {
        "current_thread" => Builder::new_current_thread(),
        workers => {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(workers.parse().expect("a number of workers"));
            builder
        }
    };
    builder.build().expect("a runtime")
}

async fn work(tracing: &Tracing, flushes: bool) {
    for _ in 0..5 {
        let span = span!(parent: &Context::root(), "first");
        let task = tokio::spawn(tokio::task::yield_now().in_span(span));
        task.await.expect("it ends well");
    }
    if flushes {
        say(&tracing.flush(Duration::from_secs(20)).await.to_string());
    }
    (0..5).for_each(|_| span!(parent: &Context::root(), "last").end());
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
