//! What is decided once a process and read by every span that starts: the sampler and the propagators.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use throughline_context::Ids;
use throughline_wire::TraceId;

use crate::config::Propagators;
use crate::context::span_context;
use crate::sampler::{Decision, Root, Sampler};

/// What the common samplers come down to, in a byte.
static RULE: AtomicU8 = AtomicU8::new(AS_PARENT);
/// As the parent does; a root is recorded. The default.
const AS_PARENT: u8 = 0;
const NEVER: u8 = 1;
const ASK: u8 = 2;

static SAMPLER: OnceLock<Sampler> = OnceLock::new();
static PROPAGATORS: OnceLock<Propagators> = OnceLock::new();

/// The first call decides.
pub(crate) fn set_sampler(sampler: Sampler) {
    if SAMPLER.set(sampler).is_ok() {
        let rule = match sampler {
            Sampler::ParentBased(Root::AlwaysOn) => AS_PARENT,
            Sampler::AlwaysOff => NEVER,
            _ => ASK,
        };
        RULE.store(rule, Ordering::Relaxed);
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
    match RULE.load(Ordering::Relaxed) {
        AS_PARENT => !parent.is_span() || parent.is_sampled(),
        NEVER => false,
        _ => ask_sampler(parent, trace_id),
    }
}

#[cold]
#[inline(never)]
fn ask_sampler(parent: Ids, trace_id: [u8; 16]) -> bool {
    let (Some(sampler), Some(trace_id)) = (SAMPLER.get(), TraceId::from_bytes(trace_id)) else {
        return true;
    };
    sampler.sample(span_context(parent), trace_id) == Decision::RecordAndSample
}
