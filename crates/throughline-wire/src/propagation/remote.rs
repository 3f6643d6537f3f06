//! What the formats other than W3C have in common: a caller's ids, and what it says about recording.

use crate::hex::{self, Case};
use crate::{SpanContext, SpanId, TraceFlags, TraceId};

/// A caller's span, as a format other than W3C says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The trace. A 64-bit id is padded with zeros on the left.
    pub trace_id: TraceId,
    /// The caller's span, which is the parent of the span of this side.
    pub span_id: SpanId,
    /// Whether the trace is to be recorded.
    pub sampling: Sampling,
}

/// What a caller says about recording a trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sampling {
    /// The trace is recorded.
    Accept,
    /// The trace is recorded, and whoever keeps only a part of what is recorded keeps this one.
    Debug,
    /// Nothing is said: the decision is the receiver's. The default.
    #[default]
    Deferred,
    /// The trace is not recorded.
    Deny,
}

impl Remote {
    /// The same as W3C says it. `decide` is asked where the caller leaves the decision to this side.
    pub fn span_context(&self, decide: impl FnOnce() -> bool) -> SpanContext {
        let is_sampled = match self.sampling {
            Sampling::Accept | Sampling::Debug => true,
            Sampling::Deferred => decide(),
            Sampling::Deny => false,
        };
        let flags = TraceFlags::NONE.with_sampled(is_sampled);
        SpanContext::new(self.trace_id, self.span_id, flags, true)
    }
}

/// The value of a header that may come once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Once<T> {
    #[default]
    Absent,
    /// It came, and is valid.
    Read(T),
    /// It is not valid, or came twice.
    Invalid,
}

impl<T> Once<T> {
    pub(super) fn put(&mut self, read: Option<T>) {
        *self = match (&self, read) {
            (Self::Absent, Some(value)) => Self::Read(value),
            _ => Self::Invalid,
        };
    }
}

/// A trace id of 16 or 32 digits.
pub(super) fn trace_id(text: &[u8], case: Case) -> Option<TraceId> {
    match text.len() {
        16 => {
            let low: [u8; 8] = hex::decode(text, case)?;
            TraceId::from_bytes(u128::from(u64::from_be_bytes(low)).to_be_bytes())
        }
        _ => TraceId::from_hex(text, case),
    }
}
