//! The span that is entered on a thread, so that code far below can write to it.
//!
//! An entered span is owned by something that stays on its thread: an [`EnteredSpan`], which is not `Send`, or the borrow
//! of [`OpenSpan::scope`]. All access goes through one gate: it holds the number of the one thread that may use the span,
//! and says so for the length of each use. So a stale pointer (guards dropped out of order) or a second use inside the
//! first finds the gate closed, and every [`Recording`] is exclusive.
//!
//! An `EnteredSpan` that is dropped inside a use of its own span cannot end it there, where it is still written to. It
//! leaves that to the use, which ends the span when it is over.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use super::open::{Open, OpenSpan, Recording};
use super::thread;

/// Nobody may use the span by way of its thread.
const CLOSED: u32 = 0;
/// The span is entered, and in use already.
const IN_USE: u32 = thread::NO_NUMBER;

/// Who may use a span without owning it.
#[derive(Default)]
pub(crate) struct Gate {
    /// `CLOSED`, `IN_USE`, or the number of the thread that the span is entered on. Others read it through stale pointers.
    entered_on: AtomicU32,
    /// What was entered on that thread before. Like `end`, it is touched by that thread only while the span is entered.
    before: Cell<Option<NonNull<Open>>>,
    /// How to end the span after the use in which its owner was dropped.
    end: Cell<Option<fn(OpenSpan)>>,
}

/// A span that is entered on this thread for as long as this lives.
///
/// Dropping it gives the span up, as dropping an [`OpenSpan`] does; [`end`](Self::end) and [`leave`](Self::leave) do not.
pub struct EnteredSpan(NonNull<Open>);

impl EnteredSpan {
    /// Makes a span the one that [`with_entered`] reaches on this thread.
    #[inline]
    #[must_use]
    pub fn new(span: OpenSpan) -> Self {
        let open = span.into_ptr();
        enter(open);
        Self(open)
    }

    /// Runs `f` with the span. `None` when that happens inside another use of the same span.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(Recording<'_>) -> R) -> Option<R> {
        through_gate(self.0, f)
    }

    /// Leaves the span, which stays open.
    ///
    /// # Errors
    ///
    /// It is in use further up: it stays entered.
    #[inline]
    pub fn leave(self) -> Result<OpenSpan, Self> {
        if gate(self.0).is_in_use() {
            return Err(self);
        }
        Ok(self.leave_unused())
    }

    /// Leaves the span and ends it by this function: at once, or after the use of the same span inside which that happens.
    #[inline]
    pub fn end(self, end: fn(OpenSpan)) {
        if gate(self.0).is_in_use() {
            return self.end_after_use(end);
        }
        end(self.leave_unused());
    }

    #[inline]
    fn leave_unused(self) -> OpenSpan {
        let this = ManuallyDrop::new(self);
        leave(this.0);
        // SAFETY: it came from `into_ptr` in `new`; `this` is never used again, nor dropped.
        unsafe { OpenSpan::from_ptr(this.0) }
    }

    #[cold]
    fn end_after_use(self, end: fn(OpenSpan)) {
        let this = ManuallyDrop::new(self);
        // The use reopens the gate or, now, ends the span.
        gate(this.0).end.set(Some(end));
        take_out(this.0);
    }
}

impl Drop for EnteredSpan {
    fn drop(&mut self) {
        Self(self.0).end(drop);
    }
}

impl std::fmt::Debug for EnteredSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_tuple("EnteredSpan");
        self.with(|span| out.field(&span).finish())
            .unwrap_or_else(|| f.write_str("EnteredSpan(in use)"))
    }
}

impl OpenSpan {
    /// Runs `f` while this is the span that [`with_entered`] reaches on this thread.
    #[inline]
    pub fn scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a mut OpenSpan);
        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                let gate = gate(self.0.as_ptr());
                gate.entered_on.store(CLOSED, Ordering::Relaxed);
                // Whatever guards were left behind inside.
                thread::set_entered(gate.before.get());
            }
        }
        enter(self.as_ptr());
        let _leave = Leave(self);
        f()
    }
}

