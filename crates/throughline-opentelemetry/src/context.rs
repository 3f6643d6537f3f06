//! Contexts as values, from one world to the other.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use throughline_context::{Ids, Relay};

use crate::native_span::NativeSpan;

/// What Throughline knows of an OpenTelemetry context: the span's ids, flags and `tracestate`, the baggage, and whether telemetry is
/// suppressed. Other values of it are left behind.
///
/// For whoever holds such a context and wants a native span below it, or a future that runs in it:
///
/// ```
/// use opentelemetry::Context;
/// use throughline::{InSpanExt, span};
/// use throughline_opentelemetry::to_throughline;
///
/// # async fn charge() {}
/// # fn library() -> Context { Context::new() }
/// let context: Context = library();
/// let span = span!(parent: &to_throughline(&context), "charge");
/// // Unlike `with_context` of the API it is current also while a cancelled future is dropped.
/// let future = charge().in_context(to_throughline(&context));
/// ```
#[must_use]
pub fn to_throughline(context: &Context) -> throughline::Context {
    native(context).into()
}

/// The OpenTelemetry context `base` with the span, `tracestate`, baggage and suppression of a native one. Other values of `base` stay.
///
/// The span is known by its ids: what is set on it there goes nowhere.
///
/// ```
/// use opentelemetry::{Context, trace::TraceContextExt};
/// use throughline_opentelemetry::to_opentelemetry;
///
/// let native = throughline::extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]).unwrap();
/// let context = to_opentelemetry(&Context::new(), &native);
/// assert_eq!(context.span().span_context().span_id().to_string(), "00f067aa0ba902b7");
/// ```
#[must_use]
pub fn to_opentelemetry(base: &Context, context: &throughline::Context) -> Context {
    let native = throughline_context::Context::from(context.clone());
    with_rest(base.with_remote_span_context(span_context(&native)), &native)
}

/// The context that stands for a native one while that is current: its span can be written to.
pub(crate) fn shown(base: &Context, native: &throughline_context::Context) -> Context {
    let ids = native.ids();
    let span_context = span_context(native);
    let is_ours = ids.is_span() && ids.is_sampled() && !ids.is_remote();
    let context = match is_ours {
        true => base.with_span(NativeSpan::new(span_context)),
        false => base.with_remote_span_context(span_context),
    };
    with_rest(context, native)
}

/// What a native context was made from, kept beside the baggage that was made from it: so that it need not be made again, and nothing is
/// lost that this API has no place for.
struct Carried {
    relay: Option<Arc<Relay>>,
    /// The trace whose `tracestate` this API does not take, although Trace Context Level 2 allows it: there a key may have `@` anywhere
    /// but first, and 256 characters. Zero: there is none.
    unreadable_in: [u8; 16],
    /// The context whose baggage was made from `relay`. While it lives no other baggage has the same address.
    baggage: Context,
}

impl Carried {
    fn of(context: &Context) -> Option<&Self> {
        let carried = context.get::<Self>()?;
        std::ptr::eq(context.baggage(), carried.baggage.baggage()).then_some(carried)
    }
}

/// Adds baggage and suppression.
pub(crate) fn with_rest(mut context: Context, native: &throughline_context::Context) -> Context {
    let relay = native.relay();
    let is_carried = match (Carried::of(&context), relay) {
        (Some(carried), Some(relay)) => carried.relay.as_ref().is_some_and(|known| Arc::ptr_eq(known, relay)),
        (Some(carried), None) => carried.relay.is_none(),
        (None, None) => context.baggage().is_empty(),
        (None, Some(_)) => false,
    };
    if !is_carried {
        let header = relay.map_or("", |relay| relay.baggage());
        if !header.is_empty() || !context.baggage().is_empty() {
            context = context.with_baggage(baggage_of(header));
        }
        let state = relay.map_or("", |relay| relay.trace_state());
        let is_readable = state.is_empty() || state.parse::<TraceState>().is_ok();
        context = context.with_value(Carried {
            relay: relay.cloned(),
            unreadable_in: if is_readable { [0; 16] } else { native.ids().trace_id() },
            baggage: context.clone(),
        });
    }
    if native.ids().is_suppressed() && !context.is_telemetry_suppressed() {
        context = context.with_telemetry_suppressed();
    }
    context
}

fn baggage_of(header: &str) -> Baggage {
    let mut baggage = Baggage::new();
    for member in throughline::Baggage::parse_headers([header.as_bytes()]).iter() {
        let (key, value) = (member.key().to_owned(), member.value().into_owned());
        baggage.insert_with_metadata(key, value, member.properties());
    }
    baggage
}

pub(crate) fn native(context: &Context) -> throughline_context::Context {
    let span = context.span();
    let span = span.span_context();
    let mut ids = ids_of(span);
    if context.is_telemetry_suppressed() {
        ids = ids.suppressed();
    }
    throughline_context::Context::new(ids, relay_of(context, span))
}

fn relay_of(context: &Context, span: &SpanContext) -> Option<Arc<Relay>> {
    let has_state = span.is_valid() && *span.trace_state() != TraceState::NONE;
    let state = if has_state {
        span.trace_state().header()
    } else {
        String::new()
    };
    if let Some(carried) = Carried::of(context) {
        let relay = carried.relay.as_ref();
        let is_kept = state.is_empty() && carried.unreadable_in == span.trace_id().to_bytes();
        return match relay {
            Some(relay) if is_kept && span.is_valid() => Some(relay.clone()),
            Some(relay) if relay.trace_state() != state => Some((**relay).clone().with_trace_state(state).into()),
            None if !state.is_empty() => Some(Relay::new(state, "").into()),
            _ => relay.cloned(),
        };
    }
    let baggage = context.baggage();
    if state.is_empty() && baggage.is_empty() {
        return None;
    }
    // What the API lets into baggage is more than what may be sent.
    let baggage = throughline::Baggage::parse_headers([baggage.to_string().as_bytes()]);
    Some(Relay::new(state, baggage.to_header()).into())
}

fn ids_of(span: &SpanContext) -> Ids {
    if !span.is_valid() {
        return Ids::default();
    }
    let ids = Ids::new(
        span.trace_id().to_bytes(),
        span.span_id().to_bytes(),
        span.trace_flags().to_u8(),
    );
    if span.is_remote() { ids.remote() } else { ids }
}

/// An invalid one where there is no span.
pub(crate) fn span_context(native: &throughline_context::Context) -> SpanContext {
    let ids = native.ids();
    if !ids.is_span() {
        return SpanContext::NONE;
    }
    let state = native.relay().map_or("", |relay| relay.trace_state());
    let state = if state.is_empty() {
        TraceState::NONE
    } else {
        state.parse().unwrap_or_default()
    };
    SpanContext::new(
        TraceId::from_bytes(ids.trace_id()),
        SpanId::from_bytes(ids.span_id()),
        TraceFlags::new(ids.flags()),
        ids.is_remote(),
        state,
    )
}
