//! A span as it lies in its bytes.
//!
//! [`SpanView`] reads OTLP `Span` messages lazily and totally: it takes any bytes, allocates
//! nothing, and each accessor walks the fields once. What cannot be read (a field cut off, text
//! that is not UTF-8) ends or shortens what is returned and is never an error. The framing around
//! spans is checked by [`request`](crate::request).
//!
//! Unknown fields are skipped, fields of an unexpected type too, and of a repeated scalar the last
//! wins, as protobuf demands.

mod fields;

use crate::any_value::{AnyValueView, KeyValues};
use crate::protobuf::{self, Field};
use crate::{SpanId, SpanKind, StatusCode, TraceId};

pub use fields::SpanFields;

/// A reader over the bytes of one OTLP `Span`.
///
/// ```
/// use throughline_wire::{encode, SpanView};
///
/// let mut bytes = vec![0; encode::text_len("GET /")];
/// encode::write_text(&mut bytes, encode::tag::NAME, "GET /");
/// assert_eq!(SpanView::new(&bytes).name(), "GET /");
/// assert_eq!(SpanView::new(b"\xff not a span").name(), "");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SpanView<'a> {
    message: &'a [u8],
}

impl<'a> SpanView<'a> {
    /// Reads these bytes: the body of a `Span` message, without tag and length.
    #[must_use]
    pub const fn new(message: &'a [u8]) -> Self {
        Self { message }
    }

    /// The bytes this reads.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.message
    }

    /// All that comes once, read in one pass: for who asks for more than two of them.
    #[must_use]
    pub fn fields(&self) -> SpanFields<'a> {
        SpanFields::read(self.message)
    }

    /// The trace; `None` if it is missing, zero, or not 16 bytes long.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.trace_id_bytes())
    }

    /// The span itself; `None` if it is missing, zero, or not 8 bytes long.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.span_id_bytes())
    }

    /// The parent; `None` for a root, and if it is not a valid id.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        span_id(self.parent_span_id_bytes())
    }

    /// The tracestate header, unchecked; empty if there is none.
    #[must_use]
    pub fn trace_state(&self) -> &'a str {
        self.last(3, Field::text)
    }

    /// The name; empty if there is none.
    #[must_use]
    pub fn name(&self) -> &'a str {
        self.last(5, Field::text)
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_number(self.kind_number())
    }

    /// When it began, in nanoseconds since 1970-01-01 00:00 UTC; 0 if not said.
    #[must_use]
    pub fn start_time_unix_nano(&self) -> u64 {
        self.last(7, Field::fixed64)
    }

    /// When it ended, in nanoseconds since 1970-01-01 00:00 UTC; 0 if not said.
    #[must_use]
    pub fn end_time_unix_nano(&self) -> u64 {
        self.last(8, Field::fixed64)
    }

    /// W3C flags in bits 0-7; bit 8: it is known whether the parent is remote; bit 9: it is.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.last(16, Field::fixed32)
    }

    /// The attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.message, 9, 1)
    }

    /// The value of one attribute; of a repeated key the last.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<AnyValueView<'a>> {
        self.attributes().get(key)
    }

    /// How many attributes are missing because of a limit.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        self.last(10, Field::uint32)
    }

    /// The events in their order.
    pub fn events(&self) -> impl Iterator<Item = EventView<'a>> + Clone + use<'a> {
        EventView::all(self.message)
    }

    /// How many events are missing because of a limit.
    #[must_use]
    pub fn dropped_events_count(&self) -> u32 {
        self.last(12, Field::uint32)
    }

    /// The links in their order.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'a>> + Clone + use<'a> {
        LinkView::all(self.message)
    }

    /// How many links are missing because of a limit.
    #[must_use]
    pub fn dropped_links_count(&self) -> u32 {
        self.last(14, Field::uint32)
    }

    /// The status and its message; empty if there is none.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &'a str) {
        let (code, message) = self.status_number();
        (StatusCode::from_number(code), message)
    }

    /// Ids as they lie there, of any length.
    pub(crate) fn trace_id_bytes(&self) -> &'a [u8] {
        self.last(1, Field::bytes)
    }

    pub(crate) fn span_id_bytes(&self) -> &'a [u8] {
        self.last(2, Field::bytes)
    }

    pub(crate) fn parent_span_id_bytes(&self) -> &'a [u8] {
        self.last(4, Field::bytes)
    }

    /// Enums as they lie there: protobuf's are open.
    pub(crate) fn kind_number(&self) -> i32 {
        self.last(6, Field::int32)
    }

    pub(crate) fn status_number(&self) -> (i32, &'a str) {
        let (mut code, mut text) = (0, "");
        // Repeated messages merge.
        for status in protobuf::all(self.message, 15).filter_map(Field::bytes) {
            code = protobuf::last(status, 3, Field::int32).unwrap_or(code);
            text = protobuf::last(status, 2, Field::text).unwrap_or(text);
        }
        (code, text)
    }

    fn last<T: Default>(&self, number: u32, convert: impl Fn(Field<'a>) -> Option<T>) -> T {
        protobuf::last(self.message, number, convert).unwrap_or_default()
    }
}

