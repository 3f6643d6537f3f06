//! Starting a span anew under another parent: for bridges whose API lets a parent be set afterwards.

use std::time::{Duration, UNIX_EPOCH};

use throughline_spool::OpenSpan;
use throughline_wire::{SpanKind, SpanView};

use super::request::Request;
use super::{ParentRef, Span};
use crate::attributes::{Encoded, Of};
use crate::processor::chain;
use crate::scope::Scope;
use crate::{recording, testing};

/// What a span that is recorded was started with, and its attributes so far.
#[doc(hidden)]
#[derive(Debug)]
pub struct Restart {
    name: String,
    kind: SpanKind,
    attributes: Encoded,
    start_unix_nano: u64,
}

impl Span {
    /// What it takes to start a recorded span anew. `None` of one that is not recorded: nothing is known of it.
    #[doc(hidden)]
    #[cold]
    #[must_use]
    pub fn to_restart(&self) -> Option<Restart> {
        let open = self.recorded_here()?;
        let view = SpanView::new(open.body());
        let mut attributes = Encoded::new(Of::Span);
        for (key, field) in recording::attributes(open.fields()) {
            attributes.put_field(key, field);
        }
        Some(Restart {
            name: view.name().to_owned(),
            kind: view.kind(),
            attributes,
            start_unix_nano: open.start_unix_nano(),
        })
    }

    /// Puts this span in the place of `old`, from which it was started anew: it has all that the old one has, and its start. The two
    /// count as one. It is for the caller to know that nothing was made of the old one's ids.
    ///
    /// Processors have seen the new span start, and see no end of the old one. Where the new one is not recorded the old one counts as
    /// dropped (`filtered`).
    #[doc(hidden)]
    #[cold]
    pub fn take_over(&mut self, mut old: Self) {
        let is_recorded = old.recorded_here().is_some();
        let Some(old) = old.open.take_if(|_| is_recorded) else {
            return;
        };
        if chain().is_some() {
            testing::replaced(&SpanView::new(old.body()));
        }
        let Some(new) = self.open.as_mut().filter(|open| open.is_recording()) else {
            return drop(old);
        };
        for (key, field) in recording::attributes(old.fields()) {
            recording::set_encoded(&mut new.recording(), key, field);
        }
        recording::copy_progress(&old, &mut new.recording());
        old.replace();
    }

    /// Takes back a span that was started anew on this thread, and not used: as if it had not been, but for processors that have seen
    /// its start.
    #[doc(hidden)]
    #[cold]
    pub fn take_back(mut self) {
        if let Some(open) = self.open.take_if(|open| open.is_recording()) {
            if chain().is_some() {
                testing::replaced(&SpanView::new(open.body()));
            }
            open.replace();
        }
    }

    fn recorded_here(&self) -> Option<&OpenSpan> {
        self.open.as_ref().filter(|open| open.is_recording() && open.is_ours())
    }
}

impl Restart {
    /// Starts the span anew, in the trace of `parent`, with a new id. It is decided anew whether it is recorded.
    pub fn start(self, scope: &Scope, parent: ParentRef<'_>) -> Span {
        let mut request = Request::new(&self.name, scope, self.kind);
        request.start = Some(UNIX_EPOCH + Duration::from_nanos(self.start_unix_nano));
        request.attributes = self.attributes;
        Span::start_with(&request, parent)
    }
}
