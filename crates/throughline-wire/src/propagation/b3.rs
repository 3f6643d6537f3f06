//! B3, the format of Zipkin (github.com/openzipkin/b3-propagation), in one header or in several.
//!
//! ```
//! use throughline_wire::propagation::b3::{Extracted, Reader};
//!
//! let mut reader = Reader::default();
//! reader.header(&("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"));
//! let Some(Extracted::Span(span)) = reader.finish() else { panic!("it is valid") };
//! assert_eq!(span.span_id.to_string(), "e457b5a2e4d86bd1");
//! ```

use super::remote::{self, Once};
use super::{Carrier, Pair, Remote, Sampling};
use crate::hex::Case;
use crate::trace_state::trim;
use crate::{SpanContext, SpanId, TraceId};

/// The one header.
pub const B3: &str = "b3";
/// Of the several headers: the trace's id.
pub const TRACE_ID: &str = "x-b3-traceid";
/// The span's id.
pub const SPAN_ID: &str = "x-b3-spanid";
/// Whether the trace is recorded.
pub const SAMPLED: &str = "x-b3-sampled";
/// `1`: debug.
pub const FLAGS: &str = "x-b3-flags";
/// The id of the span's parent. It is never written: "MUST NOT propagate `X-B3-ParentSpanId` as OpenTelemetry does not support reusing
/// the same id for both sides of a request" (OpenTelemetry, API Propagators, "B3 Extract").
pub const PARENT_SPAN_ID: &str = "x-b3-parentspanid";
/// All of them.
pub const HEADERS: [&str; 6] = [B3, TRACE_ID, SPAN_ID, SAMPLED, FLAGS, PARENT_SPAN_ID];

/// What a caller says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extracted {
    /// Its span.
    Span(Remote),
    /// Only whether what begins here is recorded, as `b3: 0` does.
    Decision(Sampling),
}

/// Reads both kinds, header by header. The one header wins over the several, where it is valid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    single: Once<Extracted>,
    trace_id: Once<TraceId>,
    span_id: Once<SpanId>,
    sampled: Once<Sampling>,
    flags: Once<bool>,
}

impl Reader {
    /// Takes one header; others than its own are left alone.
    pub fn header(&mut self, pair: &impl Pair) {
        let value = trim(pair.value());
        if pair.is_named(B3) {
            self.single.put(single(value));
        } else if pair.is_named(TRACE_ID) {
            self.trace_id.put(remote::trace_id(value, Case::Lower));
        } else if pair.is_named(SPAN_ID) {
            self.span_id.put(SpanId::from_hex(value, Case::Lower));
        } else if pair.is_named(SAMPLED) {
            // "Before this specification was written, some tracers propagated X-B3-Sampled as true or false."
            self.sampled.put(match value {
                b"1" | b"true" => Some(Sampling::Accept),
                b"0" | b"false" => Some(Sampling::Deny),
                _ => None,
            });
        } else if pair.is_named(FLAGS) {
            self.flags.put(Some(value == b"1"));
        }
    }

    /// What they say together; `None` if that is nothing, or not valid.
    #[must_use]
    pub fn finish(self) -> Option<Extracted> {
        if let Once::Read(single) = self.single {
            return Some(single);
        }
        // "Debug implies an accept decision, so don't also send the X-B3-Sampled header."
        let sampling = match (self.flags, self.sampled) {
            (Once::Read(true), _) => Sampling::Debug,
            (_, Once::Read(sampling)) => sampling,
            (_, Once::Absent) => Sampling::Deferred,
            (_, Once::Invalid) => return None,
        };
        match (self.trace_id, self.span_id) {
            (Once::Read(trace_id), Once::Read(span_id)) => Some(Extracted::Span(Remote {
                trace_id,
                span_id,
                sampling,
            })),
            (Once::Absent, Once::Absent) => (sampling != Sampling::Deferred).then_some(Extracted::Decision(sampling)),
            _ => None,
        }
    }
}

/// `{TraceId}-{SpanId}-{SamplingState}-{ParentSpanId}`, the last two of which may be missing, or a sampling state alone.
fn single(value: &[u8]) -> Option<Extracted> {
    if let Some(sampling) = sampling_state(value) {
        return Some(Extracted::Decision(sampling));
    }
    let mut parts = value.split(|byte| *byte == b'-');
    let trace_id = remote::trace_id(parts.next()?, Case::Lower)?;
    let span_id = SpanId::from_hex(parts.next()?, Case::Lower)?;
    let sampling = parts.next().map_or(Some(Sampling::Deferred), sampling_state)?;
    // It is looked at for its form only.
    if let Some(parent) = parts.next() {
        SpanId::from_hex(parent, Case::Lower)?;
    }
    parts.next().is_none().then_some(Extracted::Span(Remote {
        trace_id,
        span_id,
        sampling,
    }))
}

fn sampling_state(text: &[u8]) -> Option<Sampling> {
    match text {
        b"1" => Some(Sampling::Accept),
        b"0" => Some(Sampling::Deny),
        b"d" => Some(Sampling::Debug),
        _ => None,
    }
}

/// Writes the one header.
pub fn write_single<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext, is_debug: bool) {
    let sampling = match (is_debug, span.is_sampled()) {
        (true, _) => 'd',
        (false, true) => '1',
        (false, false) => '0',
    };
    carrier.set(B3, &format!("{}-{}-{sampling}", span.trace_id(), span.span_id()));
}

/// Writes the several headers.
pub fn write_multi<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext, is_debug: bool) {
    carrier.set(TRACE_ID, &span.trace_id().to_string());
    carrier.set(SPAN_ID, &span.span_id().to_string());
    match is_debug {
        true => carrier.set(FLAGS, "1"),
        false => carrier.set(SAMPLED, if span.is_sampled() { "1" } else { "0" }),
    }
}
