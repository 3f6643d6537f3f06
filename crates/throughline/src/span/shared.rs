//! A span that several owners write to.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use throughline_spool::Recording;
use throughline_wire::{StatusCode, Value};

use super::{Span, is_formatted, recording_methods, set_value};
use crate::attributes::{Encoded, Of};
use crate::clock;
use crate::context::Context;
use crate::recording::{self, Details, ErrorText};
use crate::value::ToValue;

thread_local! {
    /// The shared spans that are entered on this thread, in the order in which they were.
    static ENTERED: RefCell<EnteredHere> = const { RefCell::new(EnteredHere { last_number: 0, spans: Vec::new() }) };
}

struct EnteredHere {
    last_number: u64,
    spans: Vec<(u64, SharedSpan)>,
}

/// A span that can be cloned and written through `&self`; made by [`Span::share`].
///
/// It ends when the last clone is dropped, guards included, or by [`end`](Self::end). Each call takes a lock for as long as it
/// writes; no code of the user's runs under it.
///
/// ```
/// let span = throughline::span!("upload").share();
/// let other = span.clone();
/// std::thread::spawn(move || other.set("part.2", "done"));
/// span.set("part.1", "done");
/// ```
#[derive(Clone, Debug)]
pub struct SharedSpan {
    span: Arc<Mutex<Span>>,
    /// Kept outside the lock: it never changes. `None` where the span does nothing, and leaves the current context alone.
    context: Option<Context>,
    /// That of the process that made it: in a forked child the lock may be held for ever, and the span is the parent's.
    fork_number: u32,
}

impl SharedSpan {
    pub(super) fn new(span: Span) -> Self {
        Self {
            context: span.open.is_some().then(|| span.context()),
            span: Arc::new(Mutex::new(span)),
            fork_number: throughline_spool::fork_number(),
        }
    }

    /// The span's context. When tracing is off, that of its parent.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone().unwrap_or_default()
    }

    /// Whether what is set on this span is kept: tracing is on, the trace is sampled, and the span has not ended.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.lock().is_some_and(|span| span.is_recording())
    }

    /// Makes the span current on this thread until the guard is dropped. That does not end it, unless the guard was all that was
    /// left of it.
    pub fn enter(&self) -> EnteredShared {
        EnteredShared {
            _reachable: Reachable::new(self),
            _context: self.context.as_ref().map(Context::enter),
            not_send: PhantomData,
        }
    }

    /// Runs `f` while the span is current on this thread. A panic in it becomes the span's status, and goes on.
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        let _reachable = Reachable::new(self);
        let result = catch_unwind(AssertUnwindSafe(|| match &self.context {
            Some(context) => context.in_scope(f),
            None => f(),
        }));
        result.unwrap_or_else(|panic| {
            self.with(|span| recording::panicked(span, &*panic));
            resume_unwind(panic)
        })
    }

    /// Ends the span now; what is set on any clone from now on is lost.
    pub fn end(&self) {
        let ended = self.take();
        drop(ended);
    }

    /// Ends the span with this time as its end, but not before its start.
    pub fn end_at(&self, time: SystemTime) {
        self.take().end_at(time);
    }

    fn take(&self) -> Span {
        self.lock()
            .map_or_else(Span::none, |mut span| std::mem::replace(&mut *span, Span::none()))
    }

    pub(super) fn with(&self, f: impl FnOnce(&mut Recording<'_>)) {
        if let Some(mut span) = self.lock() {
            span.with(f);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Span>> {
        let is_ours = self.fork_number == throughline_spool::fork_number();
        is_ours.then(|| self.span.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps a shared span current on this thread; made by [`SharedSpan::enter`]. Guards may be dropped in any order.
#[derive(Debug)]
#[must_use = "the span is current only as long as the guard lives"]
pub struct EnteredShared {
    _reachable: Reachable,
    _context: Option<crate::context::EnteredContext>,
    not_send: PhantomData<*const ()>,
}

/// While it lives, a span is among those of [`ENTERED`].
#[derive(Debug)]
struct Reachable {
    number: u64,
}

impl Reachable {
    fn new(span: &SharedSpan) -> Self {
        let number = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            entered.last_number += 1;
            let number = entered.last_number;
            entered.spans.push((number, span.clone()));
            number
        });
        Self {
            number: number.unwrap_or(0),
        }
    }
}

impl Drop for Reachable {
    fn drop(&mut self) {
        // Dropped when nothing is borrowed any more: it may be the last handle of the span.
        let _left = ENTERED.try_with(|entered| {
            let spans = &mut entered.borrow_mut().spans;
            let at = spans.iter().rposition(|(number, _)| *number == self.number)?;
            Some(spans.remove(at))
        });
    }
}

/// The shared span of this id, if it is entered on this thread.
pub(super) fn entered(span_id: [u8; 8]) -> Option<SharedSpan> {
    let found = ENTERED.try_with(|entered| {
        let entered = entered.try_borrow().ok()?;
        let spans = entered.spans.iter().rev().map(|(_, span)| span);
        spans
            .clone()
            .find(|span| span.context().ids().span_id() == span_id)
            .cloned()
    });
    found.ok().flatten()
}

recording_methods!(SharedSpan, (&self), self);
