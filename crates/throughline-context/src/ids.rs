//! The part of a context that is copied on every span: ids and flags.

const REMOTE: u32 = 1 << 8;
const SUPPRESSED: u32 = 1 << 9;
pub(crate) const RELAYS: u32 = 1 << 10;

/// The ids and flags of one span, as plain bytes.
///
/// All zero means that there is no span. Nothing is checked here: the types that cannot be wrong are those of
/// `throughline-wire`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ids {
    pub(crate) trace_id: [u8; 16],
    pub(crate) span_id: [u8; 8],
    /// Bits 0-7: the W3C trace flags. Bit 8: remote. Bit 9: suppressed. Bit 10: a `Relay` stands beside these ids;
    /// only `stack` sets that bit.
    pub(crate) bits: u32,
}

impl Ids {
    /// The ids of a span of this process. `flags` are the W3C trace flags (bit 0: sampled, bit 1: random).
    #[inline]
    #[must_use]
    pub const fn new(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Self {
        Self {
            trace_id,
            span_id,
            bits: flags as u32,
        }
    }

    /// The same ids, marked as having come from another process.
    #[inline]
    #[must_use]
    pub const fn remote(mut self) -> Self {
        self.bits |= REMOTE;
        self
    }

    /// The same ids, under which nothing is to be traced.
    #[inline]
    #[must_use]
    pub const fn suppressed(mut self) -> Self {
        self.bits |= SUPPRESSED;
        self
    }

    /// The trace id, big-endian as it is printed; zero when there is none.
    #[inline]
    #[must_use]
    pub const fn trace_id(&self) -> [u8; 16] {
        self.trace_id
    }

    /// The span id, big-endian as it is printed; zero when there is none.
    #[inline]
    #[must_use]
    pub const fn span_id(&self) -> [u8; 8] {
        self.span_id
    }

    /// The W3C trace flags (Trace Context Level 2, section 3.2.2.5).
    #[inline]
    #[must_use]
    pub const fn flags(&self) -> u8 {
        self.bits as u8
    }

    /// Whether the caller decided to record this trace: bit 0 of the flags.
    #[inline]
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.bits & 1 != 0
    }

    /// Whether these ids came from another process.
    #[inline]
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.bits & REMOTE != 0
    }

    /// Whether tracing is switched off below this point, as it is inside an exporter.
    #[inline]
    #[must_use]
    pub const fn is_suppressed(&self) -> bool {
        self.bits & SUPPRESSED != 0
    }

    /// Whether there is a span: a trace id and a span id that are not zero.
    #[inline]
    #[must_use]
    pub const fn is_span(&self) -> bool {
        u64::from_ne_bytes(self.span_id) != 0
    }

    /// Whether there is neither a span nor a [`Relay`](crate::Relay) nor a mark: nothing that could be passed on.
    #[inline]
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        u64::from_ne_bytes(self.span_id) == 0 && self.bits == 0
    }

    /// Whether the current context has a [`Relay`](crate::Relay) beside these ids.
    #[inline]
    #[must_use]
    pub const fn has_relay(&self) -> bool {
        self.bits & RELAYS != 0
    }
}
