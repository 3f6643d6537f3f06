//! Switched off, tracing is nothing at all: no file, thread, socket or allocation. Context still passes through.

mod context;

use std::fs;

use throughline_testkit::{Finished, Program, Receiver, Spool};

fn run(switch: &str, variables: &[(&str, &str)], spool: &Spool) -> Finished {
    let mut program = Program::example("program_off", spool).expect("Cargo builds the examples of this package");
    for (name, value) in variables {
        program = program.env(name, value);
    }
    program.arg(switch).run().expect("it runs").expect_success()
}

/// Files and directories below the home of the program and its state.
fn made(spool: &Spool) -> usize {
    [spool.home(), spool.path()]
        .iter()
        .map(|path| fs::read_dir(path).expect("it is there").count())
        .sum()
}

const NOTHING: &str =
    "tasks=1 sockets=0 allocations=0 headers=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01|a=1|k=v";

#[test]
fn however_it_is_switched_off_nothing_is_made_and_context_passes_through() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    let sending = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    #[rustfmt::skip]
    let cases: [(&str, &[(&str, &str)]); 8] = [
        ("by environment", &[("OTEL_SDK_DISABLED", "true"), sending]),
        ("by environment", &[("OTEL_SDK_DISABLED", "TRUE"), sending]),
        ("code", &[sending]),
        ("variable", &[("ORDERS_TRACING", "off"), sending]),
        ("variable", &[("ORDERS_TRACING", "0"), sending]),
        ("variable", &[("ORDERS_TRACING", "False"), sending]),
        ("only with endpoint", &[]),
        ("only with endpoint", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
    ];
    for (switch, variables) in cases {
        let spool = Spool::new().expect("a private directory");
        let finished = run(switch, variables, &spool);
        assert_eq!(finished.stdout.trim(), NOTHING, "{switch} {variables:?}");
        assert_eq!(finished.stderr, "", "{switch} {variables:?}");
        assert_eq!(made(&spool), 0, "{switch} {variables:?}");
    }
    assert_eq!(receiver.requests().len(), 0);
}

#[test]
fn not_switched_off_the_same_program_traces() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    let sending = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str());
    #[rustfmt::skip]
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("by environment", &[("OTEL_SDK_DISABLED", "false")]),
        ("variable", &[]),
        ("variable", &[("ORDERS_TRACING", "1"), sending]),
        ("only with endpoint", &[sending]),
    ];
    for (switch, variables) in cases {
        let spool = Spool::new().expect("a private directory");
        let finished = run(switch, variables, &spool);
        assert!(!finished.stdout.starts_with("tasks=1 "), "{}", finished.stdout);
        assert!(made(&spool) > 0, "{switch} {variables:?}");
    }
}
