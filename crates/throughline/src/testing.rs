//! Spans in memory, for users' own tests.
//!
//! [`capture`] switches tracing on in this process and collects the spans that belong to the test that called it. Tests that run
//! side by side in one process each get their own spans.
//!
//! ```
//! use throughline::{Span, span, testing};
//!
//! fn charge(card: &str) {
//!     let mut span = span!("charge", card);
//!     if card == "stolen" {
//!         span.status_error("declined");
//!     }
//! }
//!
//! let capture = testing::capture();
//! span!("order").in_scope(|| {
//!     charge("visa");
//!     charge("stolen");
//! });
//! capture.assert_tree(
//!     "order
//!        charge {card=visa}
//!        charge !",
//! );
//! ```
//!
//! # Which capture a span belongs to
//!
//! 1. To that of its parent: so spans follow the context into tasks, threads and pools.
//! 2. Else to the capture that was made last, and still lives, on the thread where the span starts.
//! 3. Else to the one that has other spans of the same trace.
//! 4. Else to none: it is one of the [`strays`]. Mostly the context was not handed on to the thread where it starts.
//!
//! # What it does to a process
//!
//! The first capture switches tracing on: in memory, with no file, no destination and nothing on stderr. Variables have no say:
//! neither `OTEL_SDK_DISABLED` nor an endpoint or a sampler. An [`init`](crate::init) in the code under test that comes later does
//! nothing. Where it comes first, [`capture`] panics and says so: make its builder a [`capturing`](crate::Builder::capturing) one.
//!
//! # Several tracers in one process
//!
//! There is one recorder in a process, by design: spans of all crates share one tree. What others use several tracers for is done by
//! * captures, in tests: each test sees its own spans only;
//! * [scopes](crate::Scope), for plug-ins: each plug-in's spans carry its name and version, and a backend can tell them apart;
//! * [destinations](crate::Builder::destination), to send spans to several backends.

mod captured_span;
mod comparison;
mod expected;
mod registry;
mod text;
mod tree;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use throughline_wire::SpanView;

pub use captured_span::CapturedSpan;
pub use tree::Tree;

use crate::builder::is_decided;
use crate::context::Context;
use crate::processor::{Verdict, chain};
use expected::Expected;

/// Whether the first capture has switched tracing on, rather than the program itself.
static IS_IN_CHARGE: AtomicBool = AtomicBool::new(false);

/// Begins to collect the spans of this test, until the [`Capture`] is dropped; switches tracing on, if nobody has.
///
/// ```
/// use throughline::{InSpanExt, span, testing};
///
/// #[tokio::test]
/// # async fn hidden() {}
/// async fn order_is_charged() {
///     let capture = testing::capture();
///     async { span!("charge").end() }.in_span(span!("order")).await;
///     capture.assert_tree("order\n  charge");
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(order_is_charged());
/// ```
///
/// # Panics
///
/// When tracing was switched on before by a builder that is not [`capturing`](crate::Builder::capturing), or was switched off.
#[must_use = "spans are collected as long as the capture lives"]
#[track_caller]
pub fn capture() -> Capture {
    if !switched_on() {
        panic!(
            "tracing was switched on or off before in this process, not for tests: call `throughline::testing::capture()` first, \
             or add `.capturing()` to the builder that `init` is called on"
        );
    }
    Capture {
        number: registry::begin(),
        not_send: PhantomData,
    }
}

/// Spans that belong to no capture, in the order in which they started: at least the last 1000 of this process.
///
/// A span is a stray when it starts on a thread without a capture, and its parent belongs to none. Tests that run side by side
/// share this list.
///
/// ```
/// use throughline::{span, testing};
///
/// let capture = testing::capture();
/// std::thread::spawn(|| span!("without a context").end()).join().unwrap();
/// assert!(capture.spans().is_empty());
/// assert!(testing::strays().iter().any(|span| span.name() == "without a context"));
/// ```
#[must_use]
pub fn strays() -> Vec<CapturedSpan> {
    registry::spans(registry::STRAYS)
}

/// The spans of a test; made by [`capture`].
///
/// It is not `Send`: it belongs to the thread that made it, on which spans without a parent are collected. Spans of other threads
/// and tasks are collected by their parents.
#[must_use = "spans are collected as long as the capture lives"]
pub struct Capture {
    number: u64,
    not_send: PhantomData<*const ()>,
}

impl Capture {
    /// All spans so far, by the time of their start. Those that have not ended hold what they held when they started.
    #[must_use]
    pub fn spans(&self) -> Vec<CapturedSpan> {
        let mut spans = registry::spans(self.number);
        spans.sort_by_key(|span| span.view().start_time_unix_nano());
        spans
    }

