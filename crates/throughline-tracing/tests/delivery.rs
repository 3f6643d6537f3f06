//! A program's spans arrive, all of them, and its standard output is its own.

use throughline_testkit::{Program, Receiver, Spool};

#[test]
fn spans_of_a_program_with_the_layer_arrive() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("layer", &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!(finished.stdout, "", "it is the program's own");
    let spans = receiver.spans();
    let find = |name: &str| {
        spans
            .iter()
            .find(|span| span.name == name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let (request, charge) = (find("POST /orders"), find("charge"));
    assert_eq!(spans.len(), 2, "what started is what arrives");
    assert_eq!(request.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    let ids = format!("trace_id={} span_id={} ", charge.trace_id(), charge.span_id());
    assert!(finished.stderr.starts_with(&ids), "{}", finished.stderr);
}

#[test]
fn spans_of_a_program_with_the_subscriber_arrive() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("subscriber", &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .env("RUST_LOG", "info")
        .run()
        .expect("it runs")
        .expect_success();
    let spans = receiver.spans();
    assert_eq!((finished.stdout.as_str(), spans.len()), ("", 1));
    let line: serde_json::Value = serde_json::from_str(finished.stderr.trim()).expect("one JSON line");
    assert_eq!(line["trace_id"], spans[0].trace_id());
    assert_eq!(line["fields"]["message"], "paid");
}

#[test]
fn lines_of_a_logger_name_the_span() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("log_ids", &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1);
    let line = format!("trace_id={} span_id={} paid\n", spans[0].trace_id(), spans[0].span_id());
    assert_eq!(finished.stderr, line);
}

#[test]
fn directives_that_cannot_be_read_are_said() {
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("subscriber", &spool)
        .expect("Cargo builds the examples of this package")
        .env("RUST_LOG", "a=b=c")
        .run()
        .expect("it runs")
        .expect_success();
    assert!(finished.stderr.contains("RUST_LOG=\"a=b=c\""), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("\"message\":\"paid\""),
        "the default holds: {}",
        finished.stderr
    );
}
