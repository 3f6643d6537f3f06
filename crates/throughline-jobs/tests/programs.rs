//! Programs as processes of their own: commands over a pipe, a controller, a server with a durable endpoint.
#![cfg(all(feature = "endpoint", feature = "serde"))]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::otlp::trace::v1::span::SpanKind;
use throughline_testkit::otlp::trace::v1::status::StatusCode;
use throughline_testkit::{Program, ReceivedSpan, Receiver, Running, Spool};

const KEY: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

struct Stage {
    receiver: Receiver,
    spool: Spool,
}

impl Stage {
    fn new() -> Self {
        Self {
            receiver: Receiver::start().expect("loopback has a free port"),
            spool: Spool::new().expect("a private directory"),
        }
    }

    fn program(&self, example: &str) -> Program {
        Program::example(example, &self.spool)
            .expect("Cargo builds the examples of this package")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.endpoint())
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
    }

    fn wait_for(&self, is_there: impl Fn(&[ReceivedSpan]) -> bool) -> Vec<ReceivedSpan> {
        let mut count = 1;
        loop {
            let received = self
                .receiver
                .wait_for(count, Duration::from_secs(60))
                .expect("spans come");
            count = received.len() + 1;
            let spans = each_once(received);
            if is_there(&spans) {
                return spans;
            }
        }
    }
}

/// What a process has sent just before it was killed may come again.
fn each_once(mut spans: Vec<ReceivedSpan>) -> Vec<ReceivedSpan> {
    let mut seen = HashSet::new();
    spans.retain(|span| seen.insert(span.span_id()));
    spans
}

fn named<'s>(spans: &'s [ReceivedSpan], name: &str) -> Vec<&'s ReceivedSpan> {
    let mut named: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    named.sort_by_key(|span| span.start_time_unix_nano);
    named
}

fn is_error(span: &ReceivedSpan) -> bool {
    span.status
        .as_ref()
        .is_some_and(|status| status.code == StatusCode::Error as i32)
}

fn text(span: &ReceivedSpan, key: &str) -> String {
    match span.attribute(key) {
        Some(Value::StringValue(text)) => text.clone(),
        other => panic!("{} has no text {key}, but {other:?}", span.name),
    }
}

fn number(span: &ReceivedSpan, key: &str) -> Option<i64> {
    match span.attribute(key)? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn links(span: &ReceivedSpan) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    span.links.iter().map(|link| hex(&link.span_id)).collect()
}

#[test]
fn worker_process_continues_the_span_of_each_command() {
    let stage = Stage::new();
    stage.program("commands").run().expect("it runs").expect_success();
    let spans = stage.wait_for(|spans| spans.len() == 11);
    let requests = named(&spans, "POST /run");
    assert_eq!(requests.len(), 3);
    for (index, request) in requests.iter().enumerate() {
        let of_request = |name| {
            named(&spans, name)
                .into_iter()
                .find(|span| span.trace_id() == request.trace_id())
        };
        let (send, process) = (
            of_request("send commands").expect("sent"),
            of_request("process commands").expect("run"),
        );
        assert_eq!(send.parent_span_id(), request.span_id());
        assert_eq!(process.parent_span_id(), send.span_id());
        assert_eq!(
            (request.service(), process.service()),
            (Some("notebook-server"), Some("notebook-worker"))
        );
        assert_eq!(is_error(process), index == 2, "the third divides by zero");
        assert_eq!(of_request("evaluate").is_some(), index < 2);
    }
    assert_ne!(
        requests[0].trace_id(),
        requests[1].trace_id(),
        "each command has its own"
    );
}

#[test]
fn reconcile_span_is_linked_to_the_deploy_that_wrote_the_record() {
    let stage = Stage::new();
    let record = stage.spool.home().join("shop.json");
    stage
        .program("controller")
        .arg("deploy")
        .arg(&record)
        .arg("v7")
        .run()
        .expect("it runs")
        .expect_success();
    for _ in 0..2 {
        stage
            .program("controller")
            .arg("reconcile")
            .arg(&record)
            .run()
            .expect("it runs")
            .expect_success();
    }
    let spans = stage.wait_for(|spans| spans.len() == 5);
    let (deploy, reconciled) = (named(&spans, "deploy")[0], named(&spans, "reconcile app"));
    assert_eq!(reconciled.len(), 2);
    for span in reconciled {
        assert_eq!(links(span), [deploy.span_id()]);
        assert_eq!(
            (span.parent_span_id().as_str(), span.service()),
            ("", Some("controller"))
        );
        assert_ne!(span.trace_id(), deploy.trace_id());
        assert_eq!(
            (text(span, "app.id").as_str(), text(span, "app.version").as_str()),
            ("shop", "v7")
        );
    }
    // A record that somebody else wrote: served, without a link; what it asks for fails.
    std::fs::write(&record, r#"{"id":"shop","active_version":"","trace":["no","context"]}"#)
        .expect("it can be written");
    let failed = stage
        .program("controller")
        .arg("reconcile")
        .arg(&record)
        .run()
        .expect("it runs");
    assert_eq!(failed.code, Some(1));
    let spans = stage.wait_for(|spans| spans.len() == 6);
    let last = named(&spans, "reconcile app")[2];
    assert!(is_error(last) && last.links.is_empty());
}

struct Server<'s> {
    running: Running,
    stage: &'s Stage,
}

