//! A span that starts anew under another parent, for bridges.

use throughline::__private::ParentRef;
use throughline::seam::{CurrentSpans, set_bridge};
use throughline::{Context, Scope, Span, SpanKind, StatusCode, Value, extract, span, testing};

static SCOPE: Scope = Scope::new("restart", "");

fn caller(flags: &str) -> Context {
    let header = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
    extract([("traceparent", header.as_str()), ("tracestate", "a=b")]).expect("it is valid")
}

fn restarted(span: Span, parent: &Context) -> Span {
    let restart = span.to_restart().expect("it is recorded");
    let mut new = restart.start(&SCOPE, ParentRef::Of(parent));
    new.take_over(span);
    new
}

#[test]
fn restarted_span_keeps_all_but_its_ids() {
    let capture = testing::capture();
    let other = span!("other");
    let mut span = span!(kind: Server, "request", a = 1, b = "two");
    span.event("event", [("c", Value::from(3))]);
    span.link(&other.context(), []);
    span.status_error("failed");
    let started = capture.span("request").start_time();
    let before = span.context();
    span = restarted(span, &caller("01"));
    assert_ne!(span.context(), before);
    span.set("a", 4);
    span.event("later", []);
    drop((span, other));

    let span = capture.span("request");
    assert_eq!(span.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(
        span.parent_span_id().map(|id| id.to_string()).as_deref(),
        Some("00f067aa0ba902b7")
    );
    assert_eq!((span.kind(), span.start_time()), (SpanKind::Server, started));
    assert_eq!(span.attribute("a").and_then(|value| value.as_i64()), Some(4));
    assert_eq!(span.attribute("b").and_then(|value| value.as_str()), Some("two"));
    assert_eq!(span.attributes().count(), 2);
    assert_eq!(
        span.events().map(|event| event.name().to_owned()).collect::<Vec<_>>(),
        ["event", "later"]
    );
    assert_eq!(span.links().count(), 1);
    assert_eq!(span.status(), (StatusCode::Error, "failed"));
    assert_eq!(span.view().trace_state(), "a=b");
}

#[test]
fn restart_that_is_taken_back_leaves_the_span_as_it_was() {
    let capture = testing::capture();
    let span = span!("request", a = 1);
    let before = span.context();
    let restart = span.to_restart().expect("it is recorded");
    restart.start(&SCOPE, ParentRef::Of(&caller("01"))).take_back();
    assert_eq!(span.context(), before);
    assert_eq!(capture.spans().len(), 1);
    drop(span);
    capture.assert_tree("request {a=1}");
}

#[test]
fn attribute_that_was_set_meanwhile_is_taken_over() {
    let capture = testing::capture();
    let mut span = span!("request", a = 1, b = 1);
    let restart = span.to_restart().expect("it is recorded");
    let mut new = restart.start(&SCOPE, ParentRef::Of(&caller("01")));
    span.set("b", 2);
    span.set("c", 3);
    new.take_over(span);
    drop(new);
    capture.assert_tree("request {a=1, b=2, c=3}");
}

#[test]
fn span_restarted_below_one_that_is_not_sampled_is_not_recorded() {
    let capture = testing::capture();
    let mut span = span!("request", a = 1);
    span = restarted(span, &caller("00"));
    assert!(!span.is_recording());
    assert_eq!(span.context().trace_id(), caller("00").trace_id());
    assert!(span.to_restart().is_none(), "nothing is known of it any more");
    drop(span);
    assert!(capture.spans().is_empty());
}

/// Holds one span, which it says is current.
struct Holds(std::sync::Mutex<Option<Span>>);

impl CurrentSpans for Holds {
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool {
        let mut held = self.0.lock().expect("nobody panics");
        let Some(span) = held
            .as_mut()
            .filter(|span| span.context().span_id().map(|id| id.to_bytes()) == Some(span_id))
        else {
            return false;
        };
        write(span);
        true
    }
}

#[test]
fn current_reaches_the_spans_of_all_bridges() {
    static BRIDGES: [Holds; 2] = [const { Holds(std::sync::Mutex::new(None)) }; 2];
    let capture = testing::capture();
    let context = |held: &Holds| {
        let span = span!("held");
        let context = span.context();
        *held.0.lock().expect("nobody panics") = Some(span);
        context
    };
    let contexts = BRIDGES.each_ref().map(context);
    for (bridge, context) in BRIDGES.iter().zip(&contexts) {
        context.in_scope(|| assert_eq!(throughline::current(|_| ()), None));
        set_bridge(bridge);
    }
    for (bridge, context) in BRIDGES.iter().zip(&contexts) {
        context.in_scope(|| {
            let reached = throughline::current(|span| {
                span.set("reached", true);
                span.event("event", []);
                (span.is_recording(), span.context())
            });
            assert_eq!(reached, Some((true, context.clone())));
        });
        drop(bridge.0.lock().expect("nobody panics").take());
        context.in_scope(|| assert_eq!(throughline::current(|_| ()), None));
    }
    capture.assert_tree("held {reached=true}\nheld {reached=true}");
}
