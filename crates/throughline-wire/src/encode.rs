//! The OTLP protobuf writer: fields of a span into bytes the caller owns.
//!
//! Each part has a function that tells its length and one that writes exactly that many bytes, tag
//! included, so that a caller reserves once and nothing here allocates. Parts may be written in
//! any order behind the [prefix](crate::span_prefix); together they are one OTLP `Span`.
//!
//! Made for a hot path: a short attribute is two length sums, a few narrow stores and two copies.
//!
//! ```
//! use throughline_wire::{encode, SpanView, Value};
//!
//! let value = Value::from("GET");
//! let mut bytes = vec![0; encode::attribute_len("http.request.method", &value)];
//! encode::write_attribute(&mut bytes, "http.request.method", &value);
//! let span = SpanView::new(&bytes);
//! assert_eq!(span.attributes().next().unwrap().0, "http.request.method");
//! ```
//!
//! # Panics
//! Every `write_` function panics if `out` is shorter than the length its twin tells, and leaves
//! what is longer untouched. None of them panics for any other reason.

mod shorten;
mod value;

pub use shorten::ValueLimits;
pub use value::{KeyValue, MAX_DEPTH, attribute_len, key_value_len, push_key_value, write_attribute, write_key_value};

use crate::{SpanContext, StatusCode, Value, varint};

/// Tags: field number and wire type in one byte, for the fields that follow the prefix.
pub mod tag {
    /// `Span.trace_state`, text.
    pub const TRACE_STATE: u8 = 0x1a;
    /// `Span.name`, text.
    pub const NAME: u8 = 0x2a;
    /// `Span.attributes`, a `KeyValue`.
    pub const ATTRIBUTE: u8 = 0x4a;
    /// `Span.dropped_attributes_count`, a number.
    pub const DROPPED_ATTRIBUTES: u8 = 0x50;
    /// `Span.events`, an `Event`.
    pub const EVENT: u8 = 0x5a;
    /// `Span.dropped_events_count`, a number.
    pub const DROPPED_EVENTS: u8 = 0x60;
    /// `Span.links`, a `Link`.
    pub const LINK: u8 = 0x6a;
    /// `Span.dropped_links_count`, a number.
    pub const DROPPED_LINKS: u8 = 0x70;
    /// `Span.status`, a `Status`.
    pub const STATUS: u8 = 0x7a;
}

/// The length of a text field such as [`tag::NAME`]; 0 for an empty text, which is not written.
#[inline]
#[must_use]
pub const fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { delimited_len(text.len()) }
}

/// Writes a text field: `write_text(out, tag::NAME, "GET /")`. An empty text is not written.
#[inline]
pub fn write_text(out: &mut [u8], tag: u8, text: &str) {
    Writer(out).text(tag, text);
}

/// The length of a count field such as [`tag::DROPPED_EVENTS`]; 0 for none, which is not written.
#[inline]
#[must_use]
pub const fn count_len(count: u32) -> usize {
    if count == 0 { 0 } else { 1 + varint::len(count as u64) }
}

/// Writes a count field. Zero is not written.
#[inline]
pub fn write_count(out: &mut [u8], tag: u8, count: u32) {
    Writer(out).count(tag, count);
}

/// The length of the status field; 0 if there is nothing to say.
#[inline]
#[must_use]
pub const fn status_len(code: StatusCode, message: &str) -> usize {
    match status_body_len(code, message) {
        0 => 0,
        body => delimited_len(body),
    }
}

/// Writes the status field, once a span: a second one would merge with the first, and an Error
/// that became Ok would keep its message.
#[inline]
pub fn write_status(out: &mut [u8], code: StatusCode, message: &str) {
    let body = status_body_len(code, message);
    if body > 0 {
        let mut out = Writer(out);
        out.delimited(tag::STATUS, body);
        out.text(0x12, message);
        out.count(0x18, code.number().into());
    }
}

const fn status_body_len(code: StatusCode, message: &str) -> usize {
    text_len(message) + count_len(code.number() as u32)
}

/// Something that happened at one moment of a span (OTLP `Span.Event`).
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub name: &'a str,
    /// When, in nanoseconds since 1970-01-01 00:00 UTC.
    pub time_unix_nano: u64,
    /// Details; keys should be unique.
    pub attributes: &'a [(&'a str, Value<'a>)],
    /// More of them, encoded already: [`write_key_value`] with [`Event::ATTRIBUTE`].
    pub encoded_attributes: &'a [u8],
    /// How many attributes are missing because of a limit.
    pub dropped_attributes: u32,
}

impl Event<'_> {
    /// The tag of an attribute of an event.
    pub const ATTRIBUTE: u8 = 0x1a;

    fn body_len(&self) -> usize {
        let attributes = key_values_len(self.attributes) + self.encoded_attributes.len();
        9 + text_len(self.name) + attributes + count_len(self.dropped_attributes)
    }
}

/// The length of an event field.
#[inline]
#[must_use]
pub fn event_len(event: &Event<'_>) -> usize {
    delimited_len(event.body_len())
}

