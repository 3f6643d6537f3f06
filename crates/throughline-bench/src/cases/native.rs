//! Throughline itself: spans encoded and committed to a spool of real files.
//!
//! No destination is configured, so the spool's helper recycles what is full as history, as it
//! does in a program that only records locally. Nothing is spared: there is no processor that
//! discards.

use std::hint::black_box;
use std::path::Path;
use std::sync::OnceLock;

use throughline::{Builder, Context, ProcessedSpan, Sampler, Span, SpanProcessor, Tracing, Verdict, span};

use super::{Entry, Order};
use crate::measure::{CHILDREN, Case};
use crate::threads;

/// The native cases.
pub const CASES: &[Entry] = &[
    native("native/bare child", |home| {
        under_root(home, || drop(black_box(span!("child"))))
    }),
    native("native/bare child, warm", |home| {
        under_root(home, || drop(black_box(span!("child")))).warmed()
    }),
    native("native/entered child", |home| {
        under_root(home, || drop(black_box(span!("child").enter())))
    }),
    native("native/explicit parent", |home| {
        record(home);
        Case::new(|| {
            let parent = span!("root").context();
            for _ in 0..CHILDREN {
                drop(black_box(span!(parent: &parent, "child")));
            }
        })
    }),
    native("native/nested 10 deep", |home| {
        record(home);
        Case::new(|| {
            let _root = span!("root").enter();
            for _ in 0..CHILDREN / 10 {
                nested(10);
            }
        })
    }),
    native("native/5 attributes", |home| {
        let order = Order::new();
        under_root(home, move || drop(black_box(five_attributes(&order))))
    }),
    native("native/24 attributes", |home| {
        under_root(home, || {
            let mut span = span!("child");
            for (number, key) in (0_i64..).zip(KEYS) {
                span.set(key, number);
            }
            drop(black_box(span));
        })
    }),
    native("native/ended on another thread", |home| {
        record(home);
        threads::handed_over(|hand_over| {
            let _root = span!("root").enter();
            for _ in 0..CHILDREN {
                hand_over(span!("child"));
            }
        })
    }),
    native("native/bare child, two threads", |home| {
        record(home);
        threads::two_at_once(|| || root_with(&mut || drop(black_box(span!("child")))))
    }),
    Entry {
        name: "native/unsampled",
        native: None,
        own_process: true,
        prepare: |home| {
            start(home, |builder| builder.sampler(Sampler::always_off()));
            Case::new(|| root_with(&mut || drop(black_box(span!("child")))))
        },
    },
    Entry {
        name: "native/a processor",
        native: None,
        own_process: true,
        prepare: |home| {
            start(home, |builder| builder.processor(LooksAtName));
            Case::new(|| root_with(&mut || drop(black_box(span!("child")))))
        },
    },
    Entry {
        name: "native/3 processors",
        native: None,
        own_process: true,
        prepare: |home| {
            start(home, |builder| {
                builder
                    .processor(LooksAtName)
                    .processor(LooksAtName)
                    .processor(LooksAtName)
            });
            Case::new(|| root_with(&mut || drop(black_box(span!("child")))))
        },
    },
    Entry {
        name: "native/5 attributes, redacted",
        native: None,
        own_process: true,
        prepare: |home| {
            start(home, |builder| builder.redact(throughline::redact_keys(["password"])));
            let order = Order::new();
            Case::new(move || root_with(&mut || drop(black_box(five_attributes(&order)))))
        },
    },
    Entry {
        name: "native/off",
        native: None,
        own_process: true,
        prepare: |home| {
            start(home, |builder| builder.on(false));
            Case::new(|| root_with(&mut || drop(black_box(span!("child")))))
        },
    },
];

/// Looks at the name of each span.
struct LooksAtName;

impl SpanProcessor for LooksAtName {
    fn on_start(&self, span: &mut ProcessedSpan<'_>, _parent: &Context) -> Verdict {
        match span.name() {
            "noise" => Verdict::Drop,
            _ => Verdict::Keep,
        }
    }

    fn edits(&self) -> bool {
        false
    }

    fn wants_start_attributes(&self) -> bool {
        false
    }
}

const fn native(name: &'static str, prepare: fn(&Path) -> Case) -> Entry {
    Entry {
        name,
        native: None,
        own_process: false,
        prepare,
    }
}

/// Starts tracing as configured; once per process, so that the first call decides.
fn start(home: &Path, configure: fn(Builder) -> Builder) {
    static TRACING: OnceLock<Tracing> = OnceLock::new();
    TRACING.get_or_init(|| {
        let builder = throughline::builder("hot_path").spool_dir(home.join("spool"));
        configure(builder).init()
    });
}

/// Starts tracing with the default sampler: every span is recorded.
pub(super) fn record(home: &Path) {
    start(home, |builder| builder);
}

fn under_root(home: &Path, mut child: impl FnMut() + 'static) -> Case {
    record(home);
    Case::new(move || root_with(&mut child))
}

#[inline]
fn root_with(child: &mut impl FnMut()) {
    let _root = span!("root").enter();
    for _ in 0..CHILDREN {
        child();
    }
}

fn nested(depth: u32) {
    if depth > 0 {
        let _span = span!("child").enter();
        nested(depth - 1);
    }
}

/// A child with the five attributes.
#[inline]
pub(crate) fn five_attributes(order: &Order) -> Span {
    span!(
        "child",
        order.customer = order.customer.as_str(),
        http.path = order.path.as_str(),
        order.items = order.items,
        order.express = order.express,
        order.total = order.total
    )
}

const KEYS: [&str; 24] = [
    "key.00", "key.01", "key.02", "key.03", "key.04", "key.05", "key.06", "key.07", "key.08", "key.09", "key.10",
    "key.11", "key.12", "key.13", "key.14", "key.15", "key.16", "key.17", "key.18", "key.19", "key.20", "key.21",
    "key.22", "key.23",
];
