//! A span that is current for as long as a guard lives.

use std::time::SystemTime;

use throughline_spool::{EnteredSpan, Recording};
use throughline_wire::{StatusCode, Value};

use super::{Span, context_of_recording, ids_of, is_formatted, recording_methods, relay_of, set_value};
use crate::attributes::{Encoded, Of};
use crate::clock;
use crate::context::Context;
use crate::recording::{self, Details, ErrorText};
use crate::value::ToValue;

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
    /// Left and ended first; then the context below becomes current again.
    span: Option<EnteredSpan>,
    _context: Option<throughline_context::Entered>,
}

impl Entered {
    #[inline]
    pub(super) fn new(mut span: Span) -> Self {
        match span.open.take() {
            None => Self {
                span: None,
                _context: None,
            },
            Some(open) => Self {
                _context: Some(throughline_context::enter(ids_of(&open), relay_of(open.notes()))),
                span: Some(EnteredSpan::new(open)),
            },
        }
    }

    /// The span's context. When tracing is off, that of its parent.
    #[must_use]
    pub fn context(&self) -> Context {
        let span = self.span.as_ref();
        span.and_then(|span| span.with(|span| context_of_recording(&span)))
            .unwrap_or_default()
    }

    /// Whether what is set on this span is kept.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        let span = self.span.as_ref();
        span.and_then(|span| span.with(|span| span.is_recording()))
            .unwrap_or(false)
    }

    /// Ends the span now, and makes current what was so before.
    #[inline]
    pub fn end(self) {
        drop(self);
    }

    /// Ends the span with this time as its end, but not before its start, and makes current what was so before.
    pub fn end_at(mut self, time: SystemTime) {
        if let Some(Ok(open)) = self.span.take().map(EnteredSpan::leave) {
            recording::end_at(open, clock::unix_nano(time));
        }
    }

    #[inline]
    fn with(&self, f: impl FnOnce(&mut Recording<'_>)) {
        if let Some(span) = &self.span {
            span.with(|mut span| f(&mut span));
        }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.end(recording::end);
        }
    }
}

recording_methods!(Entered, (&self), self);
