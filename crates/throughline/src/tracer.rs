//! What is decided once a process and read by every span that starts: the sampler, the id generator and the propagators.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{LazyLock, OnceLock};

use throughline_context::Ids;
use throughline_wire::{SpanId, TraceId};

use crate::caught::caught;
use crate::context::span_context;
use crate::processor::chain;
use crate::propagation::Propagators;
use crate::sampler::{Decision, Rule, Sampler, SamplingInput, SamplingResult};

/// What the sampler comes down to, in a byte.
static RULE: AtomicU8 = AtomicU8::new(AS_PARENT);
/// The same, whatever processors there are.
static SAMPLER_RULE: AtomicU8 = AtomicU8::new(AS_PARENT);
/// As the parent does; a root is recorded. The default.
const AS_PARENT: u8 = 0;
const NEVER: u8 = 1;
/// Ids and flags decide.
const BY_IDS: u8 = 2;
/// The same, and processors see the span.
const BY_PROCESSORS: u8 = 3;
/// Names decide too.
const BY_NAME: u8 = 4;
/// Somebody wants to see all there is, or makes the ids.
const BY_ALL: u8 = 5;

static SAMPLER: OnceLock<Sampler> = OnceLock::new();
static ID_GENERATOR: OnceLock<Box<dyn IdGenerator>> = OnceLock::new();
static PROPAGATORS: OnceLock<Propagators> = OnceLock::new();

/// Makes the ids of traces and spans, where random ones will not do (trace SDK, "Id Generators").
///
/// It is asked on the thread that starts a span, where tracing is switched off meanwhile. If it panics, random ids are used.
pub trait IdGenerator: Send + Sync {
    /// The id of a new trace. Samplers by ratio and other services count on its last 7 bytes being random.
    fn trace_id(&self) -> TraceId;

    /// The id of a new span, unlike that of all others in its trace.
    fn span_id(&self) -> SpanId;
}

/// The first call decides. Processors were set before.
pub(crate) fn set_sampler(sampler: Sampler, id_generator: Option<Box<dyn IdGenerator>>) {
    let sampler_rule = match sampler.rule() {
        _ if id_generator.is_some() || sampler.wants_all() => BY_ALL,
        _ if sampler.wants_name() => BY_NAME,
        Rule::ParentBased(parent_based) if parent_based.is_default() => AS_PARENT,
        Rule::AlwaysOff => NEVER,
        _ => BY_IDS,
    };
    let rule = match chain() {
        Some(chain) if chain.wants_start_attributes() => BY_ALL,
        Some(_) => sampler_rule.max(BY_PROCESSORS),
        None => sampler_rule,
    };
    if SAMPLER.set(sampler).is_ok() {
        if let Some(id_generator) = id_generator {
            let _first = ID_GENERATOR.set(id_generator);
        }
        SAMPLER_RULE.store(sampler_rule, Ordering::Release);
        RULE.store(rule, Ordering::Release);
    }
}

/// The first call decides.
pub(crate) fn set_propagators(propagators: Propagators) {
    let _first = PROPAGATORS.set(propagators);
}

pub(crate) fn propagators() -> &'static Propagators {
    static DEFAULT: LazyLock<Propagators> = LazyLock::new(Propagators::default);
    PROPAGATORS.get().unwrap_or(&DEFAULT)
}

/// Whether this side records a trace whose caller leaves the decision to it. A sampler that has to know more than ids is not asked yet:
/// then, and where tracing is off, the trace goes on as one that is recorded.
pub(crate) fn is_new_trace_sampled(trace_id: TraceId) -> bool {
    !throughline_spool::is_on() || is_sampled_by_ids(Ids::default(), trace_id.to_bytes()).unwrap_or(true)
}

/// Whether a span is recorded. `None`: processors are to see it, or more than its ids decides; ask
/// [`is_sampled_by_ids`] and [`sample`].
#[inline]
pub(crate) fn is_sampled(parent: Ids, trace_id: [u8; 16]) -> Option<bool> {
    match RULE.load(Ordering::Relaxed) {
        AS_PARENT => Some(!parent.is_span() || parent.is_sampled()),
        NEVER => Some(false),
        _ => is_sampled_slowly(parent, trace_id),
    }
}

#[cold]
#[inline(never)]
fn is_sampled_slowly(parent: Ids, trace_id: [u8; 16]) -> Option<bool> {
    if RULE.load(Ordering::Relaxed) >= BY_PROCESSORS {
        return None;
    }
    is_sampled_by_ids(parent, trace_id)
}

/// Whether a span is recorded. `None`: more than its ids decides.
pub(crate) fn is_sampled_by_ids(parent: Ids, trace_id: [u8; 16]) -> Option<bool> {
    match SAMPLER_RULE.load(Ordering::Relaxed) {
        _ if wants_all() => return None,
        AS_PARENT => return Some(!parent.is_span() || parent.is_sampled()),
        NEVER => return Some(false),
        BY_IDS => {}
        _ => return None,
    }
    let (Some(sampler), Some(trace_id)) = (SAMPLER.get(), TraceId::from_bytes(trace_id)) else {
        return Some(true);
    };
    Some(sampler.sample_by_ids(span_context(parent), trace_id))
}

/// Whether the attributes of a span have to be there before it is decided whether to record it.
#[inline]
pub(crate) fn wants_all() -> bool {
    RULE.load(Ordering::Relaxed) == BY_ALL
}

pub(crate) fn sample(span: &SamplingInput<'_>) -> SamplingResult {
    // One that makes spans all the same would be asked for them as well.
    let _suppressed = throughline_context::suppress();
    let asked = SAMPLER.get().and_then(|sampler| caught(|| sampler.sample(span)));
    match asked {
        Some(result) => result,
        None => SamplingResult::new(Decision::RecordAndSample),
    }
}

/// The id of a new trace, by the generator that was set, if there is one and it is well.
pub(crate) fn generated_trace_id() -> Option<[u8; 16]> {
    let generator = ID_GENERATOR.get()?;
    let _suppressed = throughline_context::suppress();
    let id = caught(|| generator.trace_id())?;
    Some(id.to_bytes())
}

/// The same for a span.
pub(crate) fn generated_span_id() -> Option<[u8; 8]> {
    let generator = ID_GENERATOR.get()?;
    let _suppressed = throughline_context::suppress();
    let id = caught(|| generator.span_id())?;
    Some(id.to_bytes())
}
