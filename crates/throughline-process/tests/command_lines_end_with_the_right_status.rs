//! A command line is one trace, whatever way it ends: S13.

#![cfg(unix)]

use std::time::Duration;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::{Finished, Program, ReceivedSpan, Receiver, Running, Signal, Spool};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSET: i32 = 0;
const ERROR: i32 = 2;

/// What is expected of the command's span and of its second phase.
struct Case {
    way: &'static str,
    code: Option<i32>,
    root: (i32, &'static str, &'static str),
    phase: (i32, &'static str),
    is_phase_cancelled: bool,
}

#[test]
fn command_line_ends_its_spans_whatever_way_it_ends() {
    let message = "the application is not there";
    let cases = [
        Case {
            way: "early",
            code: Some(0),
            root: (UNSET, "", "0"),
            phase: (UNSET, ""),
            is_phase_cancelled: false,
        },
        Case {
            way: "error",
            code: Some(1),
            root: (ERROR, message, "1"),
            phase: (ERROR, message),
            is_phase_cancelled: false,
        },
        Case {
            way: "error async",
            code: Some(1),
            root: (ERROR, message, "1"),
            phase: (ERROR, message),
            is_phase_cancelled: false,
        },
        Case {
            way: "panic",
            code: Some(101),
            root: (ERROR, "panicked: a bug", "101"),
            phase: (ERROR, "panicked: a bug"),
            is_phase_cancelled: false,
        },
        Case {
            way: "exit",
            code: Some(3),
            root: (ERROR, "exit code 3", "3"),
            phase: (UNSET, ""),
            is_phase_cancelled: true,
        },
        // Its future was dropped, and main went on.
        Case {
            way: "drop async",
            code: Some(0),
            root: (UNSET, "", ""),
            phase: (UNSET, ""),
            is_phase_cancelled: true,
        },
    ];
    for case in cases {
        let way = case.way;
        let (spans, finished) = run(way, |running| running.wait().expect("it ends"));
        assert_eq!(finished.code, case.code, "{way}: {}", finished.stderr);
        let [root, upload, phase] = ["deploy", "upload", "activate"].map(|name| find(&spans, name));
        let (status, message) = status_of(root);
        assert_eq!((status, message, &*exit_code(root)), case.root, "{way}");
        assert_eq!(status_of(phase), case.phase, "{way}");
        assert_eq!(is_cancelled(phase), case.is_phase_cancelled, "{way}");
        assert_eq!(status_of(upload).0, UNSET, "{way}");
        for sibling in [upload, phase] {
            assert_eq!(sibling.parent_span_id(), root.span_id(), "{way}: phases are siblings");
        }
        assert_eq!(root.trace_id(), PARENT[3..35], "{way}: the environment names the trace");
        assert_eq!(root.parent_span_id(), PARENT[36..52], "{way}");
    }
}

#[test]
fn signal_ends_open_spans_and_then_the_process() {
    for (signal, number, name) in [
        (Signal::INT, 2, "SIGINT"),
        (Signal::TERM, 15, "SIGTERM"),
        (Signal::HUP, 1, "SIGHUP"),
    ] {
        let (spans, finished) = run("wait", |running| {
            running.wait_for_stdout("ready").expect("it says so");
            running.signal(signal).expect("it lives");
            running.wait().expect("it ends")
        });
        assert_eq!(
            finished.signal,
            Some(number),
            "{name}: it dies by the signal, as it would have: {}",
            finished.stderr
        );
        let root = find(&spans, "deploy");
        assert_eq!(status_of(root), (ERROR, &*format!("killed by {name}")));
        assert_eq!(text(root, "error.type"), name);
        let phase = find(&spans, "activate");
        assert_eq!(
            (status_of(phase).0, is_cancelled(phase)),
            (UNSET, true),
            "{name}: to be cancelled is no error"
        );
    }
}

#[test]
fn signal_ends_a_process_that_was_given_no_thread() {
    let spool = Spool::new().expect("a private directory");
    let running = Program::example("program_command_line", &spool)
        .expect("it is built")
        .arg("wait")
        // More than there is: no thread gets a stack.
        .env("RUST_MIN_STACK", (1_u64 << 60).to_string())
        .spawn()
        .expect("it starts");
    running.wait_for_stdout("ready").expect("it says so");
    running.signal(Signal::TERM).expect("it lives");
    assert_eq!(running.wait().expect("it ends").signal, Some(15));
}

#[test]
fn command_in_a_command_continues_its_trace() {
    let (spans, finished) = run("child", |running| running.wait().expect("it ends"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let process = find(&spans, "deploy child");
    let parent = spans.iter().find(|span| span.span_id() == process.parent_span_id());
    assert_eq!(parent.map(|span| &*span.name), Some("activate"));
    let inner = spans
        .iter()
        .find(|span| span.name == "deploy" && span.parent_span_id() == process.span_id());
    let inner = inner.expect("the child's command line is a child of the process's span");
    assert_eq!(exit_code(inner), "0");
    assert_eq!(exit_code(process), "0");
    assert_eq!(spans.len(), 7, "{spans:?}");
    assert!(spans.iter().all(|span| span.trace_id() == PARENT[3..35]), "one trace");
}

#[test]
fn daemon_gets_endpoint_protocol_and_name_but_no_secret() {
    let (spans, finished) = run("daemon", |running| running.wait().expect("it ends"));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
    let of_daemon = |span: &&ReceivedSpan| span.service() == Some("buildkitd");
    let daemon: Vec<_> = spans.iter().filter(of_daemon).collect();
    assert_eq!(daemon.len(), 3, "its own spans join the trace: {spans:?}");
    assert!(daemon.iter().all(|span| span.trace_id() == PARENT[3..35]));
    assert!(
        daemon.iter().all(|span| span.headers.get("x-api-key").is_none()),
        "the secret is its parent's"
    );
    let parent = spans
        .iter()
        .find(|span| span.service() == Some("deploy"))
        .expect("it came");
    assert!(parent.headers.get("x-api-key").is_some(), "the parent has it");
    for expected in [
        "OTEL_METRICS_EXPORTER=none",
        "OTEL_LOGS_EXPORTER=none",
        "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
    ] {
        assert!(
            finished.stdout.contains(expected),
            "{expected} is not in {}",
            finished.stdout
        );
    }
    assert!(!finished.stdout.contains("secret"), "{}", finished.stdout);
}

/// Runs the program in this way, and waits for the spans of all its phases.
fn run(way: &str, end: impl FnOnce(Running) -> Finished) -> (Vec<ReceivedSpan>, Finished) {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let running = Program::example("program_command_line", &spool)
        .expect("it is built")
        .arg(way)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=secret")
        .env("TRACEPARENT", PARENT)
        .spawn()
        .expect("it starts");
    let finished = end(running);
    let count = if matches!(way, "child" | "daemon") { 7 } else { 3 };
    let spans = receiver.wait_for(count, Duration::from_secs(20));
    (
        spans.unwrap_or_else(|error| panic!("{way}: {error}; {}", finished.stderr)),
        finished,
    )
}

/// The first of this name.
fn find<'a>(spans: &'a [ReceivedSpan], name: &str) -> &'a ReceivedSpan {
    let found = spans.iter().find(|span| span.name == name);
    found.unwrap_or_else(|| panic!("there is no {name} in {spans:?}"))
}

fn status_of(span: &ReceivedSpan) -> (i32, &str) {
    span.status
        .as_ref()
        .map_or((UNSET, ""), |status| (status.code, &status.message))
}

fn exit_code(span: &ReceivedSpan) -> String {
    match span.attribute("process.exit.code") {
        Some(Value::IntValue(code)) => code.to_string(),
        other => other.map(|value| format!("{value:?}")).unwrap_or_default(),
    }
}

fn text<'a>(span: &'a ReceivedSpan, key: &str) -> &'a str {
    match span.attribute(key) {
        Some(Value::StringValue(text)) => text,
        _ => "",
    }
}

fn is_cancelled(span: &ReceivedSpan) -> bool {
    matches!(span.attribute("throughline.cancelled"), Some(Value::BoolValue(true)))
}
