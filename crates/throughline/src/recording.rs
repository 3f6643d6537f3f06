//! Writing to an open span: attributes, events, links, status, errors.
//!
//! These functions are the one implementation behind [`Span`](crate::Span), [`Entered`](crate::Entered),
//! [`SharedSpan`](crate::SharedSpan) and [`Current`](crate::Current). They run no code of the user's.

use std::error::Error;
use std::fmt::Write;

use throughline_spool::OpenSpan;
use throughline_wire::encode::{self, KeyValue, tag};
use throughline_wire::{StatusCode, Value, varint};

use crate::clock;
use crate::context::Context;

/// The most attributes, events and links of one span (OpenTelemetry specification, trace SDK, "Span Limits").
const ATTRIBUTES: u32 = 128;
const EVENTS: u32 = 128;
const LINKS: u32 = 128;

/// The bit that stands for a key in `Notes::keys`: from its length, its first and its last bytes.
#[doc(hidden)]
#[inline]
#[must_use]
pub const fn key_bit(key: &str) -> u64 {
    let bytes = key.as_bytes();
    let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
        _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            (Some(first), Some(last)) => (u32::from_le_bytes(*first) as u64, u32::from_le_bytes(*last) as u64),
            _ if bytes.is_empty() => (0, 0),
            _ => (
                bytes[0] as u64,
                (bytes[bytes.len() / 2] as u64) << 8 | bytes[bytes.len() - 1] as u64,
            ),
        },
    };
    let mixed = first.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ last.wrapping_add(bytes.len() as u64);
    1 << (mixed.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 58)
}

/// Sets one attribute.
#[inline]
pub(crate) fn set(span: &mut OpenSpan, key: &str, value: &Value<'_>) {
    if span.is_recording() {
        let mut batch = Batch::new(span);
        batch.put(key, key_bit(key), value);
        batch.finish();
    }
}

/// Attributes that are set one after the other: what the span knows of itself is read and written once for all of them.
#[doc(hidden)]
#[derive(Debug)]
pub struct Batch<'a> {
    span: &'a mut OpenSpan,
    keys: u64,
    attributes: u32,
    /// Bytes written behind the span's fields that it does not count yet.
    written: usize,
}

impl<'a> Batch<'a> {
    #[inline(always)]
    pub(crate) fn new(span: &'a mut OpenSpan) -> Self {
        let notes = span.notes();
        Self {
            keys: notes.keys,
            attributes: notes.attributes,
            written: 0,
            span,
        }
    }

    /// `bit` is `key_bit(key)`. Inlined, so that a key and a kind of value known to the compiler fold into a few stores;
    /// for that, nothing here may be lent to a function that is not inlined, but for copies.
    #[inline(always)]
    pub fn put(&mut self, key: &str, bit: u64, value: &Value<'_>) {
        if self.keys & bit == 0 && self.attributes < ATTRIBUTES && !key.is_empty() {
            let attribute = KeyValue::new(key, value);
            let len = attribute.len();
            if let Some(room) = self.span.room(self.written, len) {
                attribute.write(room, tag::ATTRIBUTE);
                self.written += len;
                self.attributes += 1;
                self.keys |= bit;
                return;
            }
        }
        self.flush();
        let value = *value;
        set_slowly(self.span, key, bit, &value);
        let notes = self.span.notes();
        self.keys = notes.keys;
        self.attributes = notes.attributes;
    }

    #[inline(always)]
    pub fn finish(mut self) {
        self.flush();
    }

    #[inline(always)]
    fn flush(&mut self) {
        let notes = self.span.notes_mut();
        notes.keys = self.keys;
        notes.attributes = self.attributes;
        if self.written > 0 {
            self.span.wrote(self.written);
            self.written = 0;
        }
    }
}

fn append_slowly(span: &mut OpenSpan, key: &str, value: &Value<'_>) {
    let attribute = KeyValue::new(key, value);
    if !span.append(attribute.len(), |out| attribute.write(out, tag::ATTRIBUTE)) {
        // The span would be too long for a record.
        span.notes_mut().attributes -= 1;
        span.rare_mut().dropped_attributes += 1;
    }
}

/// The key may have been set before, or there is something that forbids the short way.
#[cold]
#[inline(never)]
fn set_slowly(span: &mut OpenSpan, key: &str, bit: u64, value: &Value<'_>) {
    if let Some(range) = find_attribute(span.fields(), key) {
        let len = encode::attribute_len(key, value);
        if !span.splice(range, len, |out| encode::write_attribute(out, key, value)) {
            span.rare_mut().dropped_attributes += 1;
        }
        return;
    }
    if span.notes().attributes >= ATTRIBUTES || key.is_empty() {
        span.rare_mut().dropped_attributes += 1;
        return;
    }
    let notes = span.notes_mut();
    notes.keys |= bit;
    notes.attributes += 1;
    append_slowly(span, key, value);
}

pub(crate) fn rename(span: &mut OpenSpan, new: &str) {
    if !span.is_recording() {
        return;
    }
    let old = fields(span.fields())
        .find(|(tag, _)| *tag == tag::NAME)
        .map_or(0..0, |(_, range)| range);
    span.splice(old, encode::text_len(new), |out| {
        encode::write_text(out, tag::NAME, new);
    });
}

