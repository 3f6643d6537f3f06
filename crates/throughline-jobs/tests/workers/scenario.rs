//! What every adapter goes through.

use std::collections::HashSet;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::otlp::trace::v1::span::SpanKind;
use throughline_testkit::otlp::trace::v1::status::StatusCode;
use throughline_testkit::{Program, ReceivedSpan, Receiver, Spool};

/// Sends and processes with one of the programs, checks the spans, and gives them all.
pub fn run(program: &str, system: &str, destination: &str, url: &str) -> Vec<ReceivedSpan> {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let start = |arguments: &[&str]| {
        Program::example(program, &spool)
            .expect("Cargo builds the examples of this package")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("URL", url)
            .args(arguments)
    };
    let done = |arguments: &[&str]| start(arguments).run().expect("it runs").expect_success();
    if !matches!(program, "nats_jobs" | "rabbitmq_jobs" | "redis_list_jobs") {
        done(&["table"]);
    }

    done(&["send", "hang"]);
    let worker = start(&["work", "1"]).spawn().expect("it runs");
    worker.wait_for_stdout("hanging").expect("it has the order");
    worker.kill9().expect("it can be killed");
    drop(worker);
    assert_eq!(done(&["work", "1"]).stdout, "done hang\n");
    done(&["send", "bad"]);
    done(&["work", "1"]);
    done(&["send", "book", "pen", "lamp"]);
    done(&["batch"]);

    // What was open in the worker that died, and what an exit had no time for, comes with a later start.
    let mut spans = Vec::new();
    for _ in 0..30 {
        spans = each_once(receiver.spans());
        if is_complete(&spans) {
            break;
        }
        done(&["send"]);
    }
    assert!(is_complete(&spans), "all spans come in the end: {spans:#?}");
    let dead = format!("{destination}.dead");
    let sends = named(&spans, &format!("send {destination}"));
    let created: Vec<_> = sends
        .iter()
        .copied()
        .filter(|span| span.kind == SpanKind::Producer as i32)
        .collect();
    let processed = named(&spans, &format!("process {destination}"));
    assert_eq!(created.len(), 5, "five orders were sent");
    for span in created.iter().chain(&processed) {
        assert_eq!(text(span, "messaging.system.name"), system);
        assert_eq!(text(span, "messaging.destination.name"), destination);
    }
    killed_worker_is_followed_by_a_second_attempt(created[0], &processed);
    bad_order_is_a_dead_letter(created[1], &processed, &named(&spans, &format!("send {dead}")));
    batch_links_its_orders(
        &created[2..],
        &processed,
        &named(&spans, &format!("receive {destination}")),
    );
    spans
}

/// Five orders sent, one buried; two attempts for each of two, and a batch of three.
fn is_complete(spans: &[ReceivedSpan]) -> bool {
    let count = |is: &dyn Fn(&ReceivedSpan) -> bool| spans.iter().filter(|span| is(span)).count();
    count(&|span| span.kind == SpanKind::Producer as i32) == 5
        && count(&|span| span.name.starts_with("send ") && span.name.ends_with(".dead")) == 1
        && count(&|span| span.name.starts_with("process ")) == 5
        && count(&|span| number(span, "messaging.batch.message_count") == Some(3)) == 2
}

/// What a process has sent just before it was killed may come again.
fn each_once(mut spans: Vec<ReceivedSpan>) -> Vec<ReceivedSpan> {
    let mut seen = HashSet::new();
    spans.retain(|span| seen.insert(span.span_id()));
    spans
}

fn killed_worker_is_followed_by_a_second_attempt(created: &ReceivedSpan, processed: &[&ReceivedSpan]) {
    let attempts = attempts_of(created, processed);
    assert_eq!(attempts.iter().map(|span| attempt(span)).collect::<Vec<_>>(), [1, 2]);
    assert!(
        is_error(attempts[0]) && !is_error(attempts[1]),
        "the first was open when its worker died"
    );
    for span in attempts {
        assert_eq!(span.parent_span_id(), created.span_id());
        assert!(links(span).contains(&created.span_id()));
        assert!(matches!(span.attribute("throughline.job.queue_wait"), Some(Value::DoubleValue(wait)) if *wait >= 0.0));
    }
}

