//! Writes spans to the files of a directory, and does with it what its arguments say.

use std::io::Write;
use std::time::Duration;

use throughline::{Destination, FileLayout, extract, span};

/// Traces that all processes have spans in.
const TRACES: u64 = 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("the test names a directory");
    let tracing = throughline::builder("files")
        .destination(Destination::files(directory).layout(FileLayout::ByTrace))
        .batch_spans(64)
        .init();
    for step in arguments {
        let (verb, argument) = step.split_once('=').unwrap_or((&step, ""));
        match verb {
            "spans" => (0..argument.parse().unwrap_or(0)).for_each(one),
            // Until there is no room left beside it.
            "fill" => {
                let mut file = std::fs::File::create(argument).expect("there is some room");
                while file.write_all(&[b'x'; 4096]).is_ok() {}
            }
            "remove" => std::fs::remove_file(argument).expect("it is there"),
            "flush" => {
                let limit = argument.parse().map_or(Duration::from_secs(20), Duration::from_millis);
                let report = tracing.flush(limit).wait();
                let said = writeln!(
                    std::io::stdout(),
                    "delivered {} pending {}",
                    report.delivered(),
                    report.pending()
                );
                said.expect("the test reads it");
            }
            unknown => panic!("there is no step {unknown}"),
        }
    }
}

fn one(number: u64) {
    let trace = format!("00-{:032x}-00f067aa0ba902b7-01", number % TRACES + 1);
    let parent = extract([("traceparent", &*trace)]).expect("a valid traceparent");
    span!(parent: &parent, "work", number = number, text = "two\nlines").end();
}
