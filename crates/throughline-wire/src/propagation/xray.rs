//! The trace header of AWS X-Ray (docs.aws.amazon.com/xray, "Tracing header").
//!
//! ```
//! use throughline_wire::propagation::xray::Reader;
//!
//! let mut reader = Reader::default();
//! reader.header(&("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"));
//! let (span, _) = reader.finish().unwrap();
//! assert_eq!(span.trace_id.to_string(), "5759e988bd862e3fe1be46a994272793");
//! ```

use super::remote::Once;
use super::{Carrier, Pair, Remote, Sampling};
use crate::hex::Case;
use crate::trace_state::trim;
use crate::{SpanContext, SpanId, TraceId};

/// The header.
pub const TRACE_HEADER: &str = "x-amzn-trace-id";
/// The most bytes of fields of others, such as `Lineage`, that are kept; those beyond are left out, each whole.
pub const MAX_FIELDS: usize = 256;
/// A longer header is not read.
const LONGEST: usize = 1024;

/// Reads the header.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    header: Once<(Remote, String)>,
}

impl Reader {
    /// Takes one header; others than its own are left alone.
    pub fn header(&mut self, pair: &impl Pair) {
        if pair.is_named(TRACE_HEADER) {
            self.header.put(parse(trim(pair.value())));
        }
    }

    /// The caller's span, and the fields of others, to be [written](write()) again. `None` if there is none that is valid: one that a
    /// load balancer wrote names a trace and no span.
    #[must_use]
    pub fn finish(self) -> Option<(Remote, String)> {
        match self.header {
            Once::Read(read) => Some(read),
            Once::Absent | Once::Invalid => None,
        }
    }
}

fn parse(value: &[u8]) -> Option<(Remote, String)> {
    if value.len() > LONGEST {
        return None;
    }
    let (mut root, mut parent, mut sampled) = (Once::Absent, Once::Absent, Once::Absent);
    let mut fields = String::new();
    let text = std::str::from_utf8(value).ok()?;
    for field in text.split(';').map(str::trim).filter(|field| !field.is_empty()) {
        match field.split_once('=')? {
            ("Root", text) => root.put(trace_id(text.as_bytes())),
            ("Parent", text) => parent.put(SpanId::from_hex(text.as_bytes(), Case::Lower)),
            ("Sampled", "1") => sampled.put(Some(Sampling::Accept)),
            ("Sampled", "0") => sampled.put(Some(Sampling::Deny)),
            ("Sampled", "?") => sampled.put(Some(Sampling::Deferred)),
            ("Sampled", _) => return None,
            // A load balancer's own id for this hop.
            ("Self", _) => {}
            _ if !is_plain(field) || fields.len() + 1 + field.len() > MAX_FIELDS => {}
            _ => {
                if !fields.is_empty() {
                    fields.push(';');
                }
                fields.push_str(field);
            }
        }
    }
    let sampling = match sampled {
        Once::Absent => Sampling::Deferred,
        Once::Read(sampling) => sampling,
        Once::Invalid => return None,
    };
    match (root, parent) {
        (Once::Read(trace_id), Once::Read(span_id)) => {
            let span = Remote {
                trace_id,
                span_id,
                sampling,
            };
            Some((span, fields))
        }
        _ => None,
    }
}

/// `1-{8 digits}-{24 digits}`: version, time, and what makes it unique.
fn trace_id(text: &[u8]) -> Option<TraceId> {
    let [
        b'1',
        b'-',
        time @ ..,
        b'-',
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = text
    else {
        return None;
    };
    let digits = [time, &text[text.len() - 24..]].concat();
    TraceId::from_hex(&digits, Case::Lower).filter(|_| time.len() == 8)
}

fn is_plain(field: &str) -> bool {
    field.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Writes the header; `fields` are those of others that came with the trace, or empty.
pub fn write<C: Carrier + ?Sized>(carrier: &mut C, span: &SpanContext, fields: &str) {
    let trace_id = span.trace_id().to_string();
    let (time, unique) = trace_id.split_at(8);
    let sampled = u8::from(span.is_sampled());
    let mut value = format!("Root=1-{time}-{unique};Parent={};Sampled={sampled}", span.span_id());
    if !fields.is_empty() && fields.split(';').all(is_plain) {
        value.push(';');
        value.push_str(fields);
    }
    carrier.set(TRACE_HEADER, &value);
}
