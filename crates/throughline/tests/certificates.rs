//! Spans reach a backend whose certificate only the program's own authority vouches for, and one that asks for a certificate.

use std::time::Duration;

use throughline_testkit::{Program, Receiver, Spool};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn certificates_that_variables_name_are_trusted_and_shown() {
    let trusted = Receiver::start_tls().expect("loopback has a free port");
    let mutual = Receiver::start_mutual_tls().expect("loopback has a free port");
    for receiver in [trusted, mutual] {
        let spool = Spool::new().expect("a private directory");
        let mut program = Program::example("program_steps", &spool)
            .expect("Cargo builds the examples of this package")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env(
                "OTEL_EXPORTER_OTLP_CERTIFICATE",
                receiver.ca_pem().expect("it speaks TLS"),
            );
        if let Some((certificate, key)) = receiver.client_pem() {
            program = program
                .env("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", certificate)
                .env("OTEL_EXPORTER_OTLP_CLIENT_KEY", key);
        }
        let finished = program.args(["spans=3", "flush=10000"]).run().expect("it runs");
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished}");
        assert_eq!(receiver.wait_for(3, PATIENCE).expect("they are sent").len(), 3);
    }
}