fn bad_order_is_a_dead_letter(created: &ReceivedSpan, processed: &[&ReceivedSpan], dead: &[&ReceivedSpan]) {
    let attempts = attempts_of(created, processed);
    assert_eq!(attempts.iter().map(|span| attempt(span)).collect::<Vec<_>>(), [1, 2]);
    assert!(attempts.iter().all(|span| is_error(span)));
    let [dead] = dead else {
        panic!("one dead letter, not {}", dead.len())
    };
    assert_eq!(dead.kind, SpanKind::Client as i32, "it creates nothing");
    assert_eq!(text(dead, "throughline.job.resend"), "dead_letter");
    assert_eq!(text(dead, "throughline.job.reason"), "max_attempts");
    assert_eq!(links(dead), [created.span_id(), attempts[1].span_id()]);
}

fn batch_links_its_orders(created: &[&ReceivedSpan], processed: &[&ReceivedSpan], received: &[&ReceivedSpan]) {
    let is_batch = |span: &&&ReceivedSpan| number(span, "messaging.batch.message_count") == Some(3);
    let process = processed.iter().find(is_batch).expect("a batch was processed");
    let receive = received.iter().find(is_batch).expect("a batch was received");
    assert_eq!(receive.kind, SpanKind::Client as i32);
    assert_eq!(process.kind, SpanKind::Consumer as i32);
    for span in [process, receive] {
        assert_eq!(span.parent_span_id(), "", "no creator is the parent");
        assert!(created.iter().all(|order| links(span).contains(&order.span_id())));
    }
    assert!(links(process).contains(&receive.span_id()));
}

/// The spans of job-table statements join the traces of sends and follow the conventions for databases.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub fn sql_spans_are_right(spans: &[ReceivedSpan], system: &str) {
    let inserts = named(spans, "INSERT orders");
    assert_eq!(inserts.len(), 5);
    let kind = if system == "sqlite" {
        SpanKind::Internal
    } else {
        SpanKind::Client
    };
    for insert in inserts {
        assert_eq!(insert.kind, kind as i32);
        assert_eq!(text(insert, "db.system.name"), system);
        assert_eq!(text(insert, "db.operation.name"), "INSERT");
        assert_eq!(text(insert, "db.collection.name"), "orders");
        assert_eq!(text(insert, "db.query.summary"), "INSERT orders");
        assert!(text(insert, "db.query.text").starts_with("INSERT INTO orders (payload, trace) VALUES ("));
        assert!(
            spans
                .iter()
                .any(|span| span.span_id() == insert.parent_span_id() && span.name == "send orders")
        );
    }
    assert_eq!(
        named(spans, "UPDATE orders").len(),
        2,
        "a retry and a burial; polls start no trace"
    );
}

fn attempts_of<'s>(created: &ReceivedSpan, processed: &[&'s ReceivedSpan]) -> Vec<&'s ReceivedSpan> {
    let of_order = |span: &&ReceivedSpan| span.trace_id() == created.trace_id();
    let mut attempts: Vec<_> = processed.iter().copied().filter(of_order).collect();
    attempts.sort_by_key(|span| attempt(span));
    attempts
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

fn attempt(span: &ReceivedSpan) -> i64 {
    number(span, "throughline.job.attempt").unwrap_or_default()
}

fn number(span: &ReceivedSpan, key: &str) -> Option<i64> {
    match span.attribute(key)? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

pub fn text<'s>(span: &'s ReceivedSpan, key: &str) -> &'s str {
    match span.attribute(key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{} has no text {key}, but {other:?}", span.name),
    }
}

fn links(span: &ReceivedSpan) -> Vec<String> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    span.links.iter().map(|link| hex(&link.span_id)).collect()
}
