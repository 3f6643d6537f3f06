//! `throughline doctor`: what it finds on the way to a backend, and in the spool.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::throughline;
use serde_json::Value;
use throughline_testkit::{Answer, Receiver, Spool};

/// The exit code, and what is said.
fn doctor(spool: &Spool, variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
    let program = variables
        .iter()
        .fold(throughline(spool, &[]), |program, (name, value)| {
            program.env(name, value)
        });
    let finished = program.arg("doctor").args(arguments).run().expect("it runs");
    assert_eq!(finished.stderr, "", "{finished}");
    (finished.code, finished.stdout)
}

#[test]
fn healthy_backend_and_spool_are_well() {
    let (receiver, grpc, spool) = (
        Receiver::start().unwrap(),
        Receiver::start_grpc().unwrap(),
        Spool::new().unwrap(),
    );
    for (endpoint, protocol) in [
        (receiver.endpoint(), "http/protobuf"),
        (receiver.endpoint(), "http/json"),
        (grpc.endpoint(), "grpc"),
    ] {
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ];
        let (code, said) = doctor(&spool, &variables, &[]);
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" takes spans (") && said.contains(": a span "), "{said}");
    }
    assert_eq!(receiver.requests().len(), 2);
    assert!(receiver.spans().is_empty() && grpc.spans().is_empty(), "it sends none");
}

#[test]
fn without_a_destination_spans_stay_local_which_is_no_fault() {
    let spool = Spool::new().unwrap();
    let (code, said) = doctor(&spool, &[], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("spans stay in local history"), "{said}");
}

#[test]
fn cause_is_named_in_the_words_of_delivery_and_the_exit_code_is_1() {
    let spool = Spool::new().unwrap();
    let refusing = Receiver::with(|_| Answer::status(401)).unwrap();
    let lost = Receiver::with(|_| Answer::status(404)).unwrap();
    let tls = Receiver::start_tls().unwrap();
    let grpc = Receiver::start_grpc().unwrap();
    let mut gone = Receiver::start().unwrap();
    gone.stop();
    let plain_to_tls = tls.endpoint().replace("https", "http");
    for (endpoint, cause) in [
        (gone.endpoint(), "connection refused: nothing listens on this port"),
        (
            refusing.endpoint(),
            "the answer is 401: check the key in OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (lost.endpoint(), "the answer is 404: check the path of the endpoint"),
        (tls.endpoint(), "TLS failed"),
        (
            plain_to_tls,
            "the port speaks TLS: the endpoint should begin with https://",
        ),
        (
            grpc.endpoint(),
            "the answer is not HTTP/1.1: is this a gRPC port, such as 4317?",
        ),
        ("http://name.invalid:4318".to_owned(), "the host's name has no address"),
    ] {
        let (code, said) = doctor(&spool, &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)], &[]);
        assert_eq!(code, Some(1), "{endpoint} {said}");
        let expected = format!("cannot deliver to {endpoint}/v1/traces: {cause}");
        assert!(said.contains(&expected), "{expected} in {said}");
    }
    let hanging = Receiver::with(|_| Answer::hang()).unwrap();
    let (code, said) = doctor(&spool, &[], &["--to", &hanging.endpoint(), "--timeout", "1"]);
    assert!(code == Some(1) && said.contains("no answer in time (1s)"), "{said}");
}

#[test]
fn setting_that_cannot_be_used_is_a_fault() {
    let spool = Spool::new().unwrap();
    let (code, said) = doctor(&spool, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier pigeon")], &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("OTEL_EXPORTER_OTLP_PROTOCOL=carrier pigeon is not grpc"),
        "{said}"
    );
}

#[test]
fn spool_that_cannot_be_used_is_a_fault() {
    let spool = Spool::new().unwrap();
    let file = spool.home().join("file");
    std::fs::write(&file, "").unwrap();
    let finished = throughline(&spool, &[])
        .arg("--spool")
        .arg(&file)
        .arg("doctor")
        .run()
        .unwrap();
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stdout.contains("it cannot be used"), "{finished}");
}

#[test]
fn lines_are_wrapped_between_words_and_indented() {
    let spool = Spool::new().unwrap();
    let mut gone = Receiver::start().unwrap();
    gone.stop();
    let endpoint = gone.endpoint();
    let variables = [("COLUMNS", "80"), ("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint)];
    let (_, said) = doctor(&spool, &variables, &[]);
    let path = spool.path().display().to_string();
    for line in said.lines() {
        // A path has no place to divide it.
        assert!(line.len() <= 80 || line.contains(&path), "{line}");
        let (head, text) = line.split_at(18);
        assert!(!text.starts_with(' '), "{line}");
        assert!(head.trim().is_empty() || ["ok ", "BAD"].contains(&&head[..3]), "{line}");
    }
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, whole) = doctor(&spool, &variables[1..], &[]);
    assert!(whole.lines().count() < said.lines().count(), "{said}");
    assert_eq!(words(&whole), words(&said));
}

#[test]
fn json_says_all_of_it() {
    let (receiver, spool) = (Receiver::start().unwrap(), Spool::new().unwrap());
    let (code, said) = doctor(
        &spool,
        &[],
        &["--json", "--to", &receiver.endpoint(), "--header", "x-key=s3cret"],
    );
    assert!(!said.contains("s3cret"), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (code, said["good"].as_bool(), said["on"].as_bool()),
        (Some(0), Some(true), Some(true))
    );
    assert_eq!(
        said["destinations"][0]["name"],
        format!("{}/v1/traces", receiver.endpoint())
    );
    assert_eq!(said["destinations"][0]["problem"], Value::Null);
    assert_eq!(said["spool"]["pendingLimit"], 256 << 20);
    assert_eq!(receiver.requests()[0].header("x-key"), Some("s3cret"));
}