pub(crate) fn event(span: &mut OpenSpan, name: &str, attributes: &[(&str, Value<'_>)]) {
    if !span.is_recording() {
        return;
    }
    let time_unix_nano = clock::now().unix_nano;
    let event = encode::Event {
        name,
        time_unix_nano,
        attributes,
        dropped_attributes: 0,
    };
    let rare = span.rare_mut();
    let is_kept = rare.events < EVENTS && {
        rare.events += 1;
        span.append(encode::event_len(&event), |out| encode::write_event(out, &event))
    };
    if !is_kept {
        span.rare_mut().dropped_events += 1;
    }
}

pub(crate) fn link(span: &mut OpenSpan, to: &Context, attributes: &[(&str, Value<'_>)]) {
    let Some(context) = to.span_context().filter(|_| span.is_recording()) else {
        return;
    };
    let link = encode::Link {
        context,
        trace_state: to.trace_state(),
        attributes,
        dropped_attributes: 0,
    };
    let rare = span.rare_mut();
    let is_kept = rare.links < LINKS && {
        rare.links += 1;
        span.append(encode::link_len(&link), |out| encode::write_link(out, &link))
    };
    if !is_kept {
        span.rare_mut().dropped_links += 1;
    }
}

/// "Ok is final": the first `Ok` stays, and of several errors the last one (OpenTelemetry specification, "Set Status").
pub(crate) fn status(span: &mut OpenSpan, code: StatusCode, message: &str) {
    if !span.is_recording() || span.notes().status == StatusCode::Ok.number() {
        return;
    }
    span.notes_mut().status = code.number();
    let is_said = !message.is_empty() || span.notes().rare.is_some();
    if is_said {
        span.rare_mut().message = message.to_owned();
    }
}

/// What an error says, before any span is touched: its `Display` is somebody else's code.
pub(crate) struct ErrorText {
    kind: &'static str,
    message: String,
    /// The messages of the error and all its sources; empty when it has none.
    chain: String,
}

impl ErrorText {
    /// At most this many sources are followed: a chain may be a circle.
    const SOURCES: usize = 32;

    pub(crate) fn of<E: Error + ?Sized>(error: &E) -> Self {
        let message = text(error);
        let mut chain = String::new();
        let mut source = error.source();
        for _ in 0..Self::SOURCES {
            let Some(error) = source else { break };
            if chain.is_empty() {
                chain.push_str(&message);
            }
            chain.push_str("\nCaused by: ");
            chain.push_str(&text(error));
            source = error.source();
        }
        Self {
            kind: std::any::type_name::<E>(),
            message,
            chain,
        }
    }
}

/// `to_string` panics when a `Display` reports an error; here half a message will do.
fn text<E: Error + ?Sized>(error: &E) -> String {
    let mut text = String::new();
    let _ = write!(text, "{error}");
    text
}

/// An `exception` event and the status (OpenTelemetry semantic conventions, "Exceptions").
pub(crate) fn error(span: &mut OpenSpan, error: &ErrorText) {
    let attributes = [
        ("exception.type", Value::from(error.kind)),
        ("exception.message", Value::from(error.message.as_str())),
        ("exception.stacktrace", Value::from(error.chain.as_str())),
    ];
    let attributes = if error.chain.is_empty() {
        &attributes[..2]
    } else {
        &attributes
    };
    event(span, "exception", attributes);
    status(span, StatusCode::Error, &error.message);
}

/// Ends the span: what is written only once goes in, then the record is committed.
#[inline]
pub(crate) fn end(mut span: OpenSpan) {
    if !span.is_recording() {
        return drop(span);
    }
    if std::thread::panicking() && span.notes().status == StatusCode::Unset.number() {
        status(&mut span, StatusCode::Error, "panicked");
    }
    if span.notes().status != StatusCode::Unset.number() || span.notes().rare.is_some() {
        append_rare(&mut span);
    }
    let notes = span.notes();
    let end = clock::end(span.start_unix_nano(), notes.started, notes.clock);
    span.end(end);
}

#[cold]
#[inline(never)]
fn append_rare(span: &mut OpenSpan) {
    let code = StatusCode::from_number(span.notes().status.into());
    let rare = std::mem::take(&mut span.rare_mut().message);
    let counts = {
        let rare = span.rare_mut();
        [
            (tag::DROPPED_ATTRIBUTES, rare.dropped_attributes),
            (tag::DROPPED_EVENTS, rare.dropped_events),
            (tag::DROPPED_LINKS, rare.dropped_links),
        ]
    };
    for (tag, count) in counts {
        span.append(encode::count_len(count), |out| encode::write_count(out, tag, count));
    }
    let message = if code == StatusCode::Error { rare.as_str() } else { "" };
    if !span.append(encode::status_len(code, message), |out| {
        encode::write_status(out, code, message);
    }) {
        span.append(encode::status_len(code, ""), |out| encode::write_status(out, code, ""));
    }
}

/// The fields that this module has written: tag and the field's range, tag included.
fn fields(bytes: &[u8]) -> impl Iterator<Item = (u8, std::ops::Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (&tag, rest) = bytes.get(at..)?.split_first()?;
        let (value, after) = varint::read(rest)?;
        let is_delimited = tag & 7 == 2;
        let start = at;
        at = bytes.len() - after.len() + if is_delimited { value as usize } else { 0 };
        Some((tag, start..at))
    })
}

fn find_attribute(bytes: &[u8], key: &str) -> Option<std::ops::Range<usize>> {
    fields(bytes).find_map(|(tag, range)| {
        let (_, key_value) = varint::read(&bytes[range.start + 1..range.end])?;
        let (&0x0a, key_field) = key_value.split_first()? else {
            return None;
        };
        let (len, key_bytes) = varint::read(key_field)?;
        (tag == tag::ATTRIBUTE && key_bytes.get(..len as usize)? == key.as_bytes()).then_some(range)
    })
}
