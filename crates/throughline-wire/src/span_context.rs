//! What one span tells another about itself.

use crate::{SpanId, TraceFlags, TraceId};

/// The identity of a span as it travels: in memory, in a `traceparent` header, in a link.
///
/// Always valid: neither id can be zero. Where there may be none, say `Option<SpanContext>`.
/// Tracestate and baggage travel beside it, since they own memory and this is [`Copy`].
///
/// ```
/// use throughline_wire::{SpanContext, TraceFlags};
///
/// let context = SpanContext::new(
///     "0af7651916cd43dd8448eb211c80319c".parse()?,
///     "b7ad6b7169203331".parse()?,
///     TraceFlags::SAMPLED,
///     false,
/// );
/// assert!(context.is_sampled() && !context.is_remote());
/// # Ok::<(), throughline_wire::InvalidId>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpanContext {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
    remote: bool,
}

impl SpanContext {
    /// Puts the parts together. `remote` says that the context came from another process.
    #[inline]
    #[must_use]
    pub const fn new(trace_id: TraceId, span_id: SpanId, flags: TraceFlags, remote: bool) -> Self {
        Self {
            trace_id,
            span_id,
            flags,
            remote,
        }
    }

    /// The trace this span belongs to.
    #[inline]
    #[must_use]
    pub const fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span itself.
    #[inline]
    #[must_use]
    pub const fn span_id(&self) -> SpanId {
        self.span_id
    }

    /// The flags of the trace as this span sends them on.
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> TraceFlags {
        self.flags
    }

    /// Whether the context came from another process.
    #[inline]
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.remote
    }

    /// Whether the span may have been recorded.
    #[inline]
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags.is_sampled()
    }

    /// `flags` of an OTLP `Span` whose parent this is, or of a `Link` to it: the W3C flags in
    /// bits 0-7, bit 8 set because remoteness is known, bit 9 if it is remote.
    ///
    /// The flags of a *span* are its own, only bits 8 and 9 come from the parent; while a trace
    /// goes on, both have the same W3C flags.
    #[inline]
    #[must_use]
    pub const fn otlp_flags(&self) -> u32 {
        self.flags.to_byte() as u32 | 0x100 | (self.remote as u32) << 9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn otlp_flags_say_that_remoteness_is_known() {
        let context = |flags, remote| {
            SpanContext::new(
                TraceId::from_bytes([1; 16]).unwrap(),
                SpanId::from_bytes([2; 8]).unwrap(),
                flags,
                remote,
            )
        };
        assert_eq!(context(TraceFlags::SAMPLED, false).otlp_flags(), 0x101);
        assert_eq!(context(TraceFlags::NONE, true).otlp_flags(), 0x300);
        assert_eq!(context(TraceFlags::from_byte(3), true).otlp_flags(), 0x303);
    }
}
