//! fastrace 0.7, whose spans stay in memory until its collector thread calls for them.
//!
//! It drops in silence what does not fit: a local parent holds 10,240 spans, and a thread's ring
//! 10,240 commands (what exceeds these waits in a queue without bounds). A root here has a hundred
//! children and is closed before the next begins, and a sample is drained before the next, so
//! nothing overflows; the reporter counts what reaches it, and the drain compares.
//!
//! A `LocalSpan` writes some 270 bytes, the growth of its vector included, into memory that went
//! back to the heap at the last drain. Its time hangs on whether that memory is still in the
//! cache (page faults play no part: they were counted): hence two rows, one with the other cases in
//! between, and one without (`warm`), which is fastrace at its very best.
//!
//! Between drains the collector sleeps, which spares fastrace the traffic between processors that
//! it has in real use, where it wakes every second.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use fastrace::local::LocalSpan;
use fastrace::{Span, set_reporter};

use super::{Entry, Order};
use crate::measure::{CHILDREN, Case};

/// The cases of fastrace.
pub const CASES: &[Entry] = &[
    Entry {
        name: "fastrace/LocalSpan",
        native: Some("native/bare child"),
        own_process: false,
        prepare: |_| {
            case(under_local_parent(true, || {
                drop(black_box(LocalSpan::enter_with_local_parent("child")));
            }))
        },
    },
    Entry {
        name: "fastrace/LocalSpan, warm",
        native: Some("native/bare child, warm"),
        own_process: false,
        prepare: |_| {
            case(under_local_parent(true, || {
                drop(black_box(LocalSpan::enter_with_local_parent("child")));
            }))
            .warmed()
        },
    },
    Entry {
        name: "fastrace/LocalSpan, 5 properties",
        native: Some("native/5 attributes"),
        own_process: false,
        prepare: |_| {
            let order = Order::new();
            case(under_local_parent(true, move || {
                let span = LocalSpan::enter_with_local_parent("child");
                drop(black_box(span.with_properties(|| five_properties(&order))));
            }))
        },
    },
    Entry {
        name: "fastrace/Span",
        native: Some("native/explicit parent"),
        own_process: false,
        prepare: |_| {
            case(|| {
                count_made(1 + CHILDREN);
                let root = Span::root("root", SpanContext::random());
                for _ in 0..CHILDREN {
                    drop(black_box(Span::enter_with_parent("child", &root)));
                }
            })
        },
    },
    Entry {
        name: "fastrace/unsampled",
        native: Some("native/unsampled"),
        own_process: false,
        prepare: |_| {
            case(under_local_parent(false, || {
                drop(black_box(LocalSpan::enter_with_local_parent("child")));
            }))
        },
    },
];

type Property = (&'static str, Cow<'static, str>);

/// The five attributes as strings, which are all that fastrace takes.
#[inline]
pub(crate) fn five_properties(order: &Order) -> [Property; 5] {
    [
        ("order.customer", order.customer.clone().into()),
        ("http.path", order.path.clone().into()),
        ("order.items", order.items.to_string().into()),
        ("order.express", literal(order.express).into()),
        ("order.total", order.total.to_string().into()),
    ]
}

/// Spans that should reach the reporter, and spans that did.
static MADE: AtomicUsize = AtomicUsize::new(0);
static REPORTED: AtomicUsize = AtomicUsize::new(0);

fn case(root: impl FnMut() + 'static) -> Case {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // The bench drains for itself, so the collector may sleep for good.
        set_reporter(
            Discard,
            Config::default().report_interval(Duration::from_secs(24 * 3600)),
        );
    });
    Case::new(root).drained_by(drain)
}

fn under_local_parent(sampled: bool, mut child: impl FnMut()) -> impl FnMut() {
    move || {
        if sampled {
            count_made(1 + CHILDREN);
        }
        let root = Span::root("root", SpanContext::random().sampled(sampled));
        let _current = root.set_local_parent();
        for _ in 0..CHILDREN {
            child();
        }
    }
}

fn count_made(spans: u32) {
    MADE.fetch_add(spans as usize, Ordering::Relaxed);
}

/// # Panics
///
/// If fastrace lost a span: its figures would be those of losing spans.
fn drain() {
    fastrace::flush();
    let (made, reported) = (MADE.load(Ordering::Relaxed), REPORTED.load(Ordering::Relaxed));
    assert_eq!(made, reported, "fastrace reported fewer or more spans than were made");
}

fn literal(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

struct Discard;

impl Reporter for Discard {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        REPORTED.fetch_add(spans.len(), Ordering::Relaxed);
    }
}
