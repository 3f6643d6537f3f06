//! OT Trace, the format of OpenTracing's basic tracers (OpenTelemetry, API Propagators, "OT Trace").
//!
//! ```
//! use throughline_wire::propagation::ot_trace::Reader;
//!
//! let mut reader = Reader::default();
//! reader.header(&("ot-tracer-traceid", "e457b5a2e4d86bd1"));
//! reader.header(&("ot-tracer-spanid", "00f067aa0ba902b7"));
//! reader.header(&("ot-tracer-sampled", "true"));
//! let (span, _) = reader.finish();
//! assert_eq!(span.unwrap().trace_id.to_string(), "0000000000000000e457b5a2e4d86bd1");
//! ```

use super::remote::{self, Once};
use super::{Carrier, Pair, Remote, Sampling};
use crate::baggage::MAX_BYTES;
use crate::hex::Case;
use crate::trace_state::trim;
use crate::{Baggage, SpanContext, SpanId, TraceId};

/// The trace's id.
pub const TRACE_ID: &str = "ot-tracer-traceid";
/// The span's id.
pub const SPAN_ID: &str = "ot-tracer-spanid";
/// `true` or `false`.
pub const SAMPLED: &str = "ot-tracer-sampled";
/// What the name of a header with one member of the baggage begins with.
pub const BAGGAGE_PREFIX: &str = "ot-baggage-";
/// Those whose names are known.
pub const HEADERS: [&str; 3] = [TRACE_ID, SPAN_ID, SAMPLED];

/// Reads the headers, one by one.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    trace_id: Once<TraceId>,
    span_id: Once<SpanId>,
    sampled: Once<Sampling>,
    baggage: Baggage,
}

impl Reader {
    /// Takes one header; others than its own are left alone.
    pub fn header(&mut self, pair: &impl Pair) {
        let value = trim(pair.value());
        if pair.is_named(TRACE_ID) {
            self.trace_id.put(remote::trace_id(value, Case::Lower));
        } else if pair.is_named(SPAN_ID) {
            self.span_id.put(SpanId::from_hex(value, Case::Lower));
        } else if pair.is_named(SAMPLED) {
            self.sampled.put(match value {
                b"1" | b"true" => Some(Sampling::Accept),
                b"0" | b"false" => Some(Sampling::Deny),
                _ => None,
            });
        } else if let Some(key) = pair.name_behind(BAGGAGE_PREFIX) {
            if let (Ok(key), Ok(value)) = (std::str::from_utf8(key), std::str::from_utf8(value)) {
                if value.len() <= MAX_BYTES {
                    self.baggage.receive(key, value);
                }
            }
        }
    }

    /// What they say together. Without a valid span there is no baggage either.
    #[must_use]
    pub fn finish(self) -> (Option<Remote>, Baggage) {
        let sampling = match self.sampled {
            Once::Absent => Some(Sampling::Deferred),
            Once::Read(sampling) => Some(sampling),
            Once::Invalid => None,
        };
        match (self.trace_id, self.span_id, sampling) {
            (Once::Read(trace_id), Once::Read(span_id), Some(sampling)) => {
                let span = Remote {
                    trace_id,
                    span_id,
                    sampling,
                };
                (Some(span), self.baggage)
            }
            _ => (None, Baggage::default()),
        }
    }
}

/// Writes ids and decision. The trace id is cut to its right-most 64 bits, "since the Lightstep trace id MUST be 64-bits".
pub fn write_span<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext) {
    let trace_id = span.trace_id().to_string();
    carrier.set(TRACE_ID, &trace_id[trace_id.len() / 2..]);
    carrier.set(SPAN_ID, &span.span_id().to_string());
    carrier.set(SAMPLED, if span.is_sampled() { "true" } else { "false" });
}

/// Writes a header for each member of the baggage. The format encodes nothing: a value that no header can hold is left out.
pub fn write_baggage<C: Carrier + ?Sized>(carrier: &mut C, baggage: &Baggage) {
    for member in baggage.iter() {
        let value = member.value();
        if value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
            carrier.set_named(&format!("{BAGGAGE_PREFIX}{}", member.key()), &value);
        }
    }
}
