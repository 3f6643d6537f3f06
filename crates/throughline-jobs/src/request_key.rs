//! Context in a protocol of one's own: a key of a trace id and a span id.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

use throughline::{Context, SpanContext, SpanId, TraceFlags, TraceId};

/// The key of a request in a protocol that is not HTTP: 128 bits, often a UUID, that are the trace's id, and 64 bits that are the
/// caller's span.
///
/// | form | written by | read by |
/// |---|---|---|
/// | `uuid:hex16` | `to_string` | `parse` |
/// | UUID and 8 bytes | [`uuid`](Self::uuid), [`span_id`](Self::span_id) | [`from_uuid`](Self::from_uuid) |
/// | 24 bytes | [`to_bytes`](Self::to_bytes) | [`from_bytes`](Self::from_bytes) |
/// | 48 hexadecimal digits | [`to_hex`](Self::to_hex) | `parse` |
///
/// ```
/// use throughline_jobs::RequestKey;
///
/// let key: RequestKey = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7".parse()?;
/// assert_eq!(key.context().trace_id().unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// assert_eq!(RequestKey::from_bytes(key.to_bytes())?, key);
/// assert_eq!(key.to_hex().parse::<RequestKey>()?, key);
/// # Ok::<(), throughline_jobs::InvalidRequestKey>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    trace_id: TraceId,
    span_id: SpanId,
}

impl RequestKey {
    /// A key of these ids.
    #[must_use]
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id }
    }

    /// The key to send with a request: the current span's ids, so that the other side's span is its child. A new trace where no span is
    /// current.
    #[must_use]
    pub fn current() -> Self {
        let current = Context::current();
        let context = match current.span_context() {
            Some(_) => current,
            None => current.child(),
        };
        let ids = context.trace_id().zip(context.span_id());
        let (trace_id, span_id) = ids.expect("a child of any context has ids");
        Self { trace_id, span_id }
    }

    /// A key of a UUID, with or without dashes, and a span's 8 bytes.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestKey`] unless it is a UUID, and if either is zero.
    pub fn from_uuid(uuid: &str, span_id: [u8; 8]) -> Result<Self, InvalidRequestKey> {
        let span_id = SpanId::from_bytes(span_id).ok_or(InvalidRequestKey(()))?;
        Ok(Self::new(parse_uuid(uuid)?, span_id))
    }

    /// A key of 24 bytes, those of the trace's id first.
    ///
    /// # Errors
    ///
    /// [`InvalidRequestKey`] if either id is zero.
    pub fn from_bytes(bytes: [u8; 24]) -> Result<Self, InvalidRequestKey> {
        let (trace_id, span_id) = bytes.split_at(16);
        let trace_id = trace_id.try_into().ok().and_then(TraceId::from_bytes);
        let span_id = span_id.try_into().ok().and_then(SpanId::from_bytes);
        let (trace_id, span_id) = trace_id.zip(span_id).ok_or(InvalidRequestKey(()))?;
        Ok(Self::new(trace_id, span_id))
    }

    /// The 24 bytes, those of the trace's id first.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&self.trace_id.to_bytes());
        bytes[16..].copy_from_slice(&self.span_id.to_bytes());
        bytes
    }

    /// The 48 hexadecimal digits, in lower case.
    #[must_use]
    pub fn to_hex(self) -> String {
        format!("{}{}", self.trace_id, self.span_id)
    }

    /// The trace's id as a UUID, with dashes.
    #[must_use]
    pub fn uuid(self) -> String {
        let id = self.trace_id.to_string();
        format!(
            "{}-{}-{}-{}-{}",
            &id[..8],
            &id[8..12],
            &id[12..16],
            &id[16..20],
            &id[20..]
        )
    }

    /// The trace's id.
    #[must_use]
    pub fn trace_id(self) -> TraceId {
        self.trace_id
    }

    /// The caller's span.
    #[must_use]
    pub fn span_id(self) -> SpanId {
        self.span_id
    }

    /// The caller's context. A key says nothing of sampling: it counts as sampled.
    #[must_use]
    pub fn context(self) -> Context {
        let sampled = TraceFlags::from_byte(1);
        Context::of(SpanContext::new(self.trace_id, self.span_id, sampled, true))
    }
}

/// `uuid:hex16`.
impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uuid(), self.span_id)
    }
}

/// Reads `uuid:hex16`, the UUID with or without dashes, and 48 hexadecimal digits, of either case.
impl FromStr for RequestKey {
    type Err = InvalidRequestKey;

    fn from_str(text: &str) -> Result<Self, InvalidRequestKey> {
        let (trace_id, span_id) = match text.split_once(':') {
            Some(parts) => parts,
            None => text.split_at_checked(32).ok_or(InvalidRequestKey(()))?,
        };
        let span_id = SpanId::from_hex_any_case(span_id).map_err(|_| InvalidRequestKey(()))?;
        Ok(Self::new(parse_uuid(trace_id)?, span_id))
    }
}

fn parse_uuid(text: &str) -> Result<TraceId, InvalidRequestKey> {
    let has_dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
    let digits = match has_dashes {
        // A dash elsewhere stays, and is no digit.
        true => (text.char_indices().filter(|(at, _)| ![8, 13, 18, 23].contains(at)))
            .map(|(_, letter)| letter)
            .collect(),
        false => text.to_owned(),
    };
    TraceId::from_hex_any_case(&digits).map_err(|_| InvalidRequestKey(()))
}

/// What was to be a [`RequestKey`] is none, or one of its ids is zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidRequestKey(());

impl fmt::Display for InvalidRequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is no request key: a UUID and 16 hexadecimal digits with a colon between them, neither of them zero",
        )
    }
}

impl Error for InvalidRequestKey {}
