//! Without a tracer a job carries on what came in, and nothing else.

use std::collections::HashMap;

use throughline_jobs::{Message, Queue};

static ORDERS: Queue = Queue::new("test", "orders");
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn record_of_a_program_that_does_not_trace_stays_as_it_is() {
    let mut headers: HashMap<String, String> = HashMap::new();
    ORDERS.send(&mut headers).run(|| ());
    let mut message = Message::of(&headers);
    ORDERS.process(&mut message, || ());
    ORDERS.retry(&message, &mut headers).run(|| ());
    assert_eq!(headers, HashMap::new());
}

#[test]
fn context_passes_through_a_program_that_does_not_trace() {
    let caller = throughline::extract([("traceparent", PARENT), ("tracestate", "a=1")]).unwrap();
    let mut headers: HashMap<String, String> = HashMap::new();
    caller.in_scope(|| ORDERS.send(&mut headers).run(|| ()));
    assert_eq!(
        (headers["traceparent"].as_str(), headers["tracestate"].as_str()),
        (PARENT, "a=1")
    );
    let mut message = Message::of(&headers);
    let inside = ORDERS.process(&mut message, || {
        assert_eq!(throughline::Context::current().span_id(), caller.span_id());
        true
    });
    assert!(inside);
    assert_eq!(message.context().attempts(), 1);
    assert_eq!(message.context().earlier_attempts(), [], "the creator is no attempt");
}
