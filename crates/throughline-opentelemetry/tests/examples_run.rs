//! The examples run, end, and send the spans that they are to show.

use throughline_testkit::{Program, Receiver, Spool};

#[test]
fn example_of_a_library_is_one_trace() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("library", &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let spans = receiver.spans();
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("it came");
    assert_eq!(spans.len(), 2);
    assert_eq!(find("charge").parent_span_id(), find("order").span_id());
}

#[cfg(feature = "sdk")]
#[test]
fn example_of_an_sdk_exporter_gets_all_spans() {
    let spool = Spool::new().expect("a private directory");
    let program = Program::example("sdk_exporter", &spool).expect("Cargo builds the examples of this package");
    let finished = program.run().expect("it runs").expect_success();
    let mut names: Vec<_> = finished.stdout.lines().collect();
    names.sort_unstable();
    assert_eq!(
        (names.as_slice(), finished.stderr.as_str()),
        (&["charge", "order"][..], "")
    );
}
