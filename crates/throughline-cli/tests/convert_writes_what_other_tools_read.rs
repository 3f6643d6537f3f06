//! `throughline convert`: each format, read again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::{run, run_with_stdin, throughline};
use serde_json::{Value, json};
use throughline_testkit::Spool;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Two services, a parent and a child with an error, an event, a link and values of all kinds, as this program writes them.
fn line() -> String {
    let value = |name: &str, value: Value| json!({ name: value });
    let attribute = |key: &str, value: Value| json!({"key": key, "value": value});
    let resource =
        |service: &str| json!({"attributes": [attribute("service.name", value("stringValue", service.into()))]});
    let parent = json!({
        "traceId": TRACE, "spanId": "b7ad6b7169203331", "name": "GET /", "kind": 2,
        "startTimeUnixNano": "1763719170000001000", "endTimeUnixNano": "1763719170000009000",
        "attributes": [
            attribute("text", value("stringValue", "a \"b\"".into())),
            attribute("whole", value("intValue", "7".into())),
            attribute("number", value("doubleValue", 0.5.into())),
            attribute("yes", value("boolValue", true.into())),
            attribute("list", value("arrayValue", json!({"values": [value("stringValue", "x".into())]}))),
        ],
        "events": [{"timeUnixNano": "1763719170000004000", "name": "retry", "attributes": [attribute("n", value("intValue", "2".into()))]}],
    });
    let child = json!({
        "traceId": TRACE, "spanId": "b7ad6b7169203332", "parentSpanId": "b7ad6b7169203331", "name": "query", "kind": 1,
        "startTimeUnixNano": "1763719170000002500", "endTimeUnixNano": "1763719170000005500",
        "links": [{"traceId": "1af7651916cd43dd8448eb211c80319c", "spanId": "c7ad6b7169203331"}],
        "status": {"message": "no such table", "code": 2},
    });
    let part = |service: &str, scope: &str, span: &Value| json!({"resource": resource(service), "scopeSpans": [{"scope": {"name": scope, "version": "1"}, "spans": [span]}]});
    json!({"resourceSpans": [part("shop", "http", &parent), part("db", "sql", &child)]}).to_string()
}

