//! The current span, reached without a handle.

use std::time::SystemTime;

use throughline_spool::{EnteredHandle, Recording};
use throughline_wire::{StatusCode, Value};

use super::bridged::Bridged;
use super::{SharedSpan, context_of_recording, is_formatted, recording_methods, set_value, shared};
use crate::attributes::{Encoded, Of};
use crate::clock;
use crate::context::Context;
use crate::recording::{self, Details, ErrorText};
use crate::value::ToValue;

/// Runs `f` with the span that is current on this thread, if there is one here to be written to.
///
/// `None` when no span is current, when the current one is not recorded, and when only its ids are here
/// ([`Context::enter`], [`in_context`](crate::InSpanExt::in_context)).
///
/// ```
/// let _span = throughline::span!("query").enter();
/// let rows = 3;
/// throughline::current(|span| span.set("rows", rows));
/// ```
#[inline]
pub fn current<R>(f: impl FnOnce(&mut Current) -> R) -> Option<R> {
    let span_id = throughline_context::ids().span_id();
    let entered = EnteredHandle::find(span_id, |span| span.is_recording());
    let span = match entered {
        Some((entered, is_recording)) => is_recording.then_some(Target::Entered(entered))?,
        None => match shared::entered(span_id) {
            Some(shared) => Target::Shared(shared.is_recording().then_some(shared)?),
            None => Target::Bridged(Bridged::find(span_id)?),
        },
    };
    Some(f(&mut Current { span }))
}

/// The current span, for the length of one closure; see [`current`].
///
/// Nothing is locked in between: the span can be written to by all other ways as well, and even end; then what is set here is
/// lost.
#[derive(Debug)]
pub struct Current {
    span: Target,
}

#[derive(Debug)]
enum Target {
    Entered(EnteredHandle),
    Shared(SharedSpan),
    Bridged(Bridged),
}

impl Current {
    /// The span's context; empty when the span has ended meanwhile.
    #[must_use]
    pub fn context(&self) -> Context {
        match &self.span {
            Target::Entered(entered) => entered.with(|span| context_of_recording(&span)).unwrap_or_default(),
            Target::Shared(shared) => shared.context(),
            Target::Bridged(bridged) => {
                let mut context = Context::default();
                bridged.with(|span| context = span.context());
                context
            }
        }
    }

    /// Whether what is set on this span is kept: until it ends.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        match &self.span {
            Target::Entered(entered) => entered.with(|span| span.is_recording()).unwrap_or(false),
            Target::Shared(shared) => shared.is_recording(),
            Target::Bridged(bridged) => {
                let mut is_recording = false;
                bridged.with(|span| is_recording = span.is_recording());
                is_recording
            }
        }
    }

    #[inline]
    fn with(&self, f: impl FnOnce(&mut Recording<'_>)) {
        match &self.span {
            Target::Entered(entered) => {
                entered.with(|mut span| f(&mut span));
            }
            Target::Shared(shared) => shared.with(f),
            Target::Bridged(bridged) => bridged.with(|span| span.with(f)),
        }
    }
}

recording_methods!(Current, (&mut self), self);
