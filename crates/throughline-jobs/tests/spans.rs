//! The spans of the core: kinds, names, attributes, parents, links.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, SystemTime};

use throughline::testing::{Capture, CapturedSpan, capture};
use throughline::{Context, SpanId, SpanKind, StatusCode, span};
use throughline_jobs::{JobContext, Message, Operation, Queue, Record, Relation, periodic};

type Headers = HashMap<String, String>;

static ORDERS: Queue = Queue::new("test", "orders");
static DEAD: Queue = Queue::new("test", "orders.dead");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn sent(queue: &Queue) -> Headers {
    let mut headers = Headers::new();
    queue.send(&mut headers).run(|| ());
    headers
}

fn links(span: &CapturedSpan) -> Vec<SpanId> {
    span.links().filter_map(|link| link.span_id()).collect()
}

fn text(span: &CapturedSpan, key: &str) -> Option<String> {
    Some(span.attribute(key)?.as_str()?.to_owned())
}

fn number(span: &CapturedSpan, key: &str) -> Option<i64> {
    span.attribute(key)?.as_i64()
}

fn named(capture: &Capture, name: &str) -> Vec<CapturedSpan> {
    capture.spans().into_iter().filter(|span| span.name() == name).collect()
}

#[test]
fn operations_have_the_kinds_and_names_of_the_conventions() {
    let capture = capture();
    let mut headers = sent(&ORDERS);
    let mut message = Message::of(&headers);
    ORDERS.poll().received_one(&mut message);
    ORDERS.process(&mut message, || ());
    ORDERS.settle("ack", &message).run(|| ());
    ORDERS.send(&mut headers).run(|| ());
    #[rustfmt::skip]
    let expected = [
        ("send orders", SpanKind::Producer, "send", "send"),
        ("receive orders", SpanKind::Client, "receive", "receive"),
        ("process orders", SpanKind::Consumer, "process", "process"),
        ("ack orders", SpanKind::Client, "ack", "settle"),
        ("send orders", SpanKind::Client, "send", "send"),
    ];
    let mut found = capture.spans();
    assert_eq!(found.len(), expected.len());
    for (name, kind, operation, kind_of_operation) in expected {
        let at = found
            .iter()
            .position(|span| (span.name(), span.kind()) == (name, kind))
            .expect(name);
        let span = found.remove(at);
        assert_eq!(text(&span, "messaging.system.name").as_deref(), Some("test"));
        assert_eq!(text(&span, "messaging.destination.name").as_deref(), Some("orders"));
        assert_eq!(text(&span, "messaging.operation.name").as_deref(), Some(operation));
        assert_eq!(
            text(&span, "messaging.operation.type").as_deref(),
            Some(kind_of_operation)
        );
        assert!(
            span.attribute("messaging.batch.message_count").is_none(),
            "never on one message"
        );
    }
}

#[test]
fn queue_tells_of_server_group_and_temporary_names() {
    let capture = capture();
    let queue = Queue::named("kafka", String::from("replies-7"))
        .server("kafka.internal", 9092)
        .consumer_group("billing")
        .temporary();
    let headers = sent(&queue);
    queue.process(&mut Message::of(&headers).id("m-1"), || ());
    let (send, process) = (capture.span("send"), capture.span("process"));
    assert_eq!(text(&send, "server.address").as_deref(), Some("kafka.internal"));
    assert_eq!(number(&send, "server.port"), Some(9092));
    assert!(send.attribute("messaging.consumer.group.name").is_none());
    assert_eq!(
        text(&process, "messaging.consumer.group.name").as_deref(),
        Some("billing")
    );
    assert_eq!(text(&process, "messaging.message.id").as_deref(), Some("m-1"));
    assert_eq!(
        process.attribute("messaging.destination.temporary").unwrap().as_bool(),
        Some(true)
    );
}

#[test]
fn relation_decides_between_child_and_link() {
    let hour = Duration::from_secs(3600);
    let day_ago = SystemTime::now() - 24 * hour;
    let day_ago = day_ago.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    let old = format!("{PARENT} job=c={day_ago}");
    let new = {
        let _capture = capture();
        sent(&ORDERS).read().to_string()
    };
    #[rustfmt::skip]
    let cases = [
        (Relation::DEFAULT, &new, true),
        (Relation::DEFAULT, &old, false),
        (Relation::DEFAULT, &PARENT.to_owned(), true),
        (Relation::ParentWithin(48 * hour), &old, true),
        (Relation::Parent, &old, true),
        (Relation::Link, &new, false),
    ];
    for (relation, line, is_child) in cases {
        let capture = capture();
        let queue = Queue::new("test", "cut").relation(relation);
        let mut message = Message::of(line);
        queue.process(&mut message, || ());
        let creator = JobContext::parse(line).context().span_context().unwrap();
        let process = capture.spans().pop().unwrap();
        let case = format!("{relation:?} {line}");
        assert_eq!(process.parent_span_id().is_some(), is_child, "{case}");
        assert_eq!(process.trace_id() == creator.trace_id(), is_child, "{case}");
        assert_eq!(links(&process), [creator.span_id()], "there is always a link: {case}");
    }
}

