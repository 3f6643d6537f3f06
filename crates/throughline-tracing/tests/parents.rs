//! Setting a parent: right ids, or an error.

use std::collections::HashMap;

use throughline::{Context, extract, inject, span, testing};
use throughline_tracing::{SetParentError, SpanExt as _};
use tracing::subscriber::with_default;
use tracing::{Dispatch, Span, dispatcher, info_span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::{Registry, registry, reload};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// The ways in which a layer stands in a subscriber.
fn subscribers() -> Vec<(&'static str, Dispatch)> {
    let layer = throughline_tracing::layer;
    let (reloaded, handle) = reload::Layer::new(layer());
    let (late, late_handle) = reload::Layer::new(None::<throughline_tracing::Layer>);
    let late = Dispatch::new(registry().with(late));
    late_handle.reload(Some(layer())).expect("the subscriber lives");
    let (exchanged, exchanged_handle) = reload::Layer::new(layer());
    let exchanged = Dispatch::new(registry().with(exchanged));
    exchanged_handle.reload(layer()).expect("the subscriber lives");
    std::mem::forget(handle);
    let filtered = layer().with_filter(LevelFilter::INFO);
    let boxed: Box<dyn tracing_subscriber::Layer<Registry> + Send + Sync> = Box::new(layer());
    vec![
        ("alone", Dispatch::new(registry().with(layer()))),
        ("reload", Dispatch::new(registry().with(reloaded))),
        ("exchanged by reload", exchanged),
        ("with_filter", Dispatch::new(registry().with(filtered))),
        ("boxed", Dispatch::new(registry().with(boxed))),
        ("in a list", Dispatch::new(registry().with(vec![layer()]))),
        (
            "and_then",
            Dispatch::new(registry().with(LevelFilter::INFO.and_then(layer()))),
        ),
        (
            "env filter",
            Dispatch::new(registry().with(EnvFilter::new("info")).with(layer())),
        ),
        ("twice", Dispatch::new(registry().with(layer()).with(layer()))),
        ("put there late", late),
    ]
}

fn outgoing() -> String {
    let headers: HashMap<String, String> = inject(HashMap::new());
    headers.get("traceparent").cloned().unwrap_or_default()
}

#[test]
fn parent_set_before_enter_is_the_parent() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let span = info_span!("request", order.id = 7, error = "none");
            span.set_parent(extract([("traceparent", VALID)]))
                .unwrap_or_else(|error| panic!("{how}: {error}"));
            assert_eq!(
                span.context().trace_id().map(|id| id.to_string()).as_deref(),
                Some(TRACE),
                "{how}"
            );
            span.in_scope(|| {
                assert!(outgoing().starts_with(&VALID[..36]), "{how}: {}", outgoing());
                info_span!("child").in_scope(|| {});
            });
        });
        let (request, child) = (capture.span("request"), capture.span("child"));
        assert_eq!(request.trace_id().to_string(), TRACE, "{how}");
        assert_eq!(
            request.parent_span_id().expect("a parent").to_string(),
            "00f067aa0ba902b7",
            "{how}"
        );
        assert_eq!(
            (child.trace_id(), child.parent_span_id()),
            (request.trace_id(), Some(request.span_id())),
            "{how}"
        );
        assert_eq!(
            request.attribute("order.id").and_then(|id| id.as_i64()),
            Some(7),
            "{how}: fields are kept"
        );
        assert!(request.has_ended(), "{how}");
        assert_eq!(capture.spans().len(), 2, "{how}: nothing is left of what it was before");
    }
}

#[test]
fn missing_or_bad_header_begins_a_trace() {
    for (how, dispatch) in subscribers() {
        for header in [None, Some("00-zz-00f067aa0ba902b7-01"), Some("")] {
            let capture = testing::capture();
            dispatcher::with_default(&dispatch, || {
                let _connection = info_span!("connection").entered();
                let span = info_span!("request");
                let headers = header.map(|header| ("traceparent", header));
                span.set_parent(extract(headers))
                    .unwrap_or_else(|error| panic!("{how}: {error}"));
                span.in_scope(|| info_span!("child").in_scope(|| {}));
            });
            capture.assert_tree("connection\nrequest\n  child");
        }
    }
}

#[test]
fn parent_set_too_late_is_refused_and_changes_nothing() {
    type Use = fn(&Span);
    let uses: [(&str, Use); 4] = [
        ("entered", |span| drop(span.enter())),
        ("has a child", |span| drop(info_span!(parent: span, "child"))),
        ("asked for its context", |span| drop(span.context())),
        ("linked", |span| _ = info_span!("other").follows_from(span)),
    ];
    for (how, dispatch) in subscribers() {
        for (what, use_it) in uses {
            let capture = testing::capture();
            dispatcher::with_default(&dispatch, || {
                let span = info_span!("request");
                use_it(&span);
                let before = span.context();
                let set = span.set_parent(extract([("traceparent", VALID)]));
                assert_eq!(set, Err(SetParentError::TooLate), "{how}: {what}");
                assert_eq!(span.context(), before, "{how}: {what}");
            });
            assert_eq!(capture.span("request").parent_span_id(), None, "{how}: {what}");
        }
    }
}

