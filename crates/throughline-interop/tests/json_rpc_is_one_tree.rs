//! JSON-RPC with its context in `params._meta`, as MCP has it, is one tree over stdio and over HTTP: P18, the transport's part.

use std::time::Duration;

use throughline_testkit::{Program, ReceivedSpan, Receiver, Spool};

const PROGRAM: &str = env!("CARGO_BIN_EXE_json_rpc");

/// Each span with the name of its parent, sorted.
fn parents(spans: &[ReceivedSpan]) -> Vec<String> {
    let name = |id: &str| {
        spans
            .iter()
            .find(|span| span.span_id() == id)
            .map_or("", |span| &*span.name)
    };
    let mut all: Vec<_> = spans
        .iter()
        .map(|span| format!("{} < {}", span.name, name(&span.parent_span_id())))
        .collect();
    all.sort();
    all
}

#[test]
fn json_rpc_over_stdio_is_one_tree() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let client = Program::at(PROGRAM, &spool)
        .arg("client-stdio")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    client.run().expect("it runs").expect_success();
    let spans = receiver.wait_for(7, Duration::from_secs(20)).expect("all come");
    let expected = [
        "notifications/initialized < notifications/initialized",
        "notifications/initialized < session",
        "session < ",
        "tools/call < session",
        "tools/call < tools/call",
        "work < notifications/initialized",
        "work < tools/call",
    ];
    assert_eq!(parents(&spans), expected);
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id), "one trace");
}

#[test]
fn json_rpc_over_http_is_one_tree_and_links_its_transport() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let program = |mode: &str| {
        Program::at(PROGRAM, &spool)
            .arg(mode)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
    };
    let server = program("server-http")
        .env("OTEL_BSP_SCHEDULE_DELAY", "50")
        .spawn()
        .expect("it starts");
    server.wait_for_stdout("/rpc").expect("it listens");
    let url = server.stdout().trim().to_owned();
    program("client-http").arg(url).run().expect("it runs").expect_success();
    let spans = receiver.wait_for(11, Duration::from_secs(20)).expect("all come");
    let expected = [
        "POST /rpc < POST",
        "POST /rpc < POST",
        "POST < notifications/initialized",
        "POST < tools/call",
        "notifications/initialized < notifications/initialized",
        "notifications/initialized < session",
        "session < ",
        "tools/call < session",
        "tools/call < tools/call",
        "work < notifications/initialized",
        "work < tools/call",
    ];
    assert_eq!(parents(&spans), expected);
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id), "one trace");
    for span in spans.iter().filter(|span| !span.links.is_empty()) {
        let linked = spans.iter().find(|other| other.span_id == span.links[0].span_id);
        assert_eq!(linked.map(|linked| &*linked.name), Some("POST /rpc"));
    }
    assert_eq!(spans.iter().filter(|span| !span.links.is_empty()).count(), 2);
}