fn converted(spool: &Spool, to: &str) -> String {
    run_with_stdin(spool, &["convert", "--to", to, "-"], line())
        .expect_success()
        .stdout
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn json_to_protobuf_to_json_is_identity() {
    let spool = Spool::new().unwrap();
    let lines = line() + "\n" + &line().replace("GET", "PUT") + "\n";
    let files = ["in.jsonl", "out.binpb", "out.jsonl"].map(|name| spool.home().join(name));
    let [input, protobuf, output] = files.each_ref().map(|path| path.to_str().unwrap());
    fs::write(input, &lines).unwrap();
    run(&spool, &["convert", "--to", "otlp-protobuf", input, "-o", protobuf]).expect_success();
    run(&spool, &["convert", "--to", "otlp-json", protobuf, "-o", output]).expect_success();
    assert_eq!(fs::metadata(output).unwrap().permissions().mode() & 0o777, 0o600);
    let resource_spans = |text: &str| {
        let parts = text
            .lines()
            .flat_map(|line| parsed(line)["resourceSpans"].as_array().unwrap().clone());
        parts.collect::<Vec<_>>()
    };
    assert_eq!(
        resource_spans(&fs::read_to_string(output).unwrap()),
        resource_spans(&lines)
    );
    let again = run(&spool, &["convert", "--to", "otlp-json", input])
        .expect_success()
        .stdout;
    let lines: Vec<_> = lines.lines().map(parsed).collect();
    assert_eq!(again.lines().map(parsed).collect::<Vec<_>>(), lines);
}

#[test]
fn jaeger_file_has_traces_with_references_tags_and_processes() {
    let spool = Spool::new().unwrap();
    let file = parsed(&converted(&spool, "jaeger"));
    assert_eq!(file["data"].as_array().unwrap().len(), 1);
    let trace = &file["data"][0];
    assert_eq!(trace["traceID"], TRACE);
    let [parent, child] = [&trace["spans"][0], &trace["spans"][1]];
    assert_eq!(
        (&parent["operationName"], &parent["references"]),
        (&"GET /".into(), &json!([]))
    );
    assert_eq!(
        (&parent["startTime"], &parent["duration"]),
        (&1_763_719_170_000_001_u64.into(), &8.into())
    );
    let tag = |span: &Value, key: &str| {
        let tags = span["tags"].as_array().unwrap();
        let tag = tags.iter().find(|tag| tag["key"] == key).unwrap();
        (tag["type"].as_str().unwrap().to_owned(), tag["value"].clone())
    };
    for (key, kind, value) in [
        ("text", "string", json!("a \"b\"")),
        ("whole", "int64", json!(7)),
        ("number", "float64", json!(0.5)),
        ("yes", "bool", json!(true)),
        ("list", "string", json!("[\"x\"]")),
        ("span.kind", "string", json!("server")),
        ("otel.scope.name", "string", json!("http")),
    ] {
        assert_eq!(tag(parent, key), (kind.to_owned(), value), "{key}");
    }
    let fields = json!([
        {"key": "event", "type": "string", "value": "retry"},
        {"key": "n", "type": "int64", "value": 2},
    ]);
    assert_eq!(
        parent["logs"],
        json!([{"timestamp": 1_763_719_170_000_004_u64, "fields": fields}])
    );
    let references = json!([
        {"refType": "CHILD_OF", "traceID": TRACE, "spanID": "b7ad6b7169203331"},
        {"refType": "FOLLOWS_FROM", "traceID": "1af7651916cd43dd8448eb211c80319c", "spanID": "c7ad6b7169203331"},
    ]);
    assert_eq!(child["references"], references);
    assert_eq!(tag(child, "error"), ("bool".to_owned(), json!(true)));
    assert_eq!(tag(child, "otel.status_description").1, "no such table");
    let service = |span: &Value| trace["processes"][span["processID"].as_str().unwrap()]["serviceName"].clone();
    assert_eq!((service(parent), service(child)), ("shop".into(), "db".into()));
}

#[test]
fn chrome_file_has_complete_events_by_process() {
    let spool = Spool::new().unwrap();
    let file = parsed(&converted(&spool, "chrome"));
    assert_eq!(file["otherData"]["startTimeUnixNano"], "1763719170000001000");
    let events = file["traceEvents"].as_array().unwrap();
    let of_kind = |kind: &str| events.iter().filter(|event| event["ph"] == kind).collect::<Vec<_>>();
    let names: Vec<_> = of_kind("M").iter().map(|event| event["args"]["name"].clone()).collect();
    assert_eq!(names, ["shop", "db"]);
    let spans = of_kind("X");
    assert_eq!(
        (&spans[0]["name"], &spans[1]["name"]),
        (&"GET /".into(), &"query".into())
    );
    assert_eq!((&spans[0]["ts"], &spans[0]["dur"]), (&0.0.into(), &8.0.into()));
    assert_eq!((&spans[1]["ts"], &spans[1]["dur"]), (&1.5.into(), &3.0.into()));
    assert_ne!(spans[0]["pid"], spans[1]["pid"]);
    assert_eq!(spans[0]["args"]["attributes"]["whole"], 7);
    assert_eq!(spans[1]["args"]["error"], "no such table");
    assert_eq!(of_kind("i")[0]["ts"], 3.0);
}

#[test]
fn folded_stacks_have_self_times() {
    let spool = Spool::new().unwrap();
    assert_eq!(converted(&spool, "folded"), "shop;GET / 5\nshop;GET /;db;query 3\n");
}

#[test]
fn spool_is_converted_by_trace_and_filter() {
    let spool = Spool::new().unwrap();
    for (name, id) in [("one", "a"), ("two", "b")] {
        throughline(&spool, &["run", "--name", name, "true"])
            .env("TRACEPARENT", format!("00-{id:0<32}-b7ad6b7169203331-01"))
            .run()
            .unwrap();
    }
    let names = |options: &[&str]| {
        let arguments = [&["convert", "--to", "otlp-json"], options].concat();
        let text = run(&spool, &arguments).expect_success().stdout;
        let mut names: Vec<_> = text
            .split("\"name\":\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap())
            .collect();
        names.retain(|name| ["one", "two"].contains(name));
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(names(&[]), "one two");
    assert_eq!(names(&["--trace", "a00"]), "one");
    assert_eq!(names(&["--name", "t*"]), "two");
    assert_eq!(names(&["--error"]), "");
}

#[test]
fn bad_lines_are_named_and_the_rest_is_converted() {
    let spool = Spool::new().unwrap();
    let output = spool.home().join("out.jsonl");
    let input = format!("{}\nnonsense\n{}\n", line(), line());
    let arguments = ["convert", "--to", "otlp-json", "-", "-o", output.to_str().unwrap()];
    let finished = run_with_stdin(&spool, &arguments, input);
    assert_eq!(
        (finished.code, finished.stderr.lines().count()),
        (Some(1), 2),
        "{finished}"
    );
    assert!(
        finished.stderr.contains("stdin: line 2: no OTLP/JSON at byte 0"),
        "{finished}"
    );
    assert!(finished.stderr.contains("1 of 3 parts could not be read"), "{finished}");
    assert_eq!(fs::read_to_string(output).unwrap().lines().count(), 2);

    let missing = run(&spool, &["convert", "--to", "chrome", "none.jsonl", "-o", "made"]);
    assert_eq!((missing.code, missing.stderr.lines().count()), (Some(1), 1));
    assert!(!spool.home().join("made").exists());
    let nowhere = run(&spool, &["convert", "--to", "chrome", "-o", "/no/such/directory/x"]);
    assert_eq!(
        (nowhere.code, nowhere.stderr.lines().count()),
        (Some(1), 1),
        "{nowhere}"
    );
}