/// A reader over one event of a span (OTLP `Span.Event`).
#[derive(Clone, Copy, Debug)]
pub struct EventView<'a> {
    message: &'a [u8],
}

impl<'a> EventView<'a> {
    /// Those of a span.
    fn all(span: &'a [u8]) -> impl Iterator<Item = Self> + Clone + use<'a> {
        protobuf::all(span, 11)
            .filter_map(Field::bytes)
            .map(|message| Self { message })
    }

    /// When it happened, in nanoseconds since 1970-01-01 00:00 UTC; 0 if not said.
    #[must_use]
    pub fn time_unix_nano(&self) -> u64 {
        protobuf::last(self.message, 1, Field::fixed64).unwrap_or_default()
    }

    /// What happened; empty if not said.
    #[must_use]
    pub fn name(&self) -> &'a str {
        protobuf::last(self.message, 2, Field::text).unwrap_or_default()
    }

    /// The attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.message, 3, 1)
    }

    /// How many attributes are missing because of a limit.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        protobuf::last(self.message, 4, Field::uint32).unwrap_or_default()
    }
}

/// A reader over one link of a span (OTLP `Span.Link`).
#[derive(Clone, Copy, Debug)]
pub struct LinkView<'a> {
    message: &'a [u8],
}

impl<'a> LinkView<'a> {
    /// Those of a span.
    fn all(span: &'a [u8]) -> impl Iterator<Item = Self> + Clone + use<'a> {
        protobuf::all(span, 13)
            .filter_map(Field::bytes)
            .map(|message| Self { message })
    }

    /// The trace of the other span; `None` if it is missing, zero, or not 16 bytes long.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.trace_id_bytes())
    }

    /// The other span; `None` if it is missing, zero, or not 8 bytes long.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.span_id_bytes())
    }

    /// Its tracestate header, unchecked; empty if there is none.
    #[must_use]
    pub fn trace_state(&self) -> &'a str {
        protobuf::last(self.message, 3, Field::text).unwrap_or_default()
    }

    /// The attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.message, 4, 1)
    }

    /// How many attributes are missing because of a limit.
    #[must_use]
    pub fn dropped_attributes_count(&self) -> u32 {
        protobuf::last(self.message, 5, Field::uint32).unwrap_or_default()
    }

    /// W3C flags in bits 0-7; bit 8: it is known whether the other span is remote; bit 9: it is.
    #[must_use]
    pub fn flags(&self) -> u32 {
        protobuf::last(self.message, 6, Field::fixed32).unwrap_or_default()
    }

    pub(crate) fn trace_id_bytes(&self) -> &'a [u8] {
        protobuf::last(self.message, 1, Field::bytes).unwrap_or_default()
    }

    pub(crate) fn span_id_bytes(&self) -> &'a [u8] {
        protobuf::last(self.message, 2, Field::bytes).unwrap_or_default()
    }
}

fn trace_id(bytes: &[u8]) -> Option<TraceId> {
    TraceId::from_bytes(bytes.try_into().ok()?)
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    SpanId::from_bytes(bytes.try_into().ok()?)
}
