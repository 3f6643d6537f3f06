//! Each recipe's program makes the same trace after the move as before.

use std::collections::BTreeMap;

use throughline_testkit::{Program, Receiver, Spool};

/// Each span as `<parent's name> / <name>`, and whether it is an error, in order.
type Tree = Vec<(String, bool)>;

struct Seen {
    id: String,
    parent: String,
    is_error: bool,
    name: String,
}

fn tree(spans: &[Seen]) -> Tree {
    let names: BTreeMap<_, _> = spans.iter().map(|span| (&*span.id, &*span.name)).collect();
    let mut tree: Vec<_> = spans
        .iter()
        .map(|span| {
            let parent = names.get(&*span.parent).unwrap_or(&"");
            (format!("{parent} / {}", span.name), span.is_error)
        })
        .collect();
    tree.sort();
    tree
}

/// What a program with an exporter that prints has printed.
fn before(example: &str) -> Tree {
    before_with(example, &[])
}

fn before_with(example: &str, arguments: &[&str]) -> Tree {
    let spool = Spool::new().expect("a private directory");
    let program = Program::example(example, &spool).expect("Cargo builds the examples of this package");
    let finished = program.args(arguments).run().expect("it runs").expect_success();
    let spans: Vec<_> = finished
        .stdout
        .lines()
        .map(|line| {
            let mut words = line.splitn(4, ' ').map(str::to_owned);
            let mut word = || words.next().unwrap_or_else(|| panic!("{line}"));
            let (id, parent, status, name) = (word(), word(), word(), word());
            Seen {
                id,
                parent,
                is_error: status == "error",
                name,
            }
        })
        .collect();
    tree(&spans)
}

/// What a backend got of the program.
fn after(example: &str) -> Tree {
    const ERROR: i32 = 2;
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example(example, &spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    let spans: Vec<_> = receiver
        .spans()
        .iter()
        .map(|span| Seen {
            id: span.span_id(),
            parent: span.parent_span_id(),
            is_error: span.status.as_ref().is_some_and(|status| status.code == ERROR),
            name: span.name.clone(),
        })
        .collect();
    tree(&spans)
}

fn expect_the_same(recipe: &str, spans: usize) {
    expect_the_same_by(recipe, &format!("{recipe}_after"), spans);
}

fn expect_the_same_by(recipe: &str, program: &str, spans: usize) {
    let (before, after) = (before(&format!("{recipe}_before")), after(program));
    assert_eq!(before, after, "{recipe}");
    assert_eq!(after.len(), spans, "{recipe}");
    assert_eq!(after.iter().filter(|(_, is_error)| *is_error).count(), 1, "{recipe}");
}

#[test]
fn program_of_opentelemetry_makes_the_same_trace_after_the_move() {
    expect_the_same("opentelemetry", 5);
}

#[test]
fn program_that_keeps_the_api_makes_the_same_trace() {
    assert_eq!(before("opentelemetry_before"), after("opentelemetry_kept"));
}

#[test]
fn library_of_the_api_is_part_of_the_trace() {
    let expected = [
        " / place order",
        "check stock / SELECT stock",
        "place order / check stock",
    ];
    let to_a_backend = after("opentelemetry_library");
    assert_eq!(
        to_a_backend.iter().map(|(span, _)| &**span).collect::<Vec<_>>(),
        expected
    );
    assert_eq!(before_with("opentelemetry_library", &["sdk"]), to_a_backend);
}

#[test]
fn program_of_tracing_opentelemetry_makes_the_same_trace_after_the_move() {
    expect_the_same("tracing", 6);
}

#[test]
fn program_that_changes_only_its_layer_makes_the_same_trace() {
    expect_the_same_by("tracing", "tracing_kept", 6);
}

#[test]
fn program_of_the_page_about_tracing_makes_its_tree() {
    let spool = Spool::new().expect("a private directory");
    let program = Program::example("tracing_layer", &spool).expect("Cargo builds the examples of this package");
    let finished = program.run().expect("it runs").expect_success();
    assert!(finished.stdout.starts_with("trace_id="), "{}", finished.stdout);
}

#[test]
fn program_of_fastrace_makes_the_same_trace_after_the_move() {
    expect_the_same("fastrace", 6);
}
