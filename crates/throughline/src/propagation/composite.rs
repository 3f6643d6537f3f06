//! Several formats at once, in their order.

use throughline_wire::propagation::{Carrier, Extracted, Pair, Remote, Sampling, b3, jaeger, ot_trace, w3c, xray};
use throughline_wire::{Baggage, SpanContext};

use super::custom::{Fields, TextMapPropagator};
use super::propagator::{Propagator, Propagators};
use crate::caught::caught;
use crate::context::Context;
use crate::tracer;

/// Under this key a context notes that its trace is one for debugging: formats that can say so do, all the way.
const DEBUG: &str = "throughline.debug";
/// Under this key it keeps the fields of others in an X-Ray header.
const XRAY_FIELDS: &str = "throughline.xray";

/// Reads the headers of all formats in one pass. A format that finds a span replaces what the ones before it found: "If a value can not
/// be parsed from the carrier, for a cross-cutting concern, the implementation MUST NOT [..] store a new value in the Context, in order
/// to preserve any previously existing valid value" (OpenTelemetry, API Propagators, "Extract").
pub(super) fn extract<I>(propagators: &Propagators, headers: I) -> Context
where
    I: IntoIterator,
    I::Item: Pair,
{
    // Most know no other formats: no list is made for these.
    let mut w3c = w3c::Reader::default();
    let mut others: Vec<(usize, Reader<'_>)> = Vec::new();
    for (at, propagator) in propagators.iter().enumerate() {
        others.extend(Reader::of(propagator).map(|reader| (at, reader)));
    }
    for pair in headers {
        w3c.header(&pair);
        others.iter_mut().for_each(|(_, reader)| reader.header(&pair));
    }
    let mut w3c = w3c.finish();
    let mut others = others.into_iter().peekable();
    let mut context = Context::root();
    for (at, propagator) in propagators.iter().enumerate() {
        context = match others.next_if(|(of, _)| *of == at) {
            Some((_, reader)) => reader.finish(context),
            None => add_w3c(propagator, &mut w3c, context),
        };
    }
    context
}

fn add_w3c(propagator: &Propagator, read: &mut Extracted, context: Context) -> Context {
    match (propagator, read.span, read.baggage.take()) {
        (Propagator::TraceContext, Some(span), baggage) => {
            read.baggage = baggage;
            let context = context.with_value(DEBUG, None);
            context.with_span(span, read.trace_state.as_ref().map_or("", |state| state.as_str()))
        }
        (Propagator::Baggage, _, Some(baggage)) => add_baggage(context, &baggage),
        (_, _, baggage) => {
            read.baggage = baggage;
            context
        }
    }
}

/// The reader of a format that is not W3C's.
enum Reader<'a> {
    B3(b3::Reader),
    Jaeger(jaeger::Reader),
    OtTrace(ot_trace::Reader),
    XRay(xray::Reader),
    Custom(&'a dyn TextMapPropagator, Fields<'a>),
}

impl<'a> Reader<'a> {
    fn of(propagator: &'a Propagator) -> Option<Self> {
        Some(match propagator {
            Propagator::TraceContext | Propagator::Baggage => return None,
            Propagator::B3 | Propagator::B3Multi => Self::B3(b3::Reader::default()),
            Propagator::Jaeger => Self::Jaeger(jaeger::Reader::default()),
            Propagator::OtTrace => Self::OtTrace(ot_trace::Reader::default()),
            Propagator::XRay => Self::XRay(xray::Reader::default()),
            Propagator::Custom(custom) => Self::Custom(&**custom, Fields::new(caught(|| custom.fields())?)),
        })
    }

    fn header(&mut self, pair: &impl Pair) {
        match self {
            Self::B3(reader) => reader.header(pair),
            Self::Jaeger(reader) => reader.header(pair),
            Self::OtTrace(reader) => reader.header(pair),
            Self::XRay(reader) => reader.header(pair),
            Self::Custom(_, fields) => fields.header(pair),
        }
    }

