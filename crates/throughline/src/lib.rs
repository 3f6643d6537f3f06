//! Distributed tracing: one call sets it up, a span costs two clock reads, and none is lost silently.
#![forbid(unsafe_code)]

mod adopted;
mod clock;
mod config;
mod context;
mod delivery;
mod future;
mod init;
mod macros;
mod notice;
mod propagation;
mod random;
mod recording;
mod sampler;
mod scope;
mod source;
mod span;
mod tracer;

pub use context::{Context, EnteredContext};
pub use delivery::{Flush, Report};
pub use future::{FutureExt, InContext, InSpan};
pub use init::{Builder, Tracing, builder, default_spool_dir, init};
pub use propagation::{extract, inject};
pub use sampler::{InvalidRatio, Ratio, Root, Sampler};
pub use scope::Scope;
pub use span::{Current, Entered, EnteredShared, Parent, SharedSpan, Span, SpanBuilder, current};
pub use throughline_wire::propagation::{Carrier, Pair};
pub use throughline_wire::{Baggage, SpanContext, SpanId, SpanKind as Kind, TraceFlags, TraceId, TraceState, Value};

#[doc(hidden)]
pub mod __private {
    pub use crate::recording::key_bit;
}

#[doc(hidden)]
pub mod bench {
    /// One of the two readings of the tracer's clock that a span costs.
    #[inline]
    #[must_use]
    pub fn clock_read() -> u64 {
        crate::clock::counter_now()
    }
}
