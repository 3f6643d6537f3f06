//! What a job pays for its trace, beside whatever the broker costs: when it is sent, and when it is processed.
//!
//! `cargo bench -p throughline-bench --bench jobs [-- --help]`
//!
//! Per job, on one thread, everything recorded into a spool of real files. The first row is what the job pays without tracing: a map with two
//! headers is made and dropped. The figure of the peer awa, in its own words (ADR 39), is 0.23 us per enqueue.

#![allow(clippy::print_stdout, reason = "a table is what it makes")]

use std::collections::HashMap;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::sync::OnceLock;

use throughline::Tracing;
use throughline_bench::instructions::{Counter, be_counted};
use throughline_bench::measure::{CHILDREN, Case, in_turns};
use throughline_bench::options::Options;
use throughline_bench::{allocations, command_line, machine};
use throughline_jobs::{JobContext, Message, Queue, Record, Relation};

static ORDERS: Queue = Queue::new("bench", "orders").relation(Relation::Parent);
static LINKED: Queue = Queue::new("bench", "orders").relation(Relation::Link);

type Prepare = fn() -> Case;

const CASES: &[(&str, Prepare)] = &[
    ("no trace: a map of headers", || each(|| drop(black_box(headers())))),
    ("send, into a map of headers", || {
        each(|| drop(black_box(sent(headers()))))
    }),
    ("send, into a line of text", || {
        each(|| drop(black_box(sent(String::new()))))
    }),
    ("send, of 10 at once, each", || {
        each_tenth(|| {
            let mut jobs: [JobContext; 10] = Default::default();
            ORDERS.send_batch(&mut jobs).run(|| ());
            black_box(&jobs);
        })
    }),
    ("process, as a child", || processed(&ORDERS)),
    ("process, in its own trace", || processed(&LINKED)),
    ("process, without a context", || {
        each(|| ORDERS.process(&mut Message::of(&headers()), || ()))
    }),
];

fn main() -> ExitCode {
    command_line::end("jobs", run(&Options::from_command_line()))
}

fn run(options: &Options) -> io::Result<()> {
    let home = tempfile::tempdir()?;
    record(home.path());
    if let Some(name) = &options.callee {
        let (_, prepare) = CASES
            .iter()
            .find(|case| case.0 == name)
            .ok_or(io::ErrorKind::NotFound)?;
        be_counted(&mut prepare(), options.samples);
        return Ok(());
    }
    let wish = options.wishes.case.as_deref().unwrap_or_default();
    let chosen: Vec<_> = CASES.iter().filter(|case| case.0.contains(wish)).collect();
    let mut cases: Vec<_> = chosen.iter().map(|(_, prepare)| prepare()).collect();
    let times = in_turns(&mut cases, options.rounds());
    let mut counter = Counter::new(options, home.path());
    println!("{}", machine::machine());
    println!(
        "{:32} {:>8} {:>12} {:>13}",
        "per job", "ns", "allocations", "instructions"
    );
    for (((name, _), case), time) in chosen.iter().zip(&mut cases).zip(times) {
        let nanoseconds = time
            .nanoseconds
            .map_or_else(|| "?".to_owned(), |time| format!("{time:.0}"));
        let instructions = counter
            .per_span(name)
            .map_or_else(|| "?".to_owned(), |count| format!("{count:.0}"));
        let allocations = allocations::per_span(case);
        println!("{name:32} {nanoseconds:>8} {allocations:>12.1} {instructions:>13}");
    }
    counter
        .complaint()
        .into_iter()
        .for_each(|complaint| println!("{complaint}"));
    Ok(())
}

/// Starts tracing: every span is recorded.
fn record(home: &Path) {
    static TRACING: OnceLock<Tracing> = OnceLock::new();
    TRACING.get_or_init(|| throughline::builder("jobs").spool_dir(home.join("spool")).init());
}

fn each(mut job: impl FnMut() + 'static) -> Case {
    Case::new(move || (0..CHILDREN).for_each(|_| job()))
}

fn each_tenth(mut jobs: impl FnMut() + 'static) -> Case {
    Case::new(move || (0..CHILDREN / 10).for_each(|_| jobs()))
}

fn headers() -> HashMap<String, String> {
    HashMap::from(
        [("content-type", "text/plain"), ("reply-to", "me")].map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
}

fn sent<R: Record>(mut record: R) -> R {
    ORDERS.send(&mut record).run(|| ());
    record
}

fn processed(queue: &'static Queue) -> Case {
    let headers = sent(headers());
    each(move || queue.process(&mut Message::of(&headers), || ()))
}
