//! A place for a span that several threads can reach, for bridges.

use super::Span;

/// Holds a span, or none: whoever takes it out owns it. See [`throughline_spool::SpanCell`].
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct SpanCell(throughline_spool::SpanCell);

impl SpanCell {
    /// Puts a span into an empty cell, while nobody else does. One that does nothing is not kept.
    #[inline]
    pub fn put(&self, mut span: Span) {
        if let Some(open) = span.open.take() {
            self.0.put(open);
        }
    }

    /// Takes the span out. `None`: there is none, or another thread has taken it.
    #[inline]
    #[must_use]
    pub fn take(&self) -> Option<Span> {
        self.0.take().map(|open| Span { open: Some(open) })
    }
}

impl Drop for SpanCell {
    /// The span ends.
    fn drop(&mut self) {
        drop(self.take());
    }
}
