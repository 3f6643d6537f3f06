//! The subscriber of our own: spans end with their last handle, events are lines.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use throughline::{Context, extract, inject, span, testing};
use throughline_tracing::{SetParentError, SpanExt as _, subscriber};
use tracing::subscriber::{set_default, with_default};
use tracing::{Instrument as _, Span, debug, debug_span, error, field, info, info_span, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn all(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("nobody panics").clone();
        String::from_utf8(bytes)
            .expect("text")
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn spans_of_both_worlds_make_one_tree() {
    let capture = testing::capture();
    with_default(subscriber().no_lines(), || {
        let _a = info_span!("a", n = 1, late = field::Empty).entered();
        Span::current().record("late", 2);
        let b = span!("b").enter();
        let c = info_span!("c", otel.kind = "client");
        c.in_scope(|| {
            Span::current().set_attribute("dynamic", 3);
            assert_eq!(Context::current(), c.context());
        });
        b.end();
        info_span!(parent: &c, "d").in_scope(|| {});
        info_span!(parent: None, "e").follows_from(&c);
        debug_span!("not wanted").in_scope(|| info_span!("f").in_scope(|| {}));
    });
    capture.assert_tree("a {n=1, late=2}\n  b\n    c {dynamic=3}\n      d\n  f\ne");
    assert_eq!(capture.span("e").links().count(), 1);
    assert!(Context::current().is_empty());
}

#[test]
fn span_ends_with_its_last_handle_not_its_last_child() {
    let capture = testing::capture();
    let _default = set_default(subscriber().no_lines());
    let parent = info_span!("parent");
    let clone = parent.clone();
    let child = parent.in_scope(|| info_span!("child"));
    drop(parent);
    assert!(!capture.span("parent").has_ended());
    drop(clone);
    assert!(capture.span("parent").has_ended());
    assert!(!capture.span("child").has_ended());
    info_span!(parent: &child, "grandchild");
    drop(child);
    capture.assert_tree("parent\n  child\n    grandchild");
}

#[test]
fn exits_come_in_any_order_and_doubled() {
    let capture = testing::capture();
    let _default = set_default(subscriber().no_lines());
    let (a, b) = (info_span!("a"), info_span!("b"));
    let (a1, b1) = (a.enter(), b.enter());
    drop(a1);
    info_span!("of b").in_scope(|| {});
    let (a2, a3) = (a.enter(), a.enter());
    drop((b1, a2));
    info_span!("of a").in_scope(|| {});
    drop(a3);
    drop((a, b));
    info_span!("alone").in_scope(|| {});
    capture.assert_tree("a\n  of a\nb\n  of b\nalone");
}

#[tokio::test]
async fn futures_carry_their_span() {
    let capture = testing::capture();
    let _default = set_default(subscriber().no_lines());
    let one = |name: &'static str| {
        async move {
            tokio::task::yield_now().await;
            info_span!("inner").in_scope(|| {});
            tokio::task::yield_now().await;
            name.len()
        }
        .instrument(info_span!("task", name))
    };
    tokio::join!(one("a"), one("b"));
    capture.assert_tree("task {name=a}\n  inner\ntask {name=b}\n  inner");
}

#[test]
fn parent_is_set_or_refused() {
    let capture = testing::capture();
    let parent = extract([
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "a=b"),
    ]);
    with_default(subscriber().no_lines(), || {
        let request = info_span!("request", n = 1);
        assert_eq!(request.set_parent(&parent), Ok(()));
        request.in_scope(|| {
            let headers: std::collections::HashMap<String, String> = inject(Default::default());
            assert!(headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
            assert_eq!(headers["tracestate"], "a=b");
        });
        assert_eq!(request.set_parent(&parent), Err(SetParentError::TooLate));
    });
    let request = capture.span("request");
    assert_eq!(
        request.parent_span_id().map(|id| id.to_string()).as_deref(),
        Some("00f067aa0ba902b7")
    );
    assert_eq!(capture.spans().len(), 1);
}

#[test]
fn trace_that_is_not_sampled_is_passed_on_from_any_thread() {
    let capture = testing::capture();
    let parent = extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
    let dispatch = tracing::Dispatch::new(subscriber().no_lines());
    tracing::dispatcher::with_default(&dispatch, || {
        let request = info_span!("request");
        request.set_parent(parent).expect("it is new");
        let child = request.in_scope(|| info_span!("child"));
        drop(request);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                tracing::dispatcher::with_default(&dispatch, || {
                    child.in_scope(|| {
                        info_span!("grandchild").in_scope(|| {
                            let headers: std::collections::HashMap<String, String> = inject(Default::default());
                            assert!(headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
                            assert!(headers["traceparent"].ends_with("-00"));
                        });
                    });
                });
            });
        });
        drop(child);
    });
    assert!(capture.spans().iter().all(|span| !span.has_ended()));
}

