//! Code of the user's runs under no lock, and may do what it likes.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use throughline::{span, testing};
use throughline_tracing::{SpanExt as _, layer, subscriber};
use tracing::{Dispatch, Span, dispatcher, error, field, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt as tracing_fmt, registry};

/// What logs and makes spans when it is formatted.
struct Busy<'a>(&'a Span);

static FORMATTED: AtomicUsize = AtomicUsize::new(0);

impl fmt::Debug for Busy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        FORMATTED.fetch_add(1, Ordering::Relaxed);
        info!("formatted");
        info_span!("formatting").in_scope(|| span!("inside").end());
        self.0.record("late", 1);
        self.0.set_attribute("dynamic", "set while it was formatted");
        let _ = self.0.context();
        let other = info_span!("other");
        other.follows_from(self.0);
        f.write_str("busy")
    }
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("it cannot be formatted")
    }
}

fn subscribers() -> [(&'static str, Dispatch); 2] {
    [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().writer(std::io::sink))),
    ]
}

#[test]
fn debug_that_traces_is_served() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let outer = info_span!("outer", late = field::Empty, late_too = field::Empty).entered();
            let span = info_span!("span", busy = ?Busy(&outer));
            outer.record("late_too", field::debug(Busy(&outer)));
            info!(busy = ?Busy(&outer), "event");
            outer.set_attribute("by hand", throughline::debug(Busy(&outer)));
            drop(span);
            outer.exit();
        });
        let busy = |span: &str, key: &str| {
            capture
                .span(span)
                .attribute(key)
                .and_then(|value| value.as_str().map(str::to_owned))
        };
        assert_eq!(busy("span", "busy").as_deref(), Some("busy"), "{how}");
        assert_eq!(busy("outer", "late_too").as_deref(), Some("busy"), "{how}");
        assert_eq!(busy("outer", "by hand").as_deref(), Some("busy"), "{how}");
        assert_eq!(
            capture.span("outer").attribute("late").and_then(|value| value.as_i64()),
            Some(1),
            "{how}"
        );
        assert!(capture.spans().iter().all(testing::CapturedSpan::has_ended), "{how}");
    }
    assert!(FORMATTED.load(Ordering::Relaxed) >= 8);
}

#[test]
fn debug_that_panics_costs_its_text() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let a = info_span!("a", first = 1, broken = ?Panics, last = 2, late = field::Empty).entered();
            a.record("late", field::debug(Panics));
            info!(broken = ?Panics, "event");
            a.exit();
            info_span!("b").in_scope(|| {});
        });
        capture
            .assert_tree("a {first=1, broken=\"(its message panicked)\", last=2, late=\"(its message panicked)\"}\nb");
        assert_eq!(capture.span("a").events().count(), 1, "{how}");
    }
}

#[test]
fn panic_of_another_layer_leaves_us_well() {
    let capture = testing::capture();
    let dispatch = Dispatch::new(
        registry()
            .with(layer())
            .with(tracing_fmt::layer().with_writer(std::io::sink)),
    );
    dispatcher::with_default(&dispatch, || {
        let result = catch_unwind(AssertUnwindSafe(|| {
            info_span!("a").in_scope(|| info!(broken = ?Panics, "the formatter does not catch it"));
        }));
        assert!(result.is_err());
        info_span!("b").in_scope(|| error!("still here"));
    });
    let b = capture.span("b");
    assert!(b.has_ended() && b.parent_span_id().is_none());
    assert!(capture.span("a").has_ended());
}

#[test]
fn thread_that_ends_inside_spans_leaves_nothing_open() {
    let capture = testing::capture();
    for (_, dispatch) in subscribers() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _outer = span!(parent: throughline::Context::root(), "native").enter();
                let _default = dispatcher::set_default(&dispatch);
                let entered = info_span!("left behind").entered();
                std::mem::forget(entered);
            });
        });
    }
    drop(capture);
}
