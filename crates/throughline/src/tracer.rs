//! What is decided once a process and read by every span that starts: the sampler and the propagators.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use throughline_context::Ids;
use throughline_wire::{SpanContext, TraceId};

use crate::config::Propagators;
use crate::sampler::{Decision, Sampler};

/// Whether the sampler is the default: then a span does as its parent does, and a root is recorded.
static IS_DEFAULT: AtomicBool = AtomicBool::new(true);
static SAMPLER: OnceLock<Sampler> = OnceLock::new();
static PROPAGATORS: OnceLock<Propagators> = OnceLock::new();

/// The first call decides.
pub(crate) fn set_sampler(sampler: Sampler) {
    if SAMPLER.set(sampler).is_ok() {
        IS_DEFAULT.store(sampler == Sampler::default(), Ordering::Relaxed);
    }
}

/// The first call decides.
pub(crate) fn set_propagators(propagators: Propagators) {
    let _ = PROPAGATORS.set(propagators);
}

pub(crate) fn propagators() -> Propagators {
    PROPAGATORS.get().copied().unwrap_or(Propagators {
        trace_context: true,
        baggage: true,
    })
}

/// Whether a span is recorded.
#[inline]
pub(crate) fn is_sampled(parent: Ids, trace_id: [u8; 16]) -> bool {
    if IS_DEFAULT.load(Ordering::Relaxed) {
        return !parent.is_span() || parent.is_sampled();
    }
    ask_sampler(crate::context::span_context(parent), trace_id)
}

#[cold]
fn ask_sampler(parent: Option<SpanContext>, trace_id: [u8; 16]) -> bool {
    let (Some(sampler), Some(trace_id)) = (SAMPLER.get(), TraceId::from_bytes(trace_id)) else {
        return true;
    };
    sampler.sample(parent, trace_id) == Decision::RecordAndSample
}
