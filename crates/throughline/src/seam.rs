//! What the bridges to other tracing APIs need of the inside. No promise is made of it.

use std::sync::Arc;

use throughline_context::{Ids, Relay};

use crate::context::Context;
use crate::export::ExportBatch;
use crate::recording;
use crate::span::Span;
use crate::tracer;

pub use crate::locks::lock;
pub use crate::recording::{Batch, ErrorText, key_bit};
pub use crate::span::{CurrentSpans, Restart, SpanCell, set_bridge};

/// The ids and flags of a context.
#[inline]
#[must_use]
pub fn ids(context: &Context) -> Ids {
    context.ids()
}

/// What travels along with a context.
#[inline]
#[must_use]
pub fn relay(context: &Context) -> Option<&Arc<Relay>> {
    context.relay()
}

/// A context of these ids.
#[inline]
#[must_use]
pub fn context(ids: Ids, relay: Option<Arc<Relay>>) -> Context {
    Context::new(ids, relay)
}

/// A batch for an exporter, as OTLP: for tests of exporters.
#[must_use]
pub fn export_batch(request: &[u8]) -> ExportBatch<'_> {
    ExportBatch::new(request)
}

/// Whether tracing is on in this process.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    throughline_spool::is_on()
}

/// Changes in a forked child, where a lock may be held for ever by a thread that is not there.
#[inline]
#[must_use]
pub fn fork_number() -> u32 {
    throughline_spool::fork_number()
}

/// Whether it is certain that a child of this span would only stand for it, as far as its ids tell.
#[inline]
#[must_use]
pub fn passes_on(parent: Ids) -> bool {
    !throughline_spool::is_on()
        || parent.is_suppressed()
        || parent.is_span() && tracer::is_sampled(parent, parent.trace_id()) == Some(false)
}

/// The time now by the clock of a span, in nanoseconds since the Unix epoch; 0 of one that is not recorded.
#[must_use]
pub fn now(span: &mut Span) -> u64 {
    let mut now = 0;
    span.with(|span| now = if span.is_recording() { recording::now(span) } else { 0 });
    now
}

/// Whether any span can be recorded: tracing is on, and the sampler is not one that always says no.
#[must_use]
pub fn may_record() -> bool {
    throughline_spool::is_on() && tracer::is_sampled(Ids::new([1; 16], [1; 8], 1), [1; 16]) != Some(false)
}
