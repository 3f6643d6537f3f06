//! W3C Trace Context and W3C Baggage.

use super::{BAGGAGE, Carrier, Extracted, Pair, TRACEPARENT, TRACESTATE};
use crate::trace_state::{self, trim};
use crate::{Baggage, SpanContext, traceparent};

/// Reads `traceparent`, `tracestate` and `baggage`, header by header.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    span: Option<SpanContext>,
    parents: usize,
    trace_state: trace_state::Builder,
    baggage: Baggage,
}

impl Reader {
    /// Takes one header; others than its own are left alone.
    pub fn header(&mut self, pair: &impl Pair) {
        if pair.is_named(TRACEPARENT) {
            self.parents += 1;
            self.span = traceparent::parse(trim(pair.value()));
        } else if pair.is_named(TRACESTATE) {
            self.trace_state.header(pair.value());
        } else if pair.is_named(BAGGAGE) {
            self.baggage.header(pair.value());
        }
    }

    /// What they say together. A repeated `traceparent` is not valid.
    #[must_use]
    pub fn finish(self) -> Extracted {
        let span = self.span.filter(|_| self.parents == 1);
        let trace_state = self.trace_state.finish().ok();
        Extracted {
            span,
            trace_state: trace_state.filter(|state| span.is_some() && !state.is_empty()),
            baggage: Some(self.baggage).filter(|baggage| !baggage.is_empty()),
        }
    }
}

/// Writes `traceparent`, and `tracestate` where there is one.
pub fn write_trace_context<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext, trace_state: &str) {
    carrier.set(TRACEPARENT, &traceparent::to_string(span));
    set_if_any(carrier, TRACESTATE, trace_state);
}

/// Writes `baggage`, unless it is empty.
pub fn write_baggage<C: Carrier + ?Sized>(carrier: &mut C, baggage: &str) {
    set_if_any(carrier, BAGGAGE, baggage);
}

fn set_if_any<C: Carrier + ?Sized>(carrier: &mut C, name: &'static str, value: &str) {
    // A tab is optional white space (W3C Baggage, section 3.2), and legal in a header (RFC 9110, section 5.5).
    let is_harmful = |letter: char| letter.is_control() && letter != '\t';
    if !value.is_empty() && !value.contains(is_harmful) {
        carrier.set(name, value);
    }
}
