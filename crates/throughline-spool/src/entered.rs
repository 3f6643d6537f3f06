//! The span that is entered on a thread, so that code far below can write to it.
//!
//! An entered span is owned by something that stays on its thread: an [`EnteredSpan`], which is not `Send`, or the borrow
//! of [`OpenSpan::scope`]. All access goes through one gate, the span's `entered_on`: it holds the number of the one
//! thread that may use it, and is taken for the length of each use. So a stale pointer (guards dropped out of order)
//! or a second use inside the first finds the gate closed, and every `&mut OpenSpan` is exclusive.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::open::{Open, OpenSpan};
use crate::thread;

/// Nobody may use the span by way of its thread.
const CLOSED: u32 = 0;

/// A span that is entered on this thread for as long as this lives.
///
/// Dropping it gives the span up, as dropping an [`OpenSpan`] does; [`leave`](Self::leave) returns it.
pub struct EnteredSpan {
    span: ManuallyDrop<OpenSpan>,
    not_send: PhantomData<*const ()>,
}

impl EnteredSpan {
    /// Makes a span the one that [`with_entered`] reaches on this thread.
    #[inline]
    #[must_use]
    pub fn new(mut span: OpenSpan) -> Self {
        let before = enter(span.as_ptr());
        // Kept with the span, so that the guard is small.
        span.open_mut().entered_before = before.entered;
        Self {
            span: ManuallyDrop::new(span),
            not_send: PhantomData,
        }
    }

    /// Runs `f` with the span. `None` when that happens inside another use of the same span.
    #[inline]
    pub fn with<R>(&self, f: impl FnOnce(&mut OpenSpan) -> R) -> Option<R> {
        through_gate(self.span.as_ptr(), f)
    }

    /// Leaves the span, which stays open.
    #[inline]
    #[must_use]
    pub fn leave(self) -> OpenSpan {
        let mut this = ManuallyDrop::new(self);
        this.leave_in_place();
        // SAFETY: `this` is never used again, nor dropped.
        unsafe { ManuallyDrop::take(&mut this.span) }
    }

    #[inline]
    fn leave_in_place(&mut self) {
        // The span was owned when it was entered, so its gate was closed.
        let before = Before {
            gate: CLOSED,
            entered: self.span.open_mut().entered_before.take(),
        };
        leave(self.span.as_ptr(), &before);
    }
}

impl Drop for EnteredSpan {
    fn drop(&mut self) {
        self.leave_in_place();
        // SAFETY: this is the drop of the only owner.
        unsafe { ManuallyDrop::drop(&mut self.span) };
    }
}

impl std::fmt::Debug for EnteredSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("EnteredSpan").field(&*self.span).finish()
    }
}

impl OpenSpan {
    /// Runs `f` while this is the span that [`with_entered`] reaches on this thread.
    #[inline]
    pub fn scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        struct Leave<'a>(&'a OpenSpan, Before);
        impl Drop for Leave<'_> {
            #[inline]
            fn drop(&mut self) {
                leave(self.0.as_ptr(), &self.1);
            }
        }
        let _leave = Leave(self, enter(self.as_ptr()));
        f()
    }
}

/// Runs `f` with the span that is entered on this thread, when it has this id.
///
/// `None` when it has not, when nothing is entered, and inside another use of the same span.
#[inline]
pub fn with_entered<R>(span_id: [u8; 8], f: impl FnOnce(&mut OpenSpan) -> R) -> Option<R> {
    through_gate(thread::entered()?, |span| (span.span_id() == span_id).then(|| f(span))).flatten()
}

/// Runs `f` while no span is entered on this thread.
#[inline]
pub fn without_entered<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Option<NonNull<Open>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            thread::set_entered(self.0);
        }
    }
    let _restore = Restore(thread::set_entered(None));
    f()
}

/// What was so before a span was entered.
struct Before {
    /// Its gate.
    gate: u32,
    /// What was entered on this thread.
    entered: Option<NonNull<Open>>,
}

#[inline]
fn enter(open: NonNull<Open>) -> Before {
    // SAFETY: an `Open` is never freed, and `entered_on` is atomic.
    let gate = unsafe { &(*open.as_ptr()).entered_on };
    let before = gate.load(Ordering::Relaxed);
    gate.store(thread::number(), Ordering::Relaxed);
    Before {
        gate: before,
        entered: thread::set_entered(Some(open)),
    }
}

#[inline]
fn leave(open: NonNull<Open>, before: &Before) {
    // SAFETY: as in `enter`.
    unsafe { &(*open.as_ptr()).entered_on }.store(before.gate, Ordering::Relaxed);
    thread::set_entered(before.entered);
}

#[inline]
fn through_gate<R>(open: NonNull<Open>, f: impl FnOnce(&mut OpenSpan) -> R) -> Option<R> {
    struct Reopen(NonNull<Open>, u32);
    impl Drop for Reopen {
        #[inline]
        fn drop(&mut self) {
            // SAFETY: as in `enter`.
            unsafe { &(*self.0.as_ptr()).entered_on }.store(self.1, Ordering::Relaxed);
        }
    }
    // SAFETY: as in `enter`.
    let gate = unsafe { &(*open.as_ptr()).entered_on };
    let here = thread::number();
    if here == CLOSED || gate.load(Ordering::Relaxed) != here {
        return None;
    }
    // Only this thread stores this number, and it stays until this thread changes it: no other thread gets here.
    gate.store(CLOSED, Ordering::Relaxed);
    let _reopen = Reopen(open, here);
    // SAFETY: the gate was open for this thread, so the span is entered here: its owner is an `EnteredSpan`, which reaches
    // it through this gate only, or a `scope` that has it borrowed. The gate is closed while the reference lives.
    let mut span = ManuallyDrop::new(unsafe { OpenSpan::from_ptr(open) });
    Some(f(&mut span))
}
