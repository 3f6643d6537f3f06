//! A span that is current for as long as a guard lives.

use throughline_spool::{EnteredSpan, OpenSpan};
use throughline_wire::{StatusCode, Value};

use super::{Span, context_of, ids_of, recording_methods, relay_of};
use crate::context::Context;
use crate::recording::{self, ErrorText};

/// Keeps a span current on this thread; made by [`Span::enter`]. Dropping it ends the span.
///
/// Guards may be dropped in any order. A guard is not `Send`.
///
/// ```compile_fail
/// fn is_send<T: Send>(_: T) {}
/// is_send(throughline::span!("stays here").enter());
/// ```
#[derive(Debug)]
#[must_use = "the span is current only as long as the guard lives, and ends with it"]
pub struct Entered {
    inner: Option<Inner>,
}

#[derive(Debug)]
struct Inner {
    span: EnteredSpan,
    _context: throughline_context::Entered,
}

impl Entered {
    #[inline]
    pub(super) fn new(mut span: Span) -> Self {
        let inner = span.open.take().map(|open| {
            let context = throughline_context::enter(ids_of(&open), relay_of(&open));
            Inner {
                span: EnteredSpan::new(open),
                _context: context,
            }
        });
        Self { inner }
    }

    /// The span's context. Empty when tracing is off.
    #[must_use]
    pub fn context(&self) -> Context {
        let inner = self.inner.as_ref();
        inner
            .and_then(|inner| inner.span.with(|span| context_of(span)))
            .unwrap_or_default()
    }

    /// Whether what is set on this span is kept.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.inner
            .as_ref()
            .and_then(|inner| inner.span.with(|span| span.is_recording()))
            .unwrap_or(false)
    }

    /// Ends the span now, and makes current what was so before.
    #[inline]
    pub fn end(self) {
        drop(self);
    }

    /// Inside the closure of [`current`](crate::current) for the same span this does nothing.
    #[inline]
    fn with(&self, f: impl FnOnce(&mut OpenSpan)) {
        if let Some(inner) = &self.inner {
            inner.span.with(f);
        }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if let Some(Inner { span, _context }) = self.inner.take() {
            recording::end(span.leave());
        }
    }
}

recording_methods!(Entered, (&self), self);