#[test]
fn text_line_says_time_level_ids_target_and_fields() {
    let capture = testing::capture();
    let lines = Lines::default();
    with_default(subscriber().writer(lines.clone()), || {
        info!("outside");
        let span = info_span!("a").entered();
        warn!(n = 1, text = "a \"b\"", "two\nlines");
        debug!("not wanted");
        span.exit();
    });
    let a = capture.span("a");
    let all = lines.all();
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[0].ends_with("Z  INFO subscriber: outside"), "{}", all[0]);
    let expected = format!(
        "Z  WARN trace_id={} span_id={} subscriber: two\\nlines n=1 text=\"a \\\"b\\\"\"",
        a.trace_id(),
        a.span_id()
    );
    assert!(all[1].ends_with(&expected), "{}\n{expected}", all[1]);
    let event = a.events().next().expect("the event is in the span too");
    assert_eq!(event.name(), "two\nlines");
}

#[test]
fn json_line_is_an_object_with_the_ids() {
    let capture = testing::capture();
    let lines = Lines::default();
    let failure = io::Error::other("gone");
    with_default(subscriber().json().writer(lines.clone()), || {
        info_span!("a").in_scope(|| {
            error!(
                error = &failure as &dyn std::error::Error,
                n = 1,
                big = u64::MAX,
                nan = f64::NAN,
                "\"\\\u{1}"
            );
        });
    });
    let a = capture.span("a");
    let line: Value = serde_json::from_str(&lines.all()[0]).expect("JSON");
    assert_eq!(line["trace_id"], a.trace_id().to_string());
    assert_eq!(line["span_id"], a.span_id().to_string());
    assert_eq!(
        (&line["level"], &line["target"]),
        (&"ERROR".into(), &"subscriber".into())
    );
    assert_eq!(line["fields"]["message"], "\"\\\u{1}");
    assert_eq!(
        (&line["fields"]["n"], &line["fields"]["big"]),
        (&1.into(), &"18446744073709551615".into())
    );
    assert_eq!(
        (&line["fields"]["error"], &line["fields"]["nan"]),
        (&"gone".into(), &"NaN".into())
    );
    assert!(a.is_error());
}

#[test]
fn lines_and_traces_have_filters_of_their_own() {
    let capture = testing::capture();
    let lines = Lines::default();
    let subscriber = subscriber()
        .lines("warn,shop=debug".parse().expect("directives"))
        .traces("debug".parse().expect("directives"))
        .writer(lines.clone());
    with_default(subscriber, || {
        let span = debug_span!("a").entered();
        info!("traced only");
        debug!(target: "shop", "both");
        span.exit();
    });
    assert_eq!(lines.all().len(), 1);
    assert!(lines.all()[0].ends_with("shop: both"), "{:?}", lines.all());
    assert_eq!(capture.span("a").events().count(), 2);
}

#[test]
fn log_records_are_filtered_by_their_own_target() {
    let capture = testing::capture();
    let _tracer = tracing_log::LogTracer::init();
    let lines = Lines::default();
    let subscriber = subscriber()
        .lines("warn,shop=info,sqlx=error".parse().expect("directives"))
        .traces("info,shop=warn".parse().expect("directives"))
        .writer(lines.clone());
    with_default(subscriber, || {
        info_span!("a").in_scope(|| {
            log::info!(target: "shop", "line only");
            log::info!(target: "other", "traced only");
            log::warn!(target: "sqlx", "traced too");
        });
    });
    assert_eq!(lines.all().len(), 1, "{:?}", lines.all());
    assert!(lines.all()[0].ends_with(" shop: line only"), "{:?}", lines.all());
    let a = capture.span("a");
    let events: Vec<_> = a.events().map(|event| event.name().to_owned()).collect();
    assert_eq!(events, ["traced only", "traced too"]);
}

#[test]
fn layer_that_needs_no_registry_stands_on_it() {
    let capture = testing::capture();
    with_default(subscriber().no_lines().with(EnvFilter::new("subscriber=info")), || {
        let a = info_span!("a").entered();
        info_span!(target: "other", "filtered").in_scope(|| info_span!("b").in_scope(|| {}));
        assert_eq!(a.set_parent(None), Err(SetParentError::TooLate));
        a.exit();
    });
    capture.assert_tree("a\n  b");
}

#[test]
fn lines_with_10_000_open_spans_find_theirs() {
    let capture = testing::capture();
    let _default = set_default(subscriber().no_lines());
    let spans: Vec<_> = (0..10_000).map(|number| info_span!("open", number)).collect();
    for span in spans.iter().rev() {
        span.in_scope(|| assert_eq!(Span::current().id(), span.id()));
    }
    drop(spans);
    assert!(capture.spans().iter().all(testing::CapturedSpan::has_ended));
}