impl<'s> Server<'s> {
    fn start(stage: &'s Stage) -> Self {
        let file = stage.spool.home().join("reports");
        let running = stage
            .program("tracker")
            .arg(file)
            .timeout(Duration::from_secs(120))
            .spawn()
            .expect("it runs");
        running.wait_for_stdout("listening on 127.0.0.1:").expect("it listens");
        running.wait_for_stdout("\n").expect("a whole line");
        Self { running, stage }
    }

    fn ask(&self, request: &str) -> String {
        let stdout = self.running.stdout();
        let address = stdout
            .lines()
            .find_map(|line| line.strip_prefix("listening on "))
            .expect("an address");
        let mut stream = TcpStream::connect(address).expect("it listens");
        writeln!(stream, "{request}").expect("it reads");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("it answers");
        answer.trim_end().to_owned()
    }
}

#[test]
fn durable_endpoint_survives_kill_9_with_context_and_error_queue() {
    let stage = Stage::new();
    let server = Server::start(&stage);
    assert_eq!(server.ask("not-a-key report.create 42"), "no key");
    assert_eq!(server.ask(&format!("{KEY} report.read 1")), "failed: no such report");
    assert_eq!(server.ask(&format!("{KEY} report.explode 1")), "failed: no such route");
    assert_eq!(server.ask(&format!("{KEY} report.create hang")), "queued 1");
    server.running.wait_for_stdout("hanging").expect("it is at work");
    assert_eq!(server.ask(&format!("{KEY} report.create broken")), "queued 2");
    server.running.kill9().expect("it can be killed");
    drop(server);

    let server = Server::start(&stage);
    server
        .running
        .wait_for_stdout("done hang")
        .expect("the second attempt succeeds");
    server
        .running
        .wait_for_stdout("errors: 1")
        .expect("the broken one fails twice");
    assert_eq!(server.ask(&format!("{KEY} errors.inspect")), "broken tenant=acme");
    server.running.kill9().expect("it can be killed");
    drop(server);

    let server = Server::start(&stage);
    assert_eq!(
        server.ask(&format!("{KEY} errors.inspect")),
        "broken tenant=acme",
        "the error queue survives"
    );
    assert_eq!(server.ask(&format!("{KEY} errors.reprocess")), "1 again");
    server
        .running
        .wait_for_stdout("done broken")
        .expect("the third attempt succeeds");
    let all_there = |spans: &[ReceivedSpan]| {
        named(spans, "process report.create").len() >= 5 && named(spans, "errors.reprocess").len() == 1
    };
    let spans = server.stage.wait_for(all_there);

    let key_span = &KEY[37..];
    let created = named(&spans, "report.create");
    for request in &created {
        assert_eq!(
            (request.trace_id().as_str(), request.parent_span_id().as_str()),
            (TRACE, key_span)
        );
        assert_eq!(request.kind, SpanKind::Server as i32);
        assert_eq!(text(request, "request.trace_id"), &KEY[..36]);
        assert_eq!(text(request, "request.span_id"), key_span);
        assert_eq!(text(request, "request.route_key"), "report.create");
    }
    assert!(is_error(named(&spans, "report.read")[0]) && is_error(named(&spans, "unknown route")[0]));

    let attempts = |request: &ReceivedSpan| -> Vec<&ReceivedSpan> {
        let all = named(&spans, "process report.create");
        all.into_iter()
            .filter(|span| span.parent_span_id() == request.span_id())
            .collect()
    };
    let numbers =
        |attempts: &[&ReceivedSpan], key| -> Vec<_> { attempts.iter().map(|span| number(span, key)).collect() };
    let hung = attempts(created[0]);
    assert_eq!(numbers(&hung, "throughline.job.attempt"), [Some(1), Some(2)]);
    assert_eq!(numbers(&hung, "request.retries"), [Some(0), Some(1)]);
    assert!(
        is_error(hung[0]) && !is_error(hung[1]),
        "the first was open when its process was killed"
    );
    assert_eq!(links(hung[1]), [created[0].span_id(), hung[0].span_id()]);
    assert_eq!(hung[1].attribute("process.success"), Some(&Value::BoolValue(true)));

    let broken = attempts(created[1]);
    assert_eq!(numbers(&broken, "throughline.job.attempt"), [Some(1), Some(2), Some(3)]);
    assert_eq!(
        numbers(&broken, "request.retries"),
        [Some(0), Some(1), Some(0)],
        "reprocessed, it gets its attempts back"
    );
    assert_eq!(
        broken.iter().map(|span| is_error(span)).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(
        links(broken[2]),
        [created[1].span_id(), broken[0].span_id(), broken[1].span_id()]
    );
    assert!(broken.iter().all(|span| matches!(
        span.attribute("throughline.job.queue_wait"),
        Some(Value::DoubleValue(_))
    )));
}

#[test]
fn entry_that_kills_each_process_ends_in_the_error_queue() {
    let stage = Stage::new();
    let server = Server::start(&stage);
    assert_eq!(server.ask(&format!("{KEY} report.create poison")), "queued 1");
    server.running.wait_for_stdout("hanging").expect("it is at work");
    server.running.kill9().expect("it can be killed");
    drop(server);
    let server = Server::start(&stage);
    server
        .running
        .wait_for_stdout("hanging")
        .expect("the second attempt hangs too");
    server.running.kill9().expect("it can be killed");
    drop(server);
    let server = Server::start(&stage);
    server.running.wait_for_stdout("errors: 1").expect("there is no third");
    assert_eq!(server.ask(&format!("{KEY} errors.inspect")), "poison tenant=acme");
    let spans = stage.wait_for(|spans| named(spans, "process report.create").len() == 2);
    assert!(named(&spans, "process report.create").iter().all(|span| is_error(span)));
}
