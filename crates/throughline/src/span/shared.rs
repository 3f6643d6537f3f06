//! A span that several owners write to.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

use throughline_spool::{Recording, without_entered};
use throughline_wire::{StatusCode, Value};

use super::{Span, recording_methods};
use crate::context::Context;
use crate::recording::{self, ErrorText};

thread_local! {
    /// The shared span that is entered on this thread.
    static ENTERED: RefCell<Option<SharedSpan>> = const { RefCell::new(None) };
}

/// A span that can be cloned and written through `&self`; made by [`Span::share`].
///
/// It ends when the last clone is dropped, or by [`end`](Self::end). Each call takes a lock for as long as it writes;
/// no code of the user's runs under it, but for the closure given to [`current`](crate::current).
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
    /// Kept outside the lock: it never changes.
    context: Context,
}

impl SharedSpan {
    pub(super) fn new(span: Span) -> Self {
        let context = span.context();
        Self {
            span: Arc::new(Mutex::new(span)),
            context,
        }
    }

    /// The span's context. Empty when tracing is off.
    #[must_use]
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Makes the span current on this thread until the guard is dropped. That does not end it.
    pub fn enter(&self) -> EnteredShared {
        EnteredShared {
            before: ENTERED
                .try_with(|entered| entered.replace(Some(self.clone())))
                .ok()
                .flatten(),
            _context: self.context.enter(),
            not_send: PhantomData,
        }
    }

    /// Ends the span now; what is set on any clone from now on is lost.
    pub fn end(&self) {
        let ended = std::mem::replace(&mut *self.lock(), Span::none());
        drop(ended);
    }

    fn with(&self, f: impl FnOnce(&mut Recording<'_>)) {
        self.lock().with(f);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Span> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a shared span current on this thread; made by [`SharedSpan::enter`].
#[derive(Debug)]
#[must_use = "the span is current only as long as the guard lives"]
pub struct EnteredShared {
    before: Option<SharedSpan>,
    _context: crate::context::EnteredContext,
    not_send: PhantomData<*const ()>,
}

impl Drop for EnteredShared {
    fn drop(&mut self) {
        let before = self.before.take();
        let _ = ENTERED.try_with(|entered| entered.replace(before));
    }
}

/// Runs `f` with the shared span that is entered on this thread, if it has this id and nobody else writes to it now.
pub(super) fn with_current<R>(span_id: [u8; 8], f: impl FnOnce(Recording<'_>) -> Option<R>) -> Option<R> {
    let shared = ENTERED
        .try_with(|entered| entered.try_borrow().ok()?.clone())
        .ok()
        .flatten()?;
    if shared.context.ids().span_id() != span_id {
        return None;
    }
    // Another thread's write is soon over, but one of this thread, further up, would wait for itself.
    let mut span = match shared.span.try_lock() {
        Ok(span) => span,
        Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(std::sync::TryLockError::WouldBlock) => return None,
    };
    without_entered(|| f(span.open.as_mut()?.recording()))
}

recording_methods!(SharedSpan, (&self), self);