#[test]
fn process_span_links_the_live_span_it_is_no_child_of() {
    let capture = capture();
    let headers = sent(&ORDERS);
    span!("worker").in_scope(|| ORDERS.process(&mut Message::of(&headers), || span!("charge").end()));
    capture.assert_tree("send orders\n  process orders\n    charge\nworker");
    let (send, worker) = (capture.span("send orders"), capture.span("worker"));
    assert_eq!(
        links(&capture.span("process orders")),
        [send.span_id(), worker.span_id()]
    );
}

#[test]
fn linked_job_is_a_child_of_the_live_span() {
    let capture = capture();
    let queue = Queue::new("test", "orders").relation(Relation::Link);
    let headers = sent(&queue);
    span!("worker").in_scope(|| queue.process(&mut Message::of(&headers), || ()));
    capture.assert_tree("send orders\nworker\n  process orders");
    assert_eq!(
        links(&capture.span("process orders")),
        [capture.span("send orders").span_id()]
    );
}

#[test]
fn message_without_a_context_has_no_link_to_what_is_current() {
    let capture = capture();
    let hostile = [
        ("traceparent".to_owned(), "00-zz".to_owned()),
        ("traceparent".to_owned(), PARENT.to_owned()),
    ]
    .to_vec();
    for headers in [Vec::new(), hostile] {
        ORDERS.process(&mut Message::of(&headers), || ());
        let mut poll = [Message::of(&headers)];
        ORDERS.poll().received(&mut poll);
    }
    assert_eq!(capture.spans().len(), 4);
    for span in capture.spans() {
        assert_eq!(
            (span.parent_span_id(), links(&span).len()),
            (None, 0),
            "a new trace: {span:?}"
        );
    }
}

#[test]
fn context_that_a_record_has_is_never_overwritten() {
    let capture = capture();
    let mut headers = Headers::from([
        ("TraceParent".to_owned(), PARENT.to_owned()),
        ("reply-to".to_owned(), "me".to_owned()),
    ]);
    span!("scheduler").in_scope(|| ORDERS.send(&mut headers).run(|| ()));
    assert_eq!(headers["traceparent"], PARENT);
    assert_eq!(headers["reply-to"], "me");
    assert!(!headers.contains_key("TraceParent"), "one spelling");
    let send = capture.span("send orders");
    assert_eq!(send.kind(), SpanKind::Client, "it creates nothing");
    assert_eq!(
        links(&send),
        [SpanId::from_bytes([0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]).unwrap()]
    );
}

#[test]
fn retry_dead_letter_and_reprocess_keep_the_first_context() {
    let capture = capture();
    let mut headers = sent(&ORDERS);
    let first = headers["traceparent"].clone();
    for attempt in 1..=3 {
        let mut message = Message::of(&headers).id("7");
        assert_eq!(message.attempt_number(), attempt);
        let result = ORDERS.process(&mut message, || if attempt < 3 { Err("no stock") } else { Ok(()) });
        match attempt {
            1 => ORDERS.retry(&message, &mut headers).run(|| ()),
            2 => {
                DEAD.dead_letter(&message, &mut headers, "max_attempts").run(|| ());
                let dead = Message::of(&headers);
                ORDERS.reprocess(&dead, &mut headers).run(|| ());
            }
            _ => result.unwrap(),
        }
        assert_eq!(headers["traceparent"], first);
    }
    let processed = named(&capture, "process orders");
    let numbers: Vec<_> = processed
        .iter()
        .map(|span| number(span, "throughline.job.attempt"))
        .collect();
    assert_eq!(numbers, [Some(1), Some(2), Some(3)]);
    let creator = named(&capture, "send orders")[0].span_id();
    let attempts: Vec<_> = processed.iter().map(CapturedSpan::span_id).collect();
    assert_eq!(links(&processed[0]), [creator]);
    assert_eq!(links(&processed[1]), [creator, attempts[0]]);
    assert_eq!(links(&processed[2]), [creator, attempts[0], attempts[1]]);
    assert!(processed.iter().all(|span| span.parent_span_id() == Some(creator)));
    let of_links: Vec<_> = processed[2]
        .links()
        .filter_map(|link| link.attributes().get("throughline.job.attempt")?.as_i64())
        .collect();
    assert_eq!(of_links, [1, 2], "a link says which attempt it leads to");
    assert_eq!(text(&processed[0], "error.type").as_deref(), Some("_OTHER"));
    assert_eq!(processed[0].status(), (StatusCode::Error, "no stock"));

    let dead = capture.span("send orders.dead");
    assert_eq!(dead.kind(), SpanKind::Client);
    assert_eq!(text(&dead, "throughline.job.resend").as_deref(), Some("dead_letter"));
    assert_eq!(text(&dead, "throughline.job.reason").as_deref(), Some("max_attempts"));
    assert_eq!(links(&dead), [creator, attempts[1]]);
    let resent: Vec<_> = named(&capture, "send orders")
        .iter()
        .filter_map(|span| text(span, "throughline.job.resend"))
        .collect();
    assert_eq!(resent, ["retry", "reprocess"]);
}