#[test]
fn span_that_cannot_have_a_parent_says_so() {
    let parent = extract([("traceparent", VALID)]);
    assert_eq!(Span::none().set_parent(&parent), Err(SetParentError::Disabled));
    with_default(registry(), || {
        assert_eq!(info_span!("x").set_parent(&parent), Err(SetParentError::NoLayer));
    });
    let capture = testing::capture();
    let filtered = throughline_tracing::layer().with_filter(LevelFilter::ERROR);
    with_default(
        registry()
            .with(filtered)
            .with(tracing_subscriber::fmt::layer().with_test_writer()),
        || {
            assert_eq!(info_span!("x").set_parent(&parent), Err(SetParentError::Disabled));
        },
    );
    assert!(capture.spans().is_empty());
}

#[test]
fn native_spans_and_contexts_are_parents_too() {
    let capture = testing::capture();
    with_default(registry().with(throughline_tracing::layer()), || {
        let native = span!("native");
        let a = info_span!("a");
        a.set_parent(&native).expect("it is new");
        let b = info_span!("b");
        b.set_parent(a.context()).expect("it is new");
        drop((a, b));
    });
    capture.assert_tree("native\n  a\n    b");
}

#[test]
fn caller_that_did_not_sample_is_followed() {
    let capture = testing::capture();
    with_default(registry().with(throughline_tracing::layer()), || {
        let span = info_span!("request");
        span.set_parent(extract([
            ("traceparent", NOT_SAMPLED),
            ("tracestate", "a=b"),
            ("baggage", "k=v"),
        ]))
        .expect("it is new");
        span.in_scope(|| {
            info_span!("child").in_scope(|| {
                let headers: HashMap<String, String> = inject(HashMap::new());
                assert!(
                    headers["traceparent"].starts_with(&NOT_SAMPLED[..36]) && headers["traceparent"].ends_with("00")
                );
                assert_eq!(
                    (headers["tracestate"].as_str(), headers["baggage"].as_str()),
                    ("a=b", "k=v")
                );
            });
        });
    });
    assert!(
        capture.spans().iter().all(|span| !span.has_ended()),
        "nothing is recorded"
    );
}

#[test]
fn tracestate_flags_and_baggage_flow() {
    let capture = testing::capture();
    with_default(registry().with(throughline_tracing::layer()), || {
        let span = info_span!("request");
        let headers = [
            ("traceparent", VALID),
            ("tracestate", "vendor=1"),
            ("baggage", "user=7"),
        ];
        span.set_parent(extract(headers)).expect("it is new");
        span.in_scope(|| {
            info_span!("child").in_scope(|| {
                let headers: HashMap<String, String> = inject(HashMap::new());
                assert!(headers["traceparent"].starts_with(&VALID[..36]) && headers["traceparent"].ends_with("01"));
                assert_eq!(
                    (headers["tracestate"].as_str(), headers["baggage"].as_str()),
                    ("vendor=1", "user=7")
                );
            });
        });
        assert!(Context::current().is_empty());
    });
    assert_eq!(capture.span("request").view().trace_state(), "vendor=1");
    assert_eq!(capture.span("child").view().trace_state(), "vendor=1");
}

/// Nothing is kept of a child that is not recorded: its ancestor stands for it wherever it is entered.
#[test]
fn child_that_is_not_sampled_is_passed_on_from_any_thread() {
    let capture = testing::capture();
    let dispatch = Dispatch::new(registry().with(throughline_tracing::layer()));
    let child = dispatcher::with_default(&dispatch, || {
        let request = info_span!("request");
        request
            .set_parent(extract([("traceparent", NOT_SAMPLED)]))
            .expect("it is new");
        let child = request.in_scope(|| info_span!("child"));
        info_span!("another").in_scope(|| {});
        child
    });
    std::thread::scope(|scope| {
        scope.spawn(|| {
            dispatcher::with_default(&dispatch, || {
                child.in_scope(|| {
                    assert!(outgoing().starts_with(&NOT_SAMPLED[..36]) && outgoing().ends_with("-00"));
                    info_span!("grandchild").in_scope(|| assert!(outgoing().starts_with(&NOT_SAMPLED[..36])));
                });
                assert_eq!(outgoing(), "");
            });
        });
    });
    drop(child);
    let recorded: Vec<_> = capture.spans().iter().map(|span| span.name().to_owned()).collect();
    assert_eq!(recorded, ["another"]);
}
