//! The examples run, end, and send the spans that they are to show.

#![cfg(unix)]

use throughline_testkit::{Finished, Program, Receiver, Spool};

/// Runs an example; its spans by name, and what it printed.
fn run(example: &str) -> (Vec<String>, Receiver, Finished) {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example(example, &spool)
        .expect("Cargo builds the examples of this package")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs");
    let mut names: Vec<_> = receiver.spans().iter().map(|span| span.name.clone()).collect();
    names.sort();
    (names, receiver, finished)
}

fn child_continues_the_trace(example: &str) {
    let (names, receiver, finished) = run(example);
    let finished = finished.expect_success();
    assert_eq!(names, ["build", "sh"], "{example}");
    let spans = receiver.spans();
    let child = spans.iter().find(|span| span.name == "sh").expect("it is there");
    let header = format!("00-{}-{}-03\n", child.trace_id(), child.span_id());
    assert_eq!((finished.stdout, finished.stderr), (header, String::new()), "{example}");
}

#[test]
fn example_of_std_hands_its_trace_on() {
    child_continues_the_trace("std_command");
}

#[cfg(feature = "tokio")]
#[test]
fn example_of_tokio_hands_its_trace_on() {
    child_continues_the_trace("tokio_command");
}

#[test]
fn example_of_phases_is_one_trace() {
    let (names, receiver, finished) = run("deploy");
    assert_eq!(finished.code, Some(1), "its last phase fails");
    assert_eq!(names, ["activate", "deploy", "pack", "sleep", "tar", "upload"]);
    let trace = receiver.spans()[0].trace_id();
    assert!(receiver.spans().iter().all(|span| span.trace_id() == trace));
}
