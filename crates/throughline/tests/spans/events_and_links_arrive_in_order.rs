use std::time::{Duration, UNIX_EPOCH};

use throughline::{Context, Span, Value, event, extract, link, span};
use throughline_testkit::otlp::common::v1::any_value;

use crate::traced::{number, pairs, root, text, traced};

#[test]
fn events_in_their_order_with_their_attributes_at_their_time() {
    let mut span = root("eventful");
    span.event("first", []);
    span.set("between", 1);
    span.event("second", [("rows", Value::from(3)), ("table", Value::from("orders"))]);
    span.event("", vec![("long", Value::from("x".repeat(2000).as_str()))]);
    span.event("last", [("again", Value::from(1)), ("again", Value::from(2))]);
    let received = traced().end(span);
    let names: Vec<_> = received.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["first", "second", "", "last"]);
    assert_eq!(
        pairs(&received.events[1].attributes),
        [("rows", number(3)), ("table", text("orders"))]
    );
    assert_eq!(
        pairs(&received.events[2].attributes),
        [("long", text(&"x".repeat(2000)))]
    );
    let mut times: Vec<_> = received.events.iter().map(|event| event.time_unix_nano).collect();
    times.insert(0, received.start_time_unix_nano);
    times.push(received.end_time_unix_nano);
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(pairs(&received.attributes), [("between", number(1))]);
}

#[test]
fn links_in_their_order_with_ids_state_flags_and_attributes() {
    let headers = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
        ("tracestate", "vendor=1"),
    ];
    let remote = extract(headers).expect("a valid traceparent");
    let local = root("local").context();
    traced();
    let root_context = Context::root();
    let mut span = Span::builder("linking")
        .parent(&root_context)
        .link(&remote)
        .link(&root_context)
        .start();
    span.link(&local, [("why", "batch".into())]);
    let received = traced().end(span);
    assert_eq!(received.links.len(), 2, "an empty context is no link");
    assert_eq!(received.links[0].trace_id, remote.trace_id().unwrap().to_bytes());
    assert_eq!(received.links[0].span_id, remote.span_id().unwrap().to_bytes());
    assert_eq!(received.links[0].trace_state, "vendor=1");
    assert_eq!(received.links[0].flags & 0x301, 0x300, "remote, not sampled");
    assert_eq!(received.links[1].span_id, local.span_id().unwrap().to_bytes());
    assert_eq!(received.links[1].flags & 0x301, 0x101, "local, sampled");
    assert_eq!(pairs(&received.links[1].attributes), [("why", text("batch"))]);
    assert_eq!(received.parent_span_id, [0_u8; 0]);
}

#[test]
fn macros_write_to_the_current_span_and_to_the_named_one() {
    let cause = root("cause").context();
    let order = root("order").enter();
    let context = order.context();
    let attempt = 2;
    event!("retry", attempt, after.seconds = 1.5, ?attempt, missing = None::<u8>);
    event!("bare");
    link!(&cause, reason = "retried");
    link!(&cause);
    link!(&Context::root(), reason = "it cannot be known");
    link!(&Context::root());
    {
        let mut inner = span!("inner");
        event!(span: inner, "of inner", attempt);
        link!(span: inner, &cause, attempt);
        let received = traced().end(inner);
        assert_eq!((received.events.len(), received.links.len()), (1, 1));
        assert_eq!(pairs(&received.links[0].attributes), [("attempt", number(2))]);
    }
    order.end();
    event!("nowhere");
    link!(&cause);
    let received = traced().span(&context);
    let names: Vec<_> = received.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["retry", "bare"]);
    // A key that comes again has its last value, where it first stood.
    let expected = [
        ("attempt", text("2")),
        ("after.seconds", any_value::Value::DoubleValue(1.5)),
    ];
    assert_eq!(pairs(&received.events[0].attributes), expected);
    assert_eq!(received.links.len(), 3);
    assert_eq!(pairs(&received.links[0].attributes), [("reason", text("retried"))]);
    assert_eq!(received.links[1].attributes, []);
    // "implementations SHOULD record links containing SpanContext with empty TraceId or SpanId as long as either the attribute
    // set or TraceState is non-empty".
    assert_eq!(
        (received.links[2].trace_id.len(), received.links[2].span_id.len()),
        (0, 0)
    );
    assert_eq!(
        pairs(&received.links[2].attributes),
        [("reason", text("it cannot be known"))]
    );
}

#[test]
fn times_are_those_that_were_given() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let nano = |seconds: u64| seconds * 1_000_000_000;
    traced();
    let root_context = Context::root();
    let build = || {
        Span::builder("measured elsewhere")
            .parent(&root_context)
            .start_time(at(1_000_000_000))
    };
    let mut span = build().start();
    span.event_at("then", at(1_000_000_001), [("n", Value::from(1))]);
    let context = span.context();
    span.end_at(at(1_000_000_002));
    let received = traced().span(&context);
    assert_eq!(received.start_time_unix_nano, nano(1_000_000_000));
    assert_eq!(received.events[0].time_unix_nano, nano(1_000_000_001));
    assert_eq!(received.end_time_unix_nano, nano(1_000_000_002));

    let context = {
        let entered = build().start().enter();
        let context = entered.context();
        entered.end_at(at(7));
        context
    };
    assert_eq!(
        traced().span(&context).end_time_unix_nano,
        nano(1_000_000_000),
        "not before its start"
    );
    let shared = build().start().share();
    shared.end_at(at(1_000_000_003));
    assert_eq!(traced().span(&shared.context()).end_time_unix_nano, nano(1_000_000_003));

    let by_the_wall_clock = traced().end(build().start());
    let now = UNIX_EPOCH.elapsed().expect("the clock is after 1970").as_secs();
    assert!((by_the_wall_clock.end_time_unix_nano / 1_000_000_000).abs_diff(now) < 60);
    assert_eq!(
        traced()
            .end(build().start_time(at(0) - Duration::from_secs(1)).start())
            .start_time_unix_nano,
        0
    );
}
