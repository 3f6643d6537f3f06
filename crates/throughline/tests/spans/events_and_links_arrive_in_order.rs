use throughline::{Context, Span, Value, extract};

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
