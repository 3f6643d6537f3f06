//! Spans that bridges to other tracing APIs hold and have made current.

use std::sync::OnceLock;

use super::Span;

/// Filled from the front, and never emptied: reading it takes no lock.
static BRIDGES: [OnceLock<&'static dyn CurrentSpans>; MOST] = [const { OnceLock::new() }; MOST];
const MOST: usize = 4;

/// A bridge that keeps spans of its own, and enters them by their ids alone.
pub trait CurrentSpans: Sync {
    /// Calls `write` with the span of this id, if it is entered on this thread, recorded, and has not ended. `false`: it knows of no
    /// such span. It may hold a lock meanwhile: `write` runs no code of the user's.
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool;
}

/// Lets [`current`](crate::current) reach the spans of a bridge as well. Once for each bridge; 4 of a process can have this.
pub fn set_bridge(bridge: &'static dyn CurrentSpans) {
    let _place = BRIDGES.iter().find(|place| place.set(bridge).is_ok());
}

/// One of these spans, by its id.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bridged {
    span_id: [u8; 8],
}

impl Bridged {
    #[cold]
    pub(super) fn find(span_id: [u8; 8]) -> Option<Self> {
        let bridged = Self { span_id };
        let mut is_recording = false;
        bridged.with(|span| is_recording = span.is_recording());
        is_recording.then_some(bridged)
    }

    pub(super) fn with(self, write: impl FnOnce(&mut Span)) {
        let mut write = Some(write);
        let mut write_once = |span: &mut Span| {
            if let Some(write) = write.take() {
                write(span);
            }
        };
        let mut bridges = BRIDGES.iter().map_while(OnceLock::get);
        let _found = bridges.find(|bridge| bridge.with(self.span_id, &mut write_once));
    }
}