#[test]
fn number_of_the_broker_beats_that_of_the_record() {
    let capture = capture();
    let headers = sent(&ORDERS);
    let mut message = Message::of(&headers).attempt(5);
    ORDERS.process(&mut message, || ());
    assert_eq!(
        number(&capture.span("process orders"), "throughline.job.attempt"),
        Some(5)
    );
    assert_eq!(message.context().attempts(), 5);
    assert_eq!(message.attempt_number(), 5);
}

#[test]
fn queue_wait_is_in_seconds_since_the_queue_was_entered() {
    let capture = capture();
    let minute_ago = SystemTime::now() - Duration::from_secs(60);
    let mut message = Message::of(&sent(&ORDERS)).enqueued_at(minute_ago);
    ORDERS.process(&mut message, || ());
    let wait = capture
        .span("process orders")
        .attribute("throughline.job.queue_wait")
        .unwrap()
        .as_f64()
        .unwrap();
    assert!((60.0..120.0).contains(&wait), "{wait}");
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    ORDERS.process(&mut Message::default().enqueued_at(tomorrow), || ());
    let wait = named(&capture, "process orders")[1]
        .attribute("throughline.job.queue_wait")
        .unwrap()
        .as_f64();
    assert_eq!(wait, Some(0.0), "a clock that is ahead");
}

#[test]
fn batch_has_a_link_for_each_message_and_no_creator_as_parent() {
    let capture = capture();
    let records: Vec<Headers> = (0..5).map(|_| sent(&ORDERS)).collect();
    let creators: Vec<_> = named(&capture, "send orders")
        .iter()
        .map(CapturedSpan::span_id)
        .collect();
    let mut messages: Vec<_> = records.iter().map(|record| Message::of(record).id("m")).collect();
    ORDERS.poll().received(&mut messages);
    ORDERS.processing_batch(&mut messages).run(|| ());
    let (receive, process) = (capture.span("receive orders"), capture.span("process orders"));
    assert_eq!(links(&receive), creators);
    for span in [&receive, &process] {
        assert_eq!(number(span, "messaging.batch.message_count"), Some(5));
        assert_eq!(span.parent_span_id(), None);
        assert!(creators.iter().all(|creator| links(span).contains(creator)));
    }
    let link = process.links().next().unwrap();
    assert_eq!(
        link.attributes().get("messaging.message.id").unwrap().as_str(),
        Some("m")
    );
    assert!(messages.iter().all(|message| message.context().attempts() == 1));
    assert_eq!(
        links(&process)
            .iter()
            .filter(|link| **link == receive.span_id())
            .count(),
        1,
        "it is linked once"
    );
}

#[test]
fn batch_of_sends_gives_all_records_one_context() {
    let capture = capture();
    let mut records = vec![
        Headers::new(),
        Headers::new(),
        Headers::from([("traceparent".to_owned(), PARENT.to_owned())]),
    ];
    ORDERS.send_batch(&mut records).run(|| ());
    let send = capture.span("send orders");
    assert_eq!(
        (send.kind(), number(&send, "messaging.batch.message_count")),
        (SpanKind::Producer, Some(3))
    );
    assert_eq!(records[0]["traceparent"], records[1]["traceparent"]);
    assert_eq!(records[0].read().context().span_id(), Some(send.span_id()));
    assert_eq!(records[2]["traceparent"], PARENT);
    assert_eq!(links(&send).len(), 1, "to the creator of the one that had one");
}

#[test]
fn poll_leaves_a_span_only_for_messages_and_failures() {
    let capture = capture();
    ORDERS.poll().received(&mut []);
    ORDERS.poll().failed(&Ok::<(), String>(()));
    drop(ORDERS.poll());
    assert_eq!(capture.spans().len(), 0);
    ORDERS
        .poll()
        .failed(&Err::<(), _>(std::io::Error::other("connection lost")));
    let span = capture.span("receive orders");
    assert_eq!(span.status(), (StatusCode::Error, "connection lost"));
    assert_eq!(text(&span, "error.type").as_deref(), Some("std::io::error::Error"));
}

