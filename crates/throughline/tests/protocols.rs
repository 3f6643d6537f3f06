//! Spans arrive in every protocol and compression that the variables can choose.

use std::time::Duration;

use throughline_testkit::{Program, Receiver, Spool};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn protocols_and_compressions_that_variables_choose_are_used() {
    for (protocol, content_type) in [
        ("http/protobuf", "application/x-protobuf"),
        ("http/json", "application/json"),
    ] {
        for compression in ["none", "gzip"] {
            let receiver = Receiver::start().expect("loopback has a free port");
            let spool = Spool::new().expect("a private directory");
            let finished = Program::example("program_steps", &spool)
                .expect("Cargo builds the examples of this package")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression)
                .args(["spans=2000", "large=20", "flush=10000"])
                .run()
                .expect("it runs");
            assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished}");
            let spans = receiver.wait_for(2020, PATIENCE).expect("they are sent");
            assert_eq!(spans.len(), 2020, "each comes once");
            for request in receiver.requests() {
                assert_eq!(request.header("content-type"), Some(content_type));
                let encoding = (compression != "none").then_some(compression);
                assert_eq!(request.header("content-encoding"), encoding);
            }
        }
    }
}
