//! What the official W3C trace-context harness asks of a service (strict level 2, specification level 2), as a table: a request with
//! these headers comes in, and a call goes out, through each of the seams. The harness itself: docs/http.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use throughline_testkit::{Program, Spool};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const TRACE: &str = "12345678901234567890123456789012";
const PARENT: &str = "traceparent: 00-12345678901234567890123456789012-1234567890123456-01";

/// Headers that come in; whether the trace goes on; the tracestate that goes out, where it is asked for.
type Case = (String, bool, Option<&'static str>);

fn cases() -> Vec<Case> {
    let parent = |value: &str| format!("traceparent: {value}");
    let state = |value: &str| format!("{PARENT}\ntracestate: {value}");
    let mut cases: Vec<Case> = vec![
        (String::new(), false, Some("")),
        (PARENT.to_owned(), true, Some("")),
        (format!("{PARENT}\n{PARENT}"), false, None),
        (PARENT.replace("traceparent", "trace-parent"), false, None),
        (PARENT.replace("traceparent", "trace.parent"), false, None),
        (PARENT.replace("traceparent", "TraceParent"), true, None),
        (PARENT.replace("traceparent", "TRACEPARENT"), true, None),
        (format!("{PARENT}."), false, None),
        (format!("{PARENT}-what-the-future-will-be-like"), false, None),
        (PARENT.replace(": 00", ": cc"), true, None),
        (
            format!("{}-what-the-future-will-be-like", PARENT.replace(": 00", ": cc")),
            true,
            None,
        ),
        (format!("{}.what", PARENT.replace(": 00", ": cc")), false, None),
        (PARENT.replace(": 00", ": ff"), false, None),
        (PARENT.replace(": 00", ": .0"), false, None),
        (PARENT.replace(": 00", ": 0."), false, None),
        (PARENT.replace(": 00", ": 000"), false, None),
        (PARENT.replace(": 00", ": 0"), false, None),
        (PARENT.replace("-01", "-.0"), false, None),
        (PARENT.replace("-01", "-001"), false, None),
        (PARENT.replace("-01", "-1"), false, None),
        (
            parent(&format!("00-{}-1234567890123456-01", "0".repeat(32))),
            false,
            None,
        ),
        (parent(&format!("00-.{}-1234567890123456-01", &TRACE[1..])), false, None),
        (parent(&format!("00-{TRACE}3-1234567890123456-01")), false, None),
        (parent(&format!("00-{}-1234567890123456-01", &TRACE[1..])), false, None),
        (parent(&format!("00-{TRACE}-0000000000000000-01")), false, None),
        (parent(&format!("00-{TRACE}-.234567890123456-01")), false, None),
        (parent(&format!("00-{TRACE}-12345678901234567-01")), false, None),
        (parent(&format!("00-{TRACE}-123456789012345-01")), false, None),
        (PARENT.replace(": ", ":  \t").replace("-01", "-01 \t "), true, None),
        ("tracestate: foo=1".to_owned(), false, Some("")),
        (state("foo=1,bar=2"), true, Some("foo=1,bar=2")),
        (format!("{PARENT}\ntrace-state: foo=1"), true, Some("")),
        (format!("{PARENT}\nTraceState: foo=1"), true, Some("foo=1")),
        (state(""), true, Some("")),
        (state("foo=1\ntracestate: "), true, Some("foo=1")),
        (state("foo=1,\ntracestate: bar=2"), true, Some("foo=1,bar=2")),
        (state("foo=1 \t , \t bar=2"), true, Some("foo=1,bar=2")),
        (state("foo=1,foo=1"), true, None),
        (state("foo =1"), true, Some("")),
        (state("FOO=1"), true, Some("")),
        (state("foo.bar=1"), true, Some("")),
        (state("foo@=1,bar=2"), true, None),
        (state("foo=bar=baz"), true, Some("")),
        (state("foo=,bar=3"), true, None),
        (state(&format!("{}=1", "z".repeat(257))), true, Some("")),
    ];
    let members = |count: usize| {
        (1..=count)
            .map(|number| format!("bar{number:02}=1"))
            .collect::<Vec<_>>()
            .join(",")
    };
    cases.push((state(&members(33)), true, Some("")));
    cases
}

/// The headers of the one call that the service makes.
async fn exchange(service: &str, callback: &str, headers: &str) {
    let body = format!("[{{\"url\": \"{callback}\", \"arguments\": []}}]");
    let headers = if headers.is_empty() {
        String::new()
    } else {
        format!("{headers}\n").replace('\n', "\r\n")
    };
    let length = body.len();
    let request = format!(
        "POST /test HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    let mut stream = TcpStream::connect(service).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{headers}: {answer}");
}

#[tokio::test]
async fn trace_goes_on_as_the_harness_asks_through_http_layers() {
    trace_goes_on_or_begins("http").await;
}

#[tokio::test]
async fn trace_goes_on_as_the_harness_asks_through_the_opentelemetry_api() {
    trace_goes_on_or_begins("opentelemetry").await;
}

#[tokio::test]
async fn trace_goes_on_as_the_harness_asks_through_tracing() {
    trace_goes_on_or_begins("tracing").await;
}

async fn trace_goes_on_or_begins(seam: &str) {
    let called: Arc<Mutex<Vec<HeaderMap>>> = Arc::default();
    let calls = called.clone();
    let callback = post(move |headers: HeaderMap| async move { calls.lock().unwrap().push(headers) });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let callback_url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", callback)).await });
    let spool = Spool::new().unwrap();
    let service = Program::at(env!("CARGO_BIN_EXE_trace_context"), &spool);
    let service = service.arg(seam).spawn().unwrap();
    service.wait_for_stdout("/test").unwrap();
    let stdout = service.stdout();
    let address = stdout.trim().trim_start_matches("http://").trim_end_matches("/test");
    for (headers, goes_on, state) in cases() {
        exchange(address, &callback_url, &headers).await;
        let mut called = std::mem::take(&mut *called.lock().unwrap());
        assert_eq!(called.len(), 1, "{headers}");
        let called = called.remove(0);
        let parents: Vec<_> = called
            .get_all("traceparent")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect();
        assert_eq!(parents.len(), 1, "{headers}");
        let parts: Vec<_> = parents[0].split('-').collect();
        assert_eq!(
            (parts[0], parts[1].len(), parts[2].len(), parts[3].len()),
            ("00", 32, 16, 2),
            "{headers}"
        );
        assert_eq!(parts[1] == TRACE, goes_on, "{headers}");
        assert_ne!(parts[2], "1234567890123456", "{headers}");
        if let Some(state) = state {
            let states: Vec<_> = called
                .get_all("tracestate")
                .iter()
                .map(|value| value.to_str().unwrap())
                .collect();
            assert_eq!(states.join(","), state, "{headers}");
        }
    }
}