#[test]
fn process_span_is_linked_to_the_receive_span_it_came_by() {
    let capture = capture();
    let mut message = Message::of(&sent(&ORDERS));
    ORDERS.poll().received_one(&mut message);
    ORDERS.process(&mut message, || ());
    let expected = [
        capture.span("send orders").span_id(),
        capture.span("receive orders").span_id(),
    ];
    assert_eq!(links(&capture.span("process orders")), expected);
}

#[test]
fn periodic_job_does_not_inherit_the_span_that_scheduled_it() {
    let capture = capture();
    span!("start").in_scope(|| {
        for _ in 0..2 {
            periodic("clean up").run(|| span!("delete").end());
        }
    });
    capture.assert_tree("start\nclean up\n  delete\nclean up\n  delete");
    let runs = named(&capture, "clean up");
    assert_ne!(runs[0].trace_id(), runs[1].trace_id());
    assert_eq!(links(&runs[0]), [capture.span("start").span_id()]);
}

#[test]
fn failures_are_statuses_and_success_is_unset() {
    let capture = capture();
    let operation = |name: &'static str| -> Operation { Queue::new("test", name).send(&mut Headers::new()) };
    operation("bool true").run(|| true);
    operation("bool false").run(|| false);
    operation("unit").run(|| ());
    let _ = operation("ok").run(|| Ok::<_, String>(1));
    operation("finished").finish(&Err::<(), _>("late"));
    for (name, status) in [
        ("send bool true", (StatusCode::Unset, "")),
        ("send bool false", (StatusCode::Error, "")),
        ("send unit", (StatusCode::Unset, "")),
        ("send ok", (StatusCode::Unset, "")),
        ("send finished", (StatusCode::Error, "late")),
    ] {
        assert_eq!(capture.span(name).status(), status, "{name}");
    }
    assert!(capture.span("send ok").attribute("error.type").is_none());
}

struct Panics;

impl std::fmt::Display for Panics {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        panic!("a Display that panics");
    }
}

#[test]
fn error_whose_display_panics_harms_nobody() {
    let capture = capture();
    let result = ORDERS.send(&mut Headers::new()).run(|| Err::<(), _>(Panics));
    assert!(result.is_err());
    assert!(capture.span("send orders").is_error());
}

#[test]
fn panic_of_a_job_goes_on_and_counts_as_an_attempt() {
    let capture = capture();
    let mut message = Message::of(&sent(&ORDERS));
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ORDERS.process::<()>(&mut message, || panic!("broken job"));
    }));
    assert!(panicked.is_err());
    assert!(capture.span("process orders").is_error());
    assert_eq!(message.context().attempts(), 1);
    assert!(Context::current().is_empty());
}

#[tokio::test]
async fn future_runs_in_the_span_and_a_cancelled_one_ends_it() {
    let capture = capture();
    let headers = sent(&ORDERS);
    let work = async {
        tokio::task::yield_now().await;
        span!("charge").end();
        Err::<(), _>("declined")
    };
    assert!(ORDERS.process_async(&mut Message::of(&headers), work).await.is_err());
    capture.assert_tree("send orders\n  process orders !\n    charge");

    let mut message = Message::of(&headers);
    let never = ORDERS.process_async(&mut message, std::future::pending::<()>());
    tokio::select! { biased; () = never => unreachable!("it never ends"), () = std::future::ready(()) => {} }
    let cancelled = &named(&capture, "process orders")[1];
    assert!(cancelled.has_ended() && !cancelled.is_error());
}

#[test]
fn baggage_goes_with_the_job_also_where_it_is_only_linked() {
    let _capture = capture();
    let headers = Headers::from([
        ("traceparent".to_owned(), PARENT.to_owned()),
        ("baggage".to_owned(), "tenant=7".to_owned()),
    ]);
    for relation in [Relation::Parent, Relation::Link] {
        let queue = Queue::new("test", "orders").relation(relation);
        let seen = {
            let mut seen = String::new();
            queue.process(&mut Message::of(&headers), || {
                seen.push_str(Context::current().baggage_header());
            });
            seen
        };
        assert_eq!(seen, "tenant=7", "{relation:?}");
    }
}

#[test]
fn unsampled_context_travels_and_nothing_is_recorded() {
    let capture = capture();
    let parent =
        throughline::extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]).unwrap();
    let headers = parent.in_scope(|| sent(&ORDERS));
    assert!(headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
    assert!(headers["traceparent"].ends_with("-00"));
    ORDERS.process(&mut Message::of(&headers), || ());
    assert_eq!(capture.spans().len(), 0);
}
