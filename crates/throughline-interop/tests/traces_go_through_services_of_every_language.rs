//! A request that goes through services on the OpenTelemetry SDKs of other languages and on Throughline, over HTTP and gRPC, by turns, is
//! one trace: each span is below that of whoever called, and tracestate and baggage arrive whole.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use throughline_testkit::{ReceivedSpan, Receiver, Spool, client, interop_peer, require_tool};

const CLIENT: i32 = 3;
const SERVER: i32 = 2;
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

#[test]
fn trace_goes_through_services_on_the_sdk_for_go() {
    trace_goes_through("go");
}

#[test]
fn trace_goes_through_services_on_the_sdk_for_java() {
    trace_goes_through("java");
}

#[test]
fn trace_goes_through_services_on_the_sdk_for_node() {
    trace_goes_through("node");
}

#[test]
fn trace_goes_through_services_on_the_sdk_for_python() {
    trace_goes_through("python");
}

/// Throughline calls the other and is called by it, over HTTP and gRPC.
fn trace_goes_through(language: &str) {
    let Some(program) = require_tool(interop_peer(language)) else {
        return;
    };
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let own = Hop::start(
        Command::new(env!("CARGO_BIN_EXE_hop")),
        "throughline",
        &receiver,
        &spool,
    );
    let other = Hop::start(Command::new(program), language, &receiver, &spool);
    let chain = [
        &own.http,
        &other.http,
        &own.grpc,
        &other.grpc,
        &own.http,
        &other.grpc,
        &own.grpc,
        &other.http,
        &own.http,
    ];

    let hops = chain[1..].iter().map(|hop| hop.as_str()).collect::<Vec<_>>().join(",");
    let url = format!("http://{}/hop?next={hops}", own.http.trim_start_matches("http:"));
    let headers = [
        ("traceparent", &*format!("00-{TRACE}-{PARENT}-01")),
        ("tracestate", "vendor=1,other=x:y"),
        ("baggage", "user.name=J%C3%BCrgen"),
    ];
    let answer = client::send("GET", &url, &headers, b"", Duration::from_secs(60)).expect("it answers");
    let answer = String::from_utf8(answer.body.to_vec()).expect("it is text");
    let lines: Vec<_> = answer.lines().collect();
    assert_eq!(lines.len(), chain.len(), "{answer}");
    for (number, line) in lines.iter().enumerate() {
        let service = if number % 2 == 0 { "throughline" } else { language };
        assert_eq!(
            *line,
            format!("service={service} trace={TRACE} state=vendor=1,other=x:y user=Jürgen"),
            "hop {number}"
        );
    }

    // A server's span for each hop, and a client's for each but the last.
    let count = 2 * chain.len() - 1;
    own.end();
    other.end();
    let spans = receiver.wait_for(count, Duration::from_secs(20)).expect("all come");
    assert_eq!(spans.len(), count, "{}", listed(&spans));
    assert!(spans.iter().all(|span| span.trace_id() == TRACE), "{}", listed(&spans));
    let mut parent = PARENT.to_owned();
    for number in 0..count {
        let (service, kind) = match number % 4 {
            0 => ("throughline", SERVER),
            1 => ("throughline", CLIENT),
            2 => (language, SERVER),
            _ => (language, CLIENT),
        };
        let below: Vec<_> = spans.iter().filter(|span| span.parent_span_id() == parent).collect();
        let [span] = below[..] else {
            panic!("span {number} is not alone below {parent}: {}", listed(&spans))
        };
        assert_eq!(
            (span.service(), span.kind),
            (Some(service), kind),
            "span {number} of {}",
            listed(&spans)
        );
        assert_eq!(span.trace_state, "vendor=1,other=x:y", "span {number}");
        parent = span.span_id();
    }
}

/// A program that runs until its stdin is closed.
struct Hop {
    child: Child,
    stdin: Option<ChildStdin>,
    http: String,
    grpc: String,
}

impl Hop {
    fn start(mut command: Command, name: &str, receiver: &Receiver, spool: &Spool) -> Self {
        let mut child = command
            .env("OTEL_SERVICE_NAME", name)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
            .env("XDG_STATE_HOME", spool.state_home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut ready = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout)
            .read_line(&mut ready)
            .expect("it says that it is ready");
        let said: HashMap<_, _> = ready
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .collect();
        let address = |protocol| {
            format!(
                "{protocol}:{}",
                said.get(protocol).unwrap_or_else(|| panic!("{name} says {ready:?}"))
            )
        };
        let (http, grpc) = (address("http"), address("grpc"));
        Self {
            stdin: child.stdin.take(),
            child,
            http,
            grpc,
        }
    }

    fn end(mut self) {
        drop(self.stdin.take());
        self.child.wait().expect("it ends");
    }
}

/// What came, a span per line.
fn listed(spans: &[ReceivedSpan]) -> String {
    let lines = spans.iter().map(|span| {
        let service = span.service().unwrap_or_default();
        let (id, parent) = (span.span_id(), span.parent_span_id());
        format!(
            "\n{service}: {} kind={} id={id} parent={parent} state={}",
            span.name, span.kind, span.trace_state
        )
    });
    lines.collect()
}
