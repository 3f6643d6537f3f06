//! Spans held in memory, for formats that need all of them before the first can be written.

use std::sync::Arc;

use throughline_wire::{SpanFields, SpanView};

use crate::origin::Origin;

/// Encoded spans, one behind the other.
#[derive(Default)]
pub struct Held {
    bytes: Vec<u8>,
    pub spans: Vec<HeldSpan>,
    pub origins: Vec<Arc<Origin>>,
}

/// A span, and what spans are sorted by.
#[derive(Clone, Copy, Debug)]
pub struct HeldSpan {
    pub trace: [u8; 16],
    pub start: u64,
    pub end: u64,
    /// Which of [`Held::origins`].
    pub origin: usize,
    at: usize,
    len: usize,
}

impl Held {
    pub fn add(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) {
        let is_known = |known: &Arc<Origin>| Arc::ptr_eq(known, origin);
        let number = self.origins.iter().rposition(is_known).unwrap_or_else(|| {
            self.origins.push(origin.clone());
            self.origins.len() - 1
        });
        let fields = span.fields();
        let start = fields.start_time_unix_nano();
        self.spans.push(HeldSpan {
            trace: fields.trace_id().map_or([0; 16], |id| id.to_bytes()),
            start,
            end: fields.end_time_unix_nano().max(start),
            origin: number,
            at: self.bytes.len(),
            len: span.as_bytes().len(),
        });
        self.bytes.extend_from_slice(span.as_bytes());
    }

    pub fn fields(&self, span: &HeldSpan) -> SpanFields<'_> {
        SpanView::new(&self.bytes[span.at..span.at + span.len]).fields()
    }
}