    fn finish(self, context: Context) -> Context {
        match self {
            Self::B3(reader) => match reader.finish() {
                Some(b3::Extracted::Span(span)) => add_span(&context, span),
                Some(b3::Extracted::Decision(sampling)) => add_decision(context, sampling),
                None => context,
            },
            Self::Jaeger(reader) => {
                let (span, baggage) = reader.finish();
                add_span_and_baggage(context, span, &baggage)
            }
            Self::OtTrace(reader) => {
                let (span, baggage) = reader.finish();
                add_span_and_baggage(context, span, &baggage)
            }
            Self::XRay(reader) => match reader.finish() {
                Some((span, fields)) => {
                    let fields = Some(&*fields).filter(|fields| !fields.is_empty());
                    add_span(&context, span).with_value(XRAY_FIELDS, fields)
                }
                None => context,
            },
            Self::Custom(custom, fields) => caught(|| custom.extract(&fields, context.clone())).unwrap_or(context),
        }
    }
}

fn add_span(context: &Context, span: Remote) -> Context {
    let decide = || tracer::is_new_trace_sampled(span.trace_id);
    let debug = (span.sampling == Sampling::Debug).then_some("1");
    context
        .with_span(span.span_context(decide), "")
        .with_value(DEBUG, debug)
}

fn add_span_and_baggage(context: Context, span: Option<Remote>, baggage: &Baggage) -> Context {
    let context = match span {
        Some(span) => add_span(&context, span),
        None => context,
    };
    add_baggage(context, baggage)
}

fn add_baggage(context: Context, baggage: &Baggage) -> Context {
    if baggage.is_empty() {
        return context;
    }
    let mut all = context.baggage();
    all.extend(baggage);
    context.with_baggage(&all)
}

/// A decision without a trace. A trace that is not to be recorded begins here, of which nobody records anything. One that is, begins with
/// the span of this side.
fn add_decision(context: Context, sampling: Sampling) -> Context {
    match sampling {
        Sampling::Accept | Sampling::Deferred => context,
        Sampling::Debug => context.with_value(DEBUG, Some("1")),
        Sampling::Deny => match Context::root().child().span_context() {
            Some(span) => {
                let span = SpanContext::new(span.trace_id(), span.span_id(), span.flags(), true);
                context.with_span(span, "").with_value(DEBUG, None)
            }
            None => context,
        },
    }
}

/// Writes all formats, and removes what is stale of them first. A carrier to which none has anything to say stays as it is.
pub(super) fn inject<C: Carrier>(propagators: &Propagators, context: &Context, carrier: &mut C) {
    let span = context.span_context();
    let baggage = context.baggage_header();
    let has_something = |propagator: &Propagator| match propagator {
        Propagator::TraceContext | Propagator::B3 | Propagator::B3Multi | Propagator::XRay => span.is_some(),
        Propagator::Baggage => !baggage.is_empty(),
        Propagator::Jaeger | Propagator::OtTrace => span.is_some() || !baggage.is_empty(),
        Propagator::Custom(_) => !context.is_empty(),
    };
    if !propagators.iter().any(has_something) {
        return;
    }
    for propagator in propagators.iter() {
        let fields = caught(|| propagator.fields()).unwrap_or_default();
        fields.iter().for_each(|field| carrier.remove(field));
        propagator
            .prefix()
            .into_iter()
            .for_each(|prefix| carrier.remove_prefix(prefix));
    }
    let is_debug = context.value(DEBUG).is_some();
    for propagator in propagators.iter() {
        match (propagator, &span) {
            (Propagator::TraceContext, Some(span)) => {
                w3c::write_trace_context(carrier, span, context.trace_state());
            }
            (Propagator::Baggage, _) => w3c::write_baggage(carrier, baggage),
            (Propagator::B3, Some(span)) => b3::write_single(carrier, span, is_debug),
            (Propagator::B3Multi, Some(span)) => b3::write_multi(carrier, span, is_debug),
            (Propagator::Jaeger, span) => {
                span.iter().for_each(|span| jaeger::write_span(carrier, span, is_debug));
                jaeger::write_baggage(carrier, &context.baggage());
            }
            (Propagator::OtTrace, Some(span)) => {
                ot_trace::write_span(carrier, span);
                ot_trace::write_baggage(carrier, &context.baggage());
            }
            (Propagator::XRay, Some(span)) => {
                xray::write(carrier, span, context.value(XRAY_FIELDS).unwrap_or_default());
            }
            (Propagator::Custom(custom), _) => drop(caught(|| custom.inject(context, carrier))),
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "composite_tests.rs"]
mod tests;
