//! A program that was moved by a recipe sends its trace over gRPC and to files at once, also while one of them is down.

use std::fs;
use std::path::Path;
use std::time::Duration;

use throughline_testkit::{Collector, Program, Receiver, Spool, require_tool};

const PROGRAM: &str = "opentelemetry_after";
const SPANS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

fn program(spool: &Spool, endpoint: &str, files: &Path) -> Program {
    Program::example(PROGRAM, spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_TRACES_EXPORTER", "otlp,otlp_file")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("THROUGHLINE_FILES_DIR", files)
}

fn with_certificates(program: Program, receiver: &Receiver) -> Program {
    let (certificate, key) = receiver.client_pem().expect("it asks for a certificate");
    program
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", receiver.ca_pem().expect("it has one"))
        .env("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate)
        .env("OTEL_EXPORTER_OTLP_CLIENT_KEY", key)
}

fn spans_in_files(directory: &Path) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries
        .map(|entry| fs::read_to_string(entry.expect("it can be listed").path()).expect("it can be read"))
        .map(|text| text.matches("\"spanId\":").count())
        .sum()
}

#[test]
fn moved_program_reaches_a_real_collector_and_files() {
    let Some(collector) = require_tool(Collector::start()) else {
        return;
    };
    let spool = Spool::new().expect("a private directory");
    let files = spool.home().join("files");
    let finished = program(&spool, &collector.grpc_endpoint(), &files)
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!(finished.stderr, "");
    assert_eq!(collector.wait_for(SPANS, PATIENCE).expect("they arrive").len(), SPANS);
    assert_eq!(spans_in_files(&files), SPANS);
}

#[test]
fn files_are_complete_while_the_server_with_mutual_tls_is_down() {
    let mut receiver = Receiver::start_grpc_mutual_tls().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let files = spool.home().join("files");
    let run = |receiver: &Receiver| {
        let program = with_certificates(program(&spool, &receiver.endpoint(), &files), receiver);
        program.run().expect("it runs").expect_success()
    };
    receiver.stop();
    let finished = run(&receiver);
    assert!(finished.stderr.contains("connection refused"), "{}", finished.stderr);
    assert_eq!((receiver.spans().len(), spans_in_files(&files)), (0, SPANS));

    receiver.restart().expect("the port is still free");
    let finished = run(&receiver);
    assert_eq!(finished.stderr, "");
    assert!(receiver.spans().len() >= SPANS);
    assert_eq!(spans_in_files(&files), 2 * SPANS);
}

#[test]
fn server_gets_the_trace_while_files_cannot_be_written() {
    let receiver = Receiver::start_grpc_mutual_tls().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let files = spool.home().join("files");
    fs::write(&files, "in the way of a directory").expect("it can be written");
    let program = with_certificates(program(&spool, &receiver.endpoint(), &files), &receiver);
    let finished = program.run().expect("it runs").expect_success();
    assert!(
        finished.stderr.contains("cannot deliver to files"),
        "{}",
        finished.stderr
    );
    assert_eq!(receiver.spans().len(), SPANS);
}
