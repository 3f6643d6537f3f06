//! What the first capture makes of a process. Each case has a process of its own: it decides once.

use std::process::{Command, Output};

use throughline::{Filter, Verdict, span, testing};
use throughline_testkit::{Program, Spool};

/// Runs one test of this program, which is ignored otherwise.
fn run(test: &str, spool: &Spool, variables: &[(&str, &str)]) -> Output {
    let program = std::env::current_exe().expect("it runs");
    Command::new(program)
        .args(["--ignored", "--exact", "--nocapture", &format!("processes::{test}")])
        .env("THROUGHLINE_SPOOL_DIR", spool.path())
        .envs(variables.iter().copied())
        .output()
        .expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
#[ignore = "another test runs it"]
fn captures_and_then_starts_tracing() {
    let capture = testing::capture();
    let _tracing = throughline::init("under test");
    span!("a").end();
    capture.assert_tree("a");
}

#[test]
fn environment_has_no_say_and_nothing_is_written() {
    let spool = Spool::new().expect("a private directory");
    let variables = [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9"),
        ("OTEL_TRACES_SAMPLER", "always_off"),
        ("OTEL_BSP_SCHEDULE_DELAY", "nonsense"),
    ];
    let ran = run("captures_and_then_starts_tracing", &spool, &variables);
    assert!(ran.status.success(), "{ran:?}");
    assert!(text(&ran.stdout).contains("1 passed"), "{ran:?}");
    assert_eq!(text(&ran.stderr), "");
    let files = std::fs::read_dir(spool.path()).expect("it can be read").count();
    assert_eq!(files, 0);
}

#[test]
#[ignore = "another test runs it"]
fn starts_tracing_and_then_captures() {
    let _tracing = throughline::init("under test");
    let _capture = testing::capture();
}

#[test]
fn tracing_that_is_on_already_is_explained() {
    let spool = Spool::new().expect("a private directory");
    for disabled in ["false", "true"] {
        let ran = run(
            "starts_tracing_and_then_captures",
            &spool,
            &[("OTEL_SDK_DISABLED", disabled)],
        );
        assert!(!ran.status.success());
        let said = text(&ran.stderr);
        assert!(said.contains("add `.capturing()` to the builder"), "{said}");
        assert!(said.contains("processes.rs"), "{said}");
    }
}

#[test]
#[ignore = "another test runs it"]
fn starts_capturing_tracing_and_then_captures() {
    let _tracing = throughline::builder("under test")
        .processor(Filter::at_start().drop_names(["dropped at start"]))
        .processor(Filter::at_end().rule(|span| (span.name() == "dropped at end").then_some(Verdict::Drop)))
        .redact(throughline::redact_keys(["card"]))
        .capturing()
        .init();
    let capture = testing::capture();
    span!("dropped at start").in_scope(|| span!("never there").end());
    span!("dropped at end").end();
    let open = span!("order", card = "visa").enter();
    span!("charge", card = "visa").end();
    capture.assert_tree("order ~\n  charge {card=\"[redacted]\"}");
    drop(open);
}

#[test]
fn capturing_builder_shows_what_is_committed() {
    let spool = Spool::new().expect("a private directory");
    let ran = run("starts_capturing_tracing_and_then_captures", &spool, &[]);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    assert!(text(&ran.stdout).contains("1 passed"), "{ran:?}");
    assert_eq!(text(&ran.stderr), "", "there is nothing to complain of");
}

#[test]
fn examples_of_the_context_page_make_the_trees_they_say() {
    let spool = Spool::new().expect("a private directory");
    let program = Program::example("context", &spool).expect("Cargo builds the examples of this package");
    let finished = program.run().expect("it runs").expect_success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
}