/// Writes an event field.
#[inline]
pub fn write_event(out: &mut [u8], event: &Event<'_>) {
    let mut out = Writer(out);
    out.delimited(tag::EVENT, event.body_len());
    out.bytes(&[0x09]);
    out.bytes(&event.time_unix_nano.to_le_bytes());
    out.text(0x12, event.name);
    out.key_values(Event::ATTRIBUTE, event.attributes);
    out.bytes(event.encoded_attributes);
    out.count(0x20, event.dropped_attributes);
}

/// A pointer from a span to another one (OTLP `Span.Link`).
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The other span. `None`: its ids are not known, which is worth a link for its attributes.
    pub context: Option<SpanContext>,
    /// Its tracestate header, or nothing.
    pub trace_state: &'a str,
    /// Details; keys should be unique.
    pub attributes: &'a [(&'a str, Value<'a>)],
    /// More of them, encoded already: [`write_key_value`] with [`Link::ATTRIBUTE`].
    pub encoded_attributes: &'a [u8],
    /// How many attributes are missing because of a limit.
    pub dropped_attributes: u32,
}

impl Link<'_> {
    /// The tag of an attribute of a link.
    pub const ATTRIBUTE: u8 = 0x22;

    fn body_len(&self) -> usize {
        let ids_and_flags = if self.context.is_some() { 18 + 10 + 5 } else { 0 };
        let attributes = key_values_len(self.attributes) + self.encoded_attributes.len();
        ids_and_flags + text_len(self.trace_state) + attributes + count_len(self.dropped_attributes)
    }
}

/// The length of a link field.
#[inline]
#[must_use]
pub fn link_len(link: &Link<'_>) -> usize {
    delimited_len(link.body_len())
}

/// Writes a link field.
#[inline]
pub fn write_link(out: &mut [u8], link: &Link<'_>) {
    let mut out = Writer(out);
    out.delimited(tag::LINK, link.body_len());
    if let Some(context) = &link.context {
        out.bytes(&[0x0a, 16]);
        out.bytes(&context.trace_id().to_bytes());
        out.bytes(&[0x12, 8]);
        out.bytes(&context.span_id().to_bytes());
    }
    out.text(0x1a, link.trace_state);
    out.key_values(Link::ATTRIBUTE, link.attributes);
    out.bytes(link.encoded_attributes);
    out.count(0x28, link.dropped_attributes);
    if let Some(context) = &link.context {
        out.bytes(&[0x35]);
        out.bytes(&context.otlp_flags().to_le_bytes());
    }
}

/// The length of a field with a one-byte tag and a length in front of its body.
#[inline]
#[must_use]
pub const fn delimited_len(body: usize) -> usize {
    1 + varint::len(body as u64) + body
}

/// A place in bytes that moves forward; whoever makes one has computed that there is room.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    #[inline(always)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.take(bytes.len()).copy_from_slice(bytes);
    }

    /// [`bytes`](Self::bytes) without a call for up to 32 of them: two moves that may overlap.
    #[inline(always)]
    fn short(&mut self, bytes: &[u8]) {
        let out = self.take(bytes.len());
        match bytes.len() {
            0 => {}
            len @ 1..4 => {
                // First, middle and last byte; a loop would become the call again.
                for at in [0, len / 2, len - 1] {
                    out[at] = bytes[at];
                }
            }
            4..8 => ends::<4>(out, bytes),
            8..16 => ends::<8>(out, bytes),
            16..=32 => ends::<16>(out, bytes),
            _ => out.copy_from_slice(bytes),
        }
    }

    #[inline]
    fn varint(&mut self, value: u64) {
        let written = varint::write(self.0, value);
        self.take(written);
    }

    /// A tag and the length of the body that has to follow.
    #[inline]
    fn delimited(&mut self, tag: u8, body: usize) {
        self.bytes(&[tag]);
        self.varint(body as u64);
    }

    #[inline]
    fn text(&mut self, tag: u8, text: &str) {
        if !text.is_empty() {
            self.delimited(tag, text.len());
            self.bytes(text.as_bytes());
        }
    }

    #[inline]
    fn count(&mut self, tag: u8, count: u32) {
        if count > 0 {
            self.bytes(&[tag]);
            self.varint(count.into());
        }
    }

    fn key_values(&mut self, tag: u8, attributes: &[(&str, Value<'_>)]) {
        for (key, value) in attributes {
            let attribute = KeyValue::new(key, value);
            attribute.write(self.take(attribute.len()), tag);
        }
    }

    #[inline(always)]
    fn take(&mut self, len: usize) -> &mut [u8] {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(len);
        self.0 = rest;
        taken
    }
}

/// Copies the first and the last `N` bytes of `from`, which has `N` to `2 * N`.
#[inline(always)]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk()) {
        *to = *from;
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk()) {
        *to = *from;
    }
}

fn key_values_len(attributes: &[(&str, Value<'_>)]) -> usize {
    attributes.iter().map(|(key, value)| key_value_len(key, value)).sum()
}
