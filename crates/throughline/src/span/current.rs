//! The current span, reached without a handle.

use throughline_spool::{Recording, with_entered};
use throughline_wire::{StatusCode, Value};

use super::{context_of_recording, recording_methods, shared};
use crate::context::Context;
use crate::recording::{self, ErrorText};

/// Runs `f` with the span that is current on this thread, if there is one here to be written to.
///
/// `None` when no span is current, when the current one is not recorded, when only its ids are here
/// ([`Context::enter`], [`in_context`](crate::FutureExt::in_context)), and inside another use of the same span.
///
/// ```
/// let _span = throughline::span!("query").enter();
/// let rows = 3;
/// throughline::current(|span| span.set("rows", rows));
/// ```
#[inline]
pub fn current<R>(f: impl FnOnce(&mut Current<'_>) -> R) -> Option<R> {
    let span_id = throughline_context::ids().span_id();
    let mut f = Some(f);
    let run = |span: Recording<'_>| {
        let f = f.take()?;
        span.is_recording().then(|| f(&mut Current { span }))
    };
    match with_entered(span_id, run) {
        Some(result) => result,
        None => shared::with_current(span_id, |span| {
            span.is_recording().then(|| Some(f.take()?(&mut Current { span })))?
        }),
    }
}

/// The current span, for the length of one closure; see [`current`].
#[derive(Debug)]
pub struct Current<'a> {
    span: Recording<'a>,
}

impl Current<'_> {
    /// The span's context.
    #[must_use]
    pub fn context(&self) -> Context {
        context_of_recording(&self.span)
    }

    #[inline]
    fn with(&mut self, f: impl FnOnce(&mut Recording<'_>)) {
        f(&mut self.span);
    }
}

recording_methods!(Current<'_>, (&mut self), self);
