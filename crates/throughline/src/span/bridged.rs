//! Spans that a bridge to another tracing API holds and has made current.

use std::sync::OnceLock;

use super::Span;

static BRIDGE: OnceLock<&'static dyn CurrentSpans> = OnceLock::new();

/// A bridge that keeps spans of its own, and enters them by their ids alone.
pub trait CurrentSpans: Sync {
    /// Calls `write` with the span of this id, if it is entered on this thread, recorded, and has not ended. It may hold a lock
    /// meanwhile: `write` runs no code of the user's.
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool;
}

/// Lets [`current`](crate::current) reach the spans of a bridge. One bridge of a process can have this.
pub fn set_bridge(bridge: &'static dyn CurrentSpans) {
    let _first = BRIDGE.set(bridge);
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
        if let Some(bridge) = BRIDGE.get() {
            bridge.with(self.span_id, &mut |span| {
                if let Some(write) = write.take() {
                    write(span);
                }
            });
        }
    }
}
