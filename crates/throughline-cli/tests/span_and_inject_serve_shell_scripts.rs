//! `throughline span` and `throughline inject`, as scripts use them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::{attribute, only_span, run, spans, throughline};
use serde_json::Value;
use throughline_testkit::{Program, Spool};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn span_has_what_its_options_say() {
    let spool = Spool::new().unwrap();
    let options = [
        "span",
        "deploy",
        "--kind",
        "client",
        "--service",
        "ci",
        "--attribute",
        "target=production",
        "--attribute",
        "tries=3",
        "--attribute",
        "dry=false",
        "--start",
        "1763719170.25",
        "--end",
        "2025-11-21T09:59:31Z",
        "--status",
        "error",
        "--message",
        "no such host",
        "--parent",
        PARENT,
        "--json",
    ];
    let printed = run(&spool, &options).expect_success().stdout;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let span = only_span(&spool);
    assert_eq!(
        (&span["name"], &span["kind"], &span["service"]),
        (&"deploy".into(), &3.into(), &"ci".into())
    );
    assert_eq!(span["startTimeUnixNano"], "1763719170250000000");
    assert_eq!(span["endTimeUnixNano"], "1763719171000000000");
    assert_eq!(
        (&span["status"]["code"], &span["status"]["message"]),
        (&2.into(), &"no such host".into())
    );
    assert_eq!(
        (&printed["traceId"], &printed["spanId"]),
        (&span["traceId"], &span["spanId"])
    );
    assert_eq!(printed["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(attribute(&span, "target").unwrap(), "production");
    let value = |key: &str| {
        let attributes = span["attributes"].as_array().unwrap();
        attributes.iter().find(|attribute| attribute["key"] == key).unwrap()["value"].clone()
    };
    assert_eq!(value("tries"), serde_json::json!({"intValue": "3"}));
    assert_eq!(value("dry"), serde_json::json!({"boolValue": false}));
}

#[test]
fn script_makes_one_trace_of_its_spans_and_commands() {
    let spool = Spool::new().unwrap();
    let script = r#"
        set -e
        eval "$("$0" inject)"
        TRACEPARENT=$("$0" span parent --print) "$0" span child
        "$0" run --name command -- true
        "$0" inject --json
    "#;
    let script = Program::at("sh", &spool).args(["-c", script, env!("CARGO_BIN_EXE_throughline")]);
    let printed = script.run().unwrap().expect_success().stdout;
    let printed: Value = serde_json::from_str(&printed).unwrap();
    let spans = spans(&spool);
    assert_eq!(spans.len(), 3, "{spans:?}");
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let root = printed["traceparent"].as_str().unwrap();
    assert!(root.contains(named("parent")["traceId"].as_str().unwrap()), "{root}");
    assert!(
        root.contains(named("command")["parentSpanId"].as_str().unwrap()),
        "{root}"
    );
    assert_eq!(named("child")["parentSpanId"], named("parent")["spanId"]);
}

#[test]
fn inject_prints_the_context_it_was_given() {
    let spool = Spool::new().unwrap();
    let printed = |options: &[&str]| {
        let program = throughline(&spool, &[&["inject"], options].concat()).env("TRACEPARENT", PARENT);
        let program = program.env("TRACESTATE", "a=1").env("BAGGAGE", "k=it's");
        program.run().unwrap().expect_success().stdout
    };
    let env = format!("export TRACEPARENT='{PARENT}'\nexport TRACESTATE='a=1'\nexport BAGGAGE=");
    assert!(printed(&[]).starts_with(&env), "{}", printed(&[]));
    let headers = printed(&["--format", "headers"]);
    assert!(
        headers.starts_with(&format!("traceparent: {PARENT}\ntracestate: a=1\nbaggage: k=")),
        "{headers}"
    );
    let json: Value = serde_json::from_str(&printed(&["--json"])).unwrap();
    assert_eq!(
        (&json["traceparent"], &json["tracestate"]),
        (&PARENT.into(), &"a=1".into())
    );
    let other = PARENT.replace("b7", "c7");
    assert_eq!(
        printed(&["--parent", &other]),
        format!("export TRACEPARENT='{other}'\n")
    );
    // Nothing is recorded.
    assert_eq!(run(&spool, &["ls", "--json"]).expect_success().stdout, "");
}