    /// The span of this name.
    ///
    /// ```
    /// use throughline::{span, testing};
    ///
    /// let capture = testing::capture();
    /// span!("charge", order.id = 7).end();
    /// assert_eq!(capture.span("charge").attribute("order.id").unwrap().as_i64(), Some(7));
    /// ```
    ///
    /// # Panics
    ///
    /// When there is none, or more than one: then use [`spans`](Self::spans).
    #[must_use]
    #[track_caller]
    pub fn span(&self, name: &str) -> CapturedSpan {
        let mut found = self.spans();
        found.retain(|span| span.name() == name);
        match found.len() {
            1 => found.remove(0),
            0 => panic!("no span is named `{name}`; captured:\n{}", self.tree()),
            number => panic!("{number} spans are named `{name}`; captured:\n{}", self.tree()),
        }
    }

    /// All spans so far as trees: a span whose parent is not here begins one.
    #[must_use]
    pub fn tree(&self) -> Tree {
        Tree::new(registry::spans(self.number))
    }

    /// Checks that the captured spans form this tree.
    ///
    /// A line for each span, indented below its parent by any number of spaces; the first line may stand behind the quote. Siblings may have started in any order, as tasks
    /// that run side by side do; where the order matters, compare [`tree`](Self::tree)`().to_string()`.
    ///
    /// | a line | a span |
    /// |---|---|
    /// | `charge` | named `charge`, which ended without an error, whatever its attributes |
    /// | `charge !` | whose status is an error |
    /// | `charge ~` | which has not ended |
    /// | `charge {order.id=7, card=visa}` | with these attributes and no others, in any order |
    /// | `charge ! {order.id=7, ..}` | with this attribute, and maybe others |
    /// | `"odd {name} !"` | of a name that could be mistaken for something else, as `{:?}` writes it |
    ///
    /// Values are written as [`Tree::with_attributes`] writes them: text that could be mistaken for something else (`"7"`, `"a, b"`)
    /// in quotes.
    ///
    /// ```
    /// use throughline::{span, testing};
    ///
    /// let capture = testing::capture();
    /// span!("order", order.id = 7, lines = 3).in_scope(|| {
    ///     span!("charge").status_error("declined");
    /// });
    /// capture.assert_tree("order {order.id=7, ..}\n  charge !");
    /// ```
    ///
    /// # Panics
    ///
    /// When it is another tree. The message shows the difference, line by line:
    ///
    /// ```text
    /// the captured spans are not the expected tree (- expected, + captured):
    ///   order
    ///     charge
    /// -   charge !
    /// +   charge
    /// ```
    #[track_caller]
    pub fn assert_tree(&self, expected: &str) {
        let expected = match Expected::parse(expected) {
            Ok(expected) => expected,
            Err(problem) => panic!("the expected tree cannot be read: {problem}"),
        };
        if let Some(difference) = comparison::difference(&expected, &self.tree(), &strays()) {
            panic!("the captured spans are not the expected tree (- expected, + captured):\n{difference}");
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Capture of\n{}", self.tree().with_attributes())
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        registry::end(self.number);
    }
}

/// Whether a later `init` does nothing.
pub(crate) fn is_in_charge() -> bool {
    IS_IN_CHARGE.load(Ordering::Acquire)
}

/// A span has started, and is recorded.
pub(crate) fn started(span: &SpanView<'_>, parent: &Context) {
    registry::start(span, parent.ids());
}

/// A span has ended.
pub(crate) fn ended(span: &SpanView<'_>, verdict: Verdict) {
    match verdict {
        Verdict::Keep => registry::finish(span),
        Verdict::Drop => registry::remove(span),
    }
}

/// A span was replaced by another, which starts anew.
pub(crate) fn replaced(span: &SpanView<'_>) {
    registry::remove(span);
}

/// Switches tracing on, if nobody has. `false`: it was switched on or off by somebody who does not capture.
fn switched_on() -> bool {
    static FIRST: Once = Once::new();
    /// Somebody else may be at it.
    const LONGEST: Duration = Duration::from_secs(10);
    FIRST.call_once(|| {
        if !is_decided() {
            // Dropping what it returns would do what is to be done at the end of a program.
            std::mem::forget(crate::builder("test").capturing().init_in_memory());
        }
        IS_IN_CHARGE.store(true, Ordering::Release);
    });
    let captures = chain().is_some_and(|chain| chain.captures);
    let asked = Instant::now();
    while captures && !throughline_spool::is_on() && asked.elapsed() < LONGEST {
        std::thread::yield_now();
    }
    captures
}
