//! What may be done with spans before anybody else sees them: changed, redacted, left out.

mod baggage;
mod chain;
mod filter;
mod redactor;
mod span;

pub use baggage::BaggageAttributes;
pub(crate) use chain::{Chain, chain, is_at_work, set_chain};
pub(crate) use filter::name_matches;
pub use filter::{Filter, Verdict};
pub use redactor::{Redact, redact_keys};
pub use span::ProcessedSpan;
use throughline_wire::SpanView;

use crate::context::Context;

/// Sees spans as they start and end, may change them, and may leave them out (OpenTelemetry specification, trace SDK, "Span
/// Processor").
///
/// Processors are called in the order in which the [`Builder`](crate::Builder::processor) got them, on the thread that starts or ends
/// the span, where tracing is switched off meanwhile. Only spans that are recorded come here. One that panics is said once, and is as if
/// it had done nothing: the span goes on to the next.
///
/// 1. When a span starts: [`on_start`](Self::on_start) of each, until one drops it.
/// 2. When it ends: [`on_ending`](Self::on_ending) of each; then the [redactors](crate::Builder::redact); then
///    [`on_end`](Self::on_end) of each, until one drops it.
/// 3. The span is committed: nothing changes it from here on.
///
/// ```no_run
/// use throughline::{Context, ProcessedSpan, SpanProcessor, Verdict};
///
/// struct Tenant;
///
/// impl SpanProcessor for Tenant {
///     fn on_start(&self, span: &mut ProcessedSpan<'_>, _parent: &Context) -> Verdict {
///         span.set("tenant.id", "blue");
///         Verdict::Keep
///     }
/// }
///
/// let _tracing = throughline::builder("orders").processor(Tenant).init();
/// ```
pub trait SpanProcessor: Send + Sync {
    /// A span has started, with the attributes that it was given at the start. `parent` is empty for a root.
    ///
    /// A span that is dropped here stands for its parent: its children become the parent's, as those of a parent in this process. One
    /// without a parent stands for a trace that is not sampled, so that its children are left out by every sampler that does
    /// as the parent does, as the default.
    fn on_start(&self, span: &mut ProcessedSpan<'_>, parent: &Context) -> Verdict {
        let _ = (span, parent);
        Verdict::Keep
    }

    /// A span is about to end; it has all but its end. It may still be changed (trace SDK, "OnEnding"). Called where
    /// [`edits`](Self::edits) says so.
    fn on_ending(&self, span: &mut ProcessedSpan<'_>) {
        let _ = span;
    }

    /// A span has ended, and will be committed as it is here, redacted, unless it is dropped.
    ///
    /// Children of a span that is dropped here have a parent that nobody knows.
    fn on_end(&self, span: &SpanView<'_>) -> Verdict {
        let _ = span;
        Verdict::Keep
    }

    /// Whether [`on_ending`](Self::on_ending) is called, which may change what a span holds. Then others see no more of an open span, in the
    /// spool's files and by `throughline follow`, than it held when all [`on_start`](Self::on_start) had returned. Default `true`; with
    /// `false` a span costs less.
    fn edits(&self) -> bool {
        true
    }

    /// Whether [`on_start`](Self::on_start) wants to see the attributes that are given at the start. Default `true`; a span costs less with
    /// `false`.
    fn wants_start_attributes(&self) -> bool {
        true
    }
}
