//! The console shows each span soon after its end, and nothing in it harms a terminal.

use throughline_testkit::{Program, Spool};
use throughline_wire::json;

fn program(spool: &Spool, exporter: &str) -> Program {
    Program::example("program_steps", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_TRACES_EXPORTER", exporter)
        .env("OTEL_SERVICE_NAME", "shop\x1b[31m")
}

#[test]
fn console_shows_a_line_per_span_while_the_program_runs() {
    let spool = Spool::new().expect("a private directory");
    let running = program(&spool, "console")
        .args(["spans=1", "park"])
        .spawn()
        .expect("it runs");
    running.wait_for_stderr("number=0").expect("nobody flushes");
    let shown = running.stderr();
    running.kill9().expect("it can be killed");
    assert_eq!(shown.lines().count(), 1, "{shown}");
    let (time, rest) = shown.split_once("Z ").expect("a time");
    assert_eq!(time.len(), "12:03:04.567".len(), "{shown}");
    let (_, rest) = rest.split_once(' ').expect("a length");
    assert!(rest.starts_with(r"shop\u{1b}[31m: ended number=0 trace="), "{shown}");
    assert!(!shown.contains('\x1b'));
}

#[test]
fn stdout_gets_otlp_json_lines_when_the_variable_says_so() {
    let spool = Spool::new().expect("a private directory");
    let finished = program(&spool, "otlp/stdout").args(["spans=700", "flush=5000"]).run();
    let finished = finished.expect("it runs").expect_success();
    let lines: Vec<_> = finished.stdout.lines().filter(|line| line.starts_with('{')).collect();
    assert!(lines.len() >= 2, "a batch has at most 512 spans: {}", finished.stdout);
    let mut spans = 0;
    for line in lines {
        serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON");
        json::read_request(line.as_bytes()).expect("and OTLP/JSON");
        spans += line.matches(r#""name":"ended""#).count();
    }
    assert_eq!(spans, 700);
}
