//! Starting a span anew under another parent: for bridges whose API lets a parent be set afterwards.

use std::time::{Duration, UNIX_EPOCH};

use throughline_wire::SpanView;

use super::request::Request;
use super::{ParentRef, Span};
use crate::processor::chain;
use crate::scope::Scope;
use crate::{recording, testing};

impl Span {
    /// Makes a recorded span the child of `parent`, in that one's trace: with a new id, and with all that it has, its start included.
    /// It is for the caller to know that nothing was made of its old ids.
    ///
    /// Processors see the new span start, and no end of the old one. It is decided anew whether it is recorded. One that is not from now on counts as dropped (`filtered`). A span that was not
    /// recorded before is left as it is: nothing is known of it.
    #[doc(hidden)]
    #[cold]
    pub fn restart(&mut self, scope: &Scope, parent: ParentRef<'_>) {
        let Some(old) = self.open.take_if(|open| open.is_recording() && open.is_ours()) else {
            return;
        };
        let view = SpanView::new(old.body());
        let name = view.name().to_owned();
        let mut request = Request::new(&name, scope, view.kind());
        request.start = Some(UNIX_EPOCH + Duration::from_nanos(old.start_unix_nano()));
        for (key, field) in recording::attributes(old.fields()) {
            request.attributes.put_field(key, field);
        }
        if chain().is_some() {
            testing::replaced(&view);
        }
        let mut new = Self::start_with(&request, parent);
        match new.open.as_mut().filter(|open| open.is_recording()) {
            // It is counted: it was filtered out by its new parent.
            None => drop(old),
            Some(open) => {
                recording::copy_progress(&old, &mut open.recording());
                old.replace();
            }
        }
        *self = new;
    }
}
