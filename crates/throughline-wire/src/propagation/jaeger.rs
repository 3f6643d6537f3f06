//! The format of Jaeger's own clients (jaegertracing.io, "Client Libraries", "Propagation Format").
//!
//! ```
//! use throughline_wire::propagation::jaeger::Reader;
//!
//! let mut reader = Reader::default();
//! reader.header(&("uber-trace-id", "4bf92f3577b34da6:f067aa0ba902b7:0:1"));
//! reader.header(&("uberctx-plan", "pro"));
//! let (span, baggage) = reader.finish();
//! assert_eq!(span.unwrap().span_id.to_string(), "00f067aa0ba902b7");
//! assert_eq!(baggage.get("plan").unwrap(), "pro");
//! ```

use std::borrow::Cow;

use super::remote::Once;
use super::{Carrier, Pair, Remote, Sampling};
use crate::baggage::{MAX_BYTES, percent};
use crate::hex::{self, Case};
use crate::trace_state::trim;
use crate::{Baggage, SpanContext, SpanId, TraceId};

/// The header with ids and flags.
pub const TRACE_ID: &str = "uber-trace-id";
/// What the name of a header with one member of the baggage begins with.
pub const BAGGAGE_PREFIX: &str = "uberctx-";

/// The longest value that can be valid: four parts, and three colons that take three bytes each where they are encoded.
const LONGEST: usize = 32 + 16 + 16 + 2 + 3 * 3;
const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

/// Reads the headers, one by one.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    span: Once<Remote>,
    baggage: Baggage,
}

impl Reader {
    /// Takes one header; others than its own are left alone.
    pub fn header(&mut self, pair: &impl Pair) {
        if pair.is_named(TRACE_ID) {
            self.span.put(parse(trim(pair.value())));
        } else if let Some(key) = pair.name_behind(BAGGAGE_PREFIX) {
            if let (Ok(key), Some(value)) = (std::str::from_utf8(key), decode(trim(pair.value()))) {
                self.baggage.receive(key, &value);
            }
        }
    }

    /// What they say together. The baggage needs no span, and has the limits of any other.
    #[must_use]
    pub fn finish(self) -> (Option<Remote>, Baggage) {
        match self.span {
            Once::Read(span) => (Some(span), self.baggage),
            Once::Absent | Once::Invalid => (None, self.baggage),
        }
    }
}

/// `{trace-id}:{span-id}:{parent-span-id}:{flags}`: ids without leading zeros, the flags one byte. Colons may be percent-encoded.
fn parse(value: &[u8]) -> Option<Remote> {
    if value.len() > LONGEST {
        return None;
    }
    let text = percent::decode(std::str::from_utf8(value).ok()?);
    let mut parts = text.as_bytes().split(|byte| *byte == b':');
    let trace_id = TraceId::from_bytes(number(parts.next()?, 32)?.to_be_bytes())?;
    let span_id = u64::try_from(number(parts.next()?, 16)?).ok()?;
    let span_id = SpanId::from_bytes(span_id.to_be_bytes())?;
    // "Deprecated, most Jaeger clients ignore on the receiving side, but still include it on the sending side".
    number(parts.next()?, 16)?;
    let flags = u8::try_from(number(parts.next()?, 2)?).ok()?;
    if parts.next().is_some() {
        return None;
    }
    let sampling = match (flags & SAMPLED != 0, flags & DEBUG != 0) {
        (true, true) => Sampling::Debug,
        (true, false) => Sampling::Accept,
        // "The debug flag should only be set when the sampled flag is set."
        (false, _) => Sampling::Deny,
    };
    Some(Remote {
        trace_id,
        span_id,
        sampling,
    })
}

/// A number of 1 to `longest` hexadecimal digits.
fn number(digits: &[u8], longest: usize) -> Option<u128> {
    if digits.is_empty() || digits.len() > longest {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        Some(number << 4 | u128::from(hex::digit(*digit, Case::Any)?))
    })
}

/// Jaeger's clients write a space as `+`.
fn decode(value: &[u8]) -> Option<String> {
    if value.len() > MAX_BYTES {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let text = match text.contains('+') {
        true => Cow::Owned(text.replace('+', " ")),
        false => Cow::Borrowed(text),
    };
    Some(percent::decode(&text).into_owned())
}

/// Writes ids and flags.
pub fn write_span<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext, is_debug: bool) {
    let flags = match (is_debug, span.is_sampled()) {
        (true, _) => SAMPLED | DEBUG,
        (false, is_sampled) => u8::from(is_sampled),
    };
    carrier.set(TRACE_ID, &format!("{}:{}:0:{flags:x}", span.trace_id(), span.span_id()));
}

/// Writes a header for each member of the baggage; properties are not written, since the format has none.
pub fn write_baggage<C: Carrier + ?Sized>(carrier: &mut C, baggage: &Baggage) {
    for member in baggage.iter() {
        let name = format!("{BAGGAGE_PREFIX}{}", member.key());
        carrier.set_named(&name, &percent::encode_component(&member.value()));
    }
}
