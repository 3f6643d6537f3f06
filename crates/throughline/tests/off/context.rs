//! Off, a span stands for its parent wherever it goes. This test process never switches tracing on.

use std::collections::HashMap;

use futures::executor::block_on;
use throughline::{Context, InSpanExt, Span, extract, inject, span};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn incoming() -> Context {
    extract([("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")]).expect("all three are valid")
}

fn injected() -> HashMap<String, String> {
    inject(HashMap::new())
}

/// Somewhere a span can carry a context to.
type Place = fn(Span) -> HashMap<String, String>;

const PLACES: [(&str, Place); 8] = [
    ("a scope", |mut span| span.in_scope(injected)),
    ("a guard", |span| {
        let _entered = span.enter();
        injected()
    }),
    ("a guard's context", |span| {
        span.enter().context().inject(HashMap::new())
    }),
    ("a future", |span| block_on(async { injected() }.in_span(span))),
    ("its context", |span| span.context().inject(HashMap::new())),
    ("a thread", |span| {
        let there = std::thread::spawn(move || {
            let _entered = span.enter();
            injected()
        });
        there.join().expect("it does not panic")
    }),
    ("a shared handle", |span| {
        let shared = span.share();
        let _entered = shared.enter();
        injected()
    }),
    ("a child's child", |span| {
        let _outer = span.enter();
        let _middle = span!("middle", n = 1).enter();
        span!(parent: &Context::current(), "inner").in_scope(injected)
    }),
];

#[test]
fn off_span_passes_its_parent_on_wherever_it_goes() {
    let expected = incoming().inject(HashMap::new());
    assert_eq!(expected["traceparent"], PARENT);
    assert_eq!((&*expected["tracestate"], &*expected["baggage"]), ("a=1", "k=v"));
    for (place, pass) in PLACES {
        let parent = incoming();
        assert_eq!(
            pass(span!(parent: &parent, kind: Server, "named parent")),
            expected,
            "{place}"
        );
        let of_current = parent.in_scope(|| pass(span!("current parent", key = "value")));
        assert_eq!(of_current, expected, "{place}");
        assert_eq!(
            pass(Span::builder("built").parent(&parent).start()),
            expected,
            "{place}"
        );
        assert_eq!(pass(span!("root")), HashMap::new(), "{place}");
        if place != "a child's child" {
            let cut_off = parent.in_scope(|| pass(span!(parent: None, "cut off")));
            assert_eq!(cut_off, HashMap::new(), "{place}");
        }
    }
    assert_eq!(Context::current(), Context::root());
}

#[test]
fn off_span_passes_baggage_without_a_trace_on() {
    let parent = extract([("baggage", "k=v")]).expect("it is valid");
    for (place, pass) in PLACES {
        let out = pass(span!(parent: &parent, "x"));
        assert_eq!(out.get("baggage").map(String::as_str), Some("k=v"), "{place}");
        assert_eq!(out.get("traceparent"), None, "{place}");
    }
}

#[test]
fn off_stays_off_whoever_asks_later() {
    let first = throughline::builder("first").on(false).init();
    let second = throughline::init("second");
    assert!(!span!("x").is_recording());
    for tracing in [&first, &second] {
        let report = tracing.flush(std::time::Duration::from_secs(60)).wait();
        assert_eq!(
            (report.to_string().as_str(), report.is_complete()),
            ("tracing is off", true)
        );
    }
}