/// Runs `f` with the span that is entered on this thread, when it has this id.
///
/// `None` when it has not, when nothing is entered, and inside another use of the same span.
#[inline]
pub fn with_entered<R>(span_id: [u8; 8], f: impl FnOnce(Recording<'_>) -> R) -> Option<R> {
    through_gate(thread::entered()?, |span| (span.span_id() == span_id).then(|| f(span))).flatten()
}

/// A way to a span that was entered on this thread when the handle was made, for as long as it stays so.
///
/// It owns nothing and locks nothing: when the span has ended or was left, it leads nowhere. It is not `Send`.
#[derive(Clone, Copy, Debug)]
pub struct EnteredHandle {
    open: NonNull<Open>,
    span_id: [u8; 8],
}

impl EnteredHandle {
    /// The span that is entered on this thread, when it has this id, and what `f` says of it.
    #[inline]
    pub fn find<R>(span_id: [u8; 8], f: impl FnOnce(Recording<'_>) -> R) -> Option<(Self, R)> {
        let open = thread::entered()?;
        let handle = Self { open, span_id };
        handle.with(f).map(|said| (handle, said))
    }

    /// Runs `f` with the span. `None` when it is no longer entered here, and inside another use of it.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(Recording<'_>) -> R) -> Option<R> {
        // The `Open` may be another span's by now: then the id tells.
        through_gate(self.open, |span| (span.span_id() == self.span_id).then(|| f(span))).flatten()
    }
}

impl Gate {
    #[inline]
    fn is_in_use(&self) -> bool {
        self.entered_on.load(Ordering::Relaxed) == IN_USE
    }
}

#[inline]
fn gate<'a>(open: NonNull<Open>) -> &'a Gate {
    // SAFETY: an `Open` is never freed, and its gate is made of cells: it may be shared by whoever points to it. Of these
    // cells a thread that the span is not entered on reads the atomic one only.
    unsafe { &(*open.as_ptr()).gate }
}

#[inline]
fn enter(open: NonNull<Open>) {
    gate(open).entered_on.store(thread::number(), Ordering::Relaxed);
    // Kept with the span, so that a guard is small.
    gate(open).before.set(thread::set_entered(Some(open)));
}

#[inline]
fn leave(open: NonNull<Open>) {
    gate(open).entered_on.store(CLOSED, Ordering::Relaxed);
    take_out(open);
}

/// What was entered before takes the span's place. Where another was entered since, that stays.
#[inline]
fn take_out(open: NonNull<Open>) {
    let before = gate(open).before.get();
    let entered = thread::entered();
    if entered == Some(open) {
        thread::set_entered(before);
    } else {
        take_out_from_below(entered, open, before);
    }
}

/// Each of the spans that are entered above knows the one below it. One that a scope has left behind is not among them.
#[cold]
fn take_out_from_below(mut above: Option<NonNull<Open>>, open: NonNull<Open>, before: Option<NonNull<Open>>) {
    while let Some(entered) = above {
        let below = gate(entered).before.get();
        if below == Some(open) {
            gate(entered).before.set(before);
            return;
        }
        above = below;
    }
}

#[inline]
fn through_gate<R>(open: NonNull<Open>, f: impl FnOnce(Recording<'_>) -> R) -> Option<R> {
    struct Reopen(NonNull<Open>, u32);
    impl Drop for Reopen {
        #[inline]
        fn drop(&mut self) {
            let gate = gate(self.0);
            match gate.end.take() {
                None => gate.entered_on.store(self.1, Ordering::Relaxed),
                Some(end) => {
                    gate.entered_on.store(CLOSED, Ordering::Relaxed);
                    // SAFETY: it came from `into_ptr`; its owner was dropped during the use and left it to us. The view is gone.
                    end(unsafe { OpenSpan::from_ptr(self.0) });
                }
            }
        }
    }
    let gate = gate(open);
    let here = thread::number();
    if here == CLOSED || gate.entered_on.load(Ordering::Relaxed) != here {
        return None;
    }
    // Only this thread stores this number, and it stays until this thread changes it: no other thread gets here.
    gate.entered_on.store(IN_USE, Ordering::Relaxed);
    let _reopen = Reopen(open, here);
    // SAFETY: the gate was open for this thread, so the span is entered here. Its owner is a `scope`, which has it borrowed,
    // or an `EnteredSpan`, which reaches it through this gate only and gives it to nobody while it is in use.
    Some(f(unsafe { Recording::from_ptr(open) }))
}
