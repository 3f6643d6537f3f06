//! Writing to an open span: attributes, events, links, status, errors.
//!
//! These functions are the one implementation behind [`Span`](crate::Span), [`Entered`](crate::Entered),
//! [`SharedSpan`](crate::SharedSpan) and [`Current`](crate::Current). They run no code of the user's.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use throughline_spool::{MAX_BODY, OpenSpan, Recording, shortened};
use throughline_wire::encode::{self, KeyValue, ValueLimits, tag};
use throughline_wire::{SpanView, StatusCode, Value, varint};

use crate::attributes::{Encoded, Of};
use crate::clock;
use crate::context::Context;
use crate::processor::{Verdict, chain};
use crate::span_limits::{limits, takes_any};
use crate::value::write_safely;

/// The most bytes of what users set: the rest of a record is for the fixed fields, the dropped counts and the status.
const MOST_FIELDS: usize = MAX_BODY - 256;

/// A key as it is written in a macro, without the `r#` of a raw identifier.
#[doc(hidden)]
#[must_use]
pub const fn key(written: &'static str) -> &'static str {
    match written.as_bytes() {
        [b'r', b'#', name @ ..] => match std::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => written,
        },
        _ => written,
    }
}

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
    // Both halves of the product: the upper one alone maps keys that count up onto few bits.
    let product = mixed as u128 * 0xd6e8_feb8_6659_fd93;
    1 << ((((product >> 64) as u64 ^ product as u64) >> 29) & 63)
}

/// Sets one attribute.
#[inline]
pub(crate) fn set(span: &mut Recording<'_>, key: &str, value: &Value<'_>) {
    if span.is_recording() {
        let mut batch = Batch::new(span.recording());
        batch.put(key, key_bit(key), value);
        batch.finish();
    }
}

/// Attributes that are set one after the other: what the span knows of itself is read and written once for all of them.
#[doc(hidden)]
#[derive(Debug)]
pub struct Batch<'a> {
    span: Recording<'a>,
    keys: u64,
    attributes: u32,
    /// Where the span's bytes end that count.
    counted: usize,
    /// Where the next field goes. The span's bytes count it only when all is written.
    at: usize,
    end: usize,
}

impl<'a> Batch<'a> {
    #[inline(always)]
    pub(crate) fn new(mut span: Recording<'a>) -> Self {
        let (_, at, end) = span.room();
        let notes = span.notes();
        Self {
            keys: notes.keys,
            attributes: notes.attributes,
            counted: at,
            at,
            end,
            span,
        }
    }

    /// `bit` is `key_bit(key)`. Inlined, so that a key and a kind of value known to the compiler fold into a few stores;
    /// for that, nothing here may be lent to a function that is not inlined, but for copies.
    #[inline(always)]
    pub fn put(&mut self, key: &str, bit: u64, value: &Value<'_>) {
        if self.keys & bit == 0 && takes_any(self.attributes) && !key.is_empty() {
            let attribute = KeyValue::new(key, value);
            let next = self.at + attribute.len();
            if next <= self.end {
                let (room, ..) = self.span.room();
                attribute.write(&mut room[self.at..next], tag::ATTRIBUTE);
                self.at = next;
                self.attributes += 1;
                self.keys |= bit;
                return;
            }
        }
        self.flush();
        let value = *value;
        set_slowly(&mut self.span.recording(), key, bit, &value);
        let notes = self.span.notes();
        (self.keys, self.attributes) = (notes.keys, notes.attributes);
        (_, self.at, self.end) = self.span.room();
        self.counted = self.at;
    }

    /// The same, where the kind of value is known only when the program runs.
    #[inline(never)]
    pub fn put_slowly(&mut self, key: &str, bit: u64, value: &Value<'_>) {
        self.put(key, bit, value);
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
        // In a span that has outgrown its slot there is no room, and nothing was written here.
        if self.at != self.counted {
            self.span.wrote_to(self.at);
        }
    }
}

/// Sets one attribute whose field is encoded already.
pub(crate) fn set_encoded(span: &mut Recording<'_>, key: &str, field: &[u8]) {
    let write = |out: &mut [u8]| out.copy_from_slice(field);
    let is_kept = match find_attribute(span.fields(), key) {
        Some(range) => splice(span, range, field.len(), write),
        None if span.notes().attributes >= limits().attributes || key.is_empty() => false,
        None => {
            let is_kept = append(span, field.len(), write);
            let notes = span.notes_mut();
            notes.keys |= key_bit(key);
            notes.attributes += u32::from(is_kept);
            is_kept
        }
    };
    if !is_kept {
        span.rare_mut().dropped_attributes += 1;
    }
}

fn append_slowly(span: &mut Recording<'_>, key: &str, value: &Value<'_>) {
    let attribute = KeyValue::new(key, value);
    if !append(span, attribute.len(), |out| attribute.write(out, tag::ATTRIBUTE)) {
        // The span would be too long for a record.
        span.notes_mut().attributes -= 1;
        span.rare_mut().dropped_attributes += 1;
    }
}

/// The key may have been set before, or there is something that forbids the short way.
#[cold]
#[inline(never)]
fn set_slowly(span: &mut Recording<'_>, key: &str, bit: u64, value: &Value<'_>) {
    if let Some(field) = limits().values.shortened(tag::ATTRIBUTE, key, value) {
        return set_encoded(span, key, &field);
    }
    if let Some(range) = find_attribute(span.fields(), key) {
        let len = encode::attribute_len(key, value);
        if !splice(span, range, len, |out| encode::write_attribute(out, key, value)) {
            span.rare_mut().dropped_attributes += 1;
        }
        return;
    }
    if span.notes().attributes >= limits().attributes || key.is_empty() {
        span.rare_mut().dropped_attributes += 1;
        return;
    }
    let notes = span.notes_mut();
    notes.keys |= bit;
    notes.attributes += 1;
    append_slowly(span, key, value);
}

/// Each field that this crate has written, tag included.
pub(crate) fn each_field(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    fields(bytes).map(|(_, range)| &bytes[range])
}

/// All fields at once. `false`: they would leave no room for what is written at the end, and nothing is changed.
pub(crate) fn replace_all(span: &mut Recording<'_>, new: &[u8]) -> bool {
    let all = 0..span.fields().len();
    splice(span, all, new.len(), |out| out.copy_from_slice(new))
}

/// Of fields that are too long for a record, what every span needs; the others are counted as dropped.
pub(crate) fn replace_all_by_name(span: &mut Recording<'_>, new: &[u8]) {
    let mut kept = Vec::new();
    let [mut attributes, mut events, mut links] = [0; 3];
    for (tag, range) in fields(new) {
        match tag {
            tag::NAME | tag::TRACE_STATE => kept.extend_from_slice(&new[range]),
            tag::ATTRIBUTE => attributes += 1,
            tag::EVENT => events += 1,
            tag::LINK => links += 1,
            _ => {}
        }
    }
    if !replace_all(span, &kept) {
        let all = 0..span.fields().len();
        span.splice(all, 0, |_| {});
    }
    let rare = span.rare_mut();
    rare.dropped_attributes += attributes;
    rare.dropped_events += events;
    rare.dropped_links += links;
}

/// The name: mostly it is the first of the fields.
#[inline]
pub(crate) fn name<'a>(span: &'a Recording<'_>) -> &'a str {
    let bytes = span.fields();
    let field = fields(bytes).find(|(tag, _)| *tag == tag::NAME);
    let text = field.and_then(|(_, range)| varint::read(&bytes[range.start + 1..range.end]));
    text.and_then(|(_, text)| std::str::from_utf8(text).ok())
        .unwrap_or_default()
}

/// Whether there was one.
pub(crate) fn remove(span: &mut Recording<'_>, key: &str) -> bool {
    let Some(range) = find_attribute(span.fields(), key) else {
        return false;
    };
    span.notes_mut().attributes -= 1;
    splice(span, range, 0, |_| {})
}

pub(crate) fn rename(span: &mut Recording<'_>, new: &str) {
    if !span.is_recording() {
        return;
    }
    let new = shortened(new);
    let old = fields(span.fields())
        .find(|(tag, _)| *tag == tag::NAME)
        .map_or(0..0, |(_, range)| range);
    splice(span, old, encode::text_len(new), |out| {
        encode::write_text(out, tag::NAME, new);
    });
}

/// As [`Recording::append`], but leaves room for what is written at the end.
fn append(span: &mut Recording<'_>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
    span.fields().len() + len <= MOST_FIELDS && span.append(len, write)
}

/// As [`Recording::splice`], but leaves room for what is written at the end.
fn splice(span: &mut Recording<'_>, range: std::ops::Range<usize>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
    span.fields().len() - range.len() + len <= MOST_FIELDS && span.splice(range, len, write)
}

/// Those of an event or a link: as values, or encoded.
#[derive(Clone, Copy, Default)]
pub(crate) struct Details<'a> {
    pub attributes: &'a [(&'a str, Value<'a>)],
    pub encoded: &'a [u8],
    /// How many of them found no place.
    pub dropped: u32,
}

impl Details<'_> {
    /// Whether each key is there once, none is empty, there are not too many, and no value has to be measured.
    fn are_plain(&self, of: Of) -> bool {
        let all = self.attributes;
        let is_first = |(at, (key, _)): (usize, &(&str, Value<'_>))| {
            !key.is_empty() && all[..at].iter().all(|(other, _)| other != key)
        };
        let values_are_plain = all.is_empty() || limits().values == ValueLimits::NONE;
        values_are_plain && all.len() <= of.limit() as usize && all.iter().enumerate().all(is_first)
    }

    /// The same where they are not plain: later values replace earlier ones, and what is too much is counted.
    #[cold]
    fn cleaned(&self, of: Of) -> Encoded {
        let mut encoded = Encoded::new(of);
        for (key, value) in self.attributes {
            encoded.put(key, 0, value);
        }
        encoded
    }
}

/// `time_unix_nano`: now, where it is not given, by the clock that the span's end will be read from: else a wall clock that was
/// set meanwhile would put the event before the span's start or behind its end.
pub(crate) fn event(span: &mut Recording<'_>, name: &str, time_unix_nano: Option<u64>, details: Details<'_>) {
    if !span.is_recording() {
        return;
    }
    if !details.are_plain(Of::Event) {
        return event(span, name, time_unix_nano, details.cleaned(Of::Event).details());
    }
    let event = encode::Event {
        name,
        time_unix_nano: time_unix_nano.unwrap_or_else(|| now(span)),
        attributes: details.attributes,
        encoded_attributes: details.encoded,
        dropped_attributes: details.dropped,
    };
    let rare = span.rare_mut();
    let is_kept = rare.events < limits().events && {
        rare.events += 1;
        append(span, encode::event_len(&event), |out| encode::write_event(out, &event))
    };
    if !is_kept {
        span.rare_mut().dropped_events += 1;
    }
}

/// Its end, where it has ended already: processors may still add something.
pub(crate) fn now(span: &Recording<'_>) -> u64 {
    match span.notes().rare() {
        Some(rare) if rare.ended_unix_nano != 0 => rare.ended_unix_nano,
        _ => clock::end(span.start_unix_nano(), span.notes().started, span.notes().clock),
    }
}

/// A link to nothing that says nothing is none ("implementations SHOULD record links containing SpanContext with empty TraceId or
/// SpanId as long as either the attribute set or TraceState is non-empty": trace API, "Link").
pub(crate) fn link(span: &mut Recording<'_>, to: &Context, details: Details<'_>) {
    if !details.are_plain(Of::Link) {
        return link(span, to, details.cleaned(Of::Link).details());
    }
    let link = encode::Link {
        context: to.span_context(),
        trace_state: to.trace_state(),
        attributes: details.attributes,
        encoded_attributes: details.encoded,
        dropped_attributes: details.dropped,
    };
    let says_nothing = link.context.is_none()
        && link.trace_state.is_empty()
        && link.attributes.is_empty()
        && link.encoded_attributes.is_empty();
    if says_nothing || !span.is_recording() {
        return;
    }
    let rare = span.rare_mut();
    let is_kept = rare.links < limits().links && {
        rare.links += 1;
        append(span, encode::link_len(&link), |out| encode::write_link(out, &link))
    };
    if !is_kept {
        span.rare_mut().dropped_links += 1;
    }
}

/// "Ok is final": the first `Ok` stays, and of several errors the last one (OpenTelemetry specification, "Set Status").
pub(crate) fn status(span: &mut Recording<'_>, code: StatusCode, message: &str) {
    if !span.is_recording() || span.notes().status == StatusCode::Ok.number() {
        return;
    }
    span.notes_mut().status = code.number();
    let is_said = !message.is_empty() || span.notes().rare().is_some();
    if is_said {
        let kept = &mut span.rare_mut().message;
        kept.clear();
        kept.push_str(shortened(message));
    }
}

/// What an error says, before any span is touched: its `Display` is somebody else's code.
#[derive(Debug)]
pub struct ErrorText {
    /// `None` where it cannot be known.
    pub kind: Option<Cow<'static, str>>,
    /// What the error says itself.
    pub message: String,
    /// The messages of the error and all its sources; empty when it has none.
    pub chain: String,
}

impl ErrorText {
    /// At most this many sources are followed: a chain may be a circle.
    const SOURCES: usize = 32;

    /// Asks an error.
    pub fn of<E: Error + ?Sized>(error: &E) -> Self {
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
            kind: kind(error),
            message,
            chain,
        }
    }
}

/// Half a message will do where the rest fails.
fn text<E: Error + ?Sized>(error: &E) -> String {
    let mut text = String::new();
    write_safely(&mut text, format_args!("{error}"));
    text
}

/// The type of an error. Of a `dyn Error` the name that a derived `Debug` begins with, if this one does.
fn kind<E: Error + ?Sized>(error: &E) -> Option<Cow<'static, str>> {
    let name = std::any::type_name::<E>();
    if !name.starts_with("dyn ") {
        return Some(name.into());
    }
    let mut debug = Beginning(String::new());
    write_safely(&mut debug, format_args!("{error:?}"));
    let debug = debug.0;
    let end = debug.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = debug.split_at(end.unwrap_or(debug.len()));
    let is_type = name.starts_with(|c: char| c.is_ascii_uppercase());
    let is_whole = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    (is_type && is_whole).then(|| name.to_owned().into())
}

/// The beginning of a text: some write a backtrace, which takes long to make, behind it.
struct Beginning(String);

impl fmt::Write for Beginning {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        const ENOUGH: usize = 128;
        self.0.extend(more.chars().take(ENOUGH));
        // A name that is followed by anything else ends here.
        let has_ended = self.0.contains(|c: char| !c.is_alphanumeric() && c != '_' && c != ' ');
        if has_ended || self.0.len() >= ENOUGH {
            Err(fmt::Error)
        } else {
            Ok(())
        }
    }
}

/// An `exception` event and the status (OpenTelemetry semantic conventions, "Exceptions").
pub(crate) fn error(span: &mut Recording<'_>, error: &ErrorText) {
    let attributes = [
        ("exception.type", Value::from(error.kind.as_deref().unwrap_or_default())),
        ("exception.message", Value::from(error.message.as_str())),
        ("exception.stacktrace", Value::from(error.chain.as_str())),
    ];
    let attributes = &attributes[usize::from(error.kind.is_none())..];
    let attributes = &attributes[..attributes.len() - usize::from(error.chain.is_empty())];
    let details = Details {
        attributes,
        ..Details::default()
    };
    event(span, "exception", None, details);
    status(span, StatusCode::Error, &error.message);
}

/// A panic that goes through the span, by what it says.
#[cold]
pub(crate) fn panicked(span: &mut Recording<'_>, panic: &(dyn Any + Send)) {
    if span.notes().status != StatusCode::Unset.number() {
        return;
    }
    let said = panic.downcast_ref::<&str>().copied();
    let said = said.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    match said {
        Some(said) => status(span, StatusCode::Error, &format!("panicked: {said}")),
        None => status(span, StatusCode::Error, "panicked"),
    }
}

/// Ends the span: what is written only once goes in, then the record is committed.
#[inline]
pub(crate) fn end(mut span: OpenSpan) {
    if !span.is_recording() {
        return drop(span);
    }
    if std::thread::panicking() && span.notes().status == StatusCode::Unset.number() {
        note_panic(span.recording());
    }
    if span.notes().status != StatusCode::Unset.number() || !span.notes().is_plain() {
        if span.notes().is_processed() && span.is_ours() {
            return end_processed(span, None);
        }
        if span.notes().rare().is_some_and(|rare| rare.is_record_only) {
            // Given up, it is counted as filtered.
            return drop(span);
        }
        append_rare(span.recording());
    }
    let notes = span.notes();
    let end = clock::end(span.start_unix_nano(), notes.started, notes.clock);
    span.end(end);
}

/// Ends a span that processors see before it is committed. It has ended when they are asked: their time is not its.
#[cold]
#[inline(never)]
fn end_processed(mut span: OpenSpan, end: Option<u64>) {
    let notes = span.notes();
    let end = end.unwrap_or_else(|| clock::end(span.start_unix_nano(), notes.started, notes.clock));
    let is_record_only = notes.rare().is_some_and(|rare| rare.is_record_only);
    let verdict = match chain() {
        None => Verdict::Keep,
        Some(chain) => {
            if chain.is_private() {
                // What is added now has happened by then.
                span.rare_mut().ended_unix_nano = end;
                chain.ending(&mut span.recording());
            }
            let notes = span.notes();
            if notes.status != StatusCode::Unset.number() || notes.rare().is_some() {
                append_rare(span.recording());
            }
            span.set_end(end);
            chain.ended(&SpanView::new(span.body()))
        }
    };
    match verdict {
        Verdict::Keep if !is_record_only => span.end(end),
        // Given up, it is counted as filtered.
        _ => drop(span),
    }
}

/// Ends the span at a time that is given, but not before it has started.
pub(crate) fn end_at(mut span: OpenSpan, unix_nano: u64) {
    let end = unix_nano.max(span.start_unix_nano());
    if span.is_recording() && span.notes().is_processed() && span.is_ours() {
        return end_processed(span, Some(end));
    }
    let is_record_only = span.notes().rare().is_some_and(|rare| rare.is_record_only);
    if span.is_recording() && !is_record_only {
        append_rare(span.recording());
        span.end(end);
    }
}

#[cold]
#[inline(never)]
fn note_panic(mut span: Recording<'_>) {
    status(&mut span, StatusCode::Error, "panicked");
}

#[cold]
#[inline(never)]
fn append_rare(mut span: Recording<'_>) {
    let code = StatusCode::from_number(span.notes().status.into());
    let message = std::mem::take(&mut span.rare_mut().message);
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
    let said = if code == StatusCode::Error {
        message.as_str()
    } else {
        ""
    };
    if !span.append(encode::status_len(code, said), |out| {
        encode::write_status(out, code, said);
    }) {
        span.append(encode::status_len(code, ""), |out| encode::write_status(out, code, ""));
    }
    // Its memory serves the next span in this slot.
    span.rare_mut().message = message;
}

/// The fields that this crate has written: tag and the field's range, tag included.
fn fields(bytes: &[u8]) -> impl Iterator<Item = (u8, std::ops::Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at = match *bytes.get(at..)? {
            // All tags behind the prefix take one byte; most lengths and all small counts do, too.
            [tag, len @ ..0x80, ..] => start + 2 + if is_delimited(tag) { usize::from(len) } else { 0 },
            [tag, ref rest @ ..] => {
                let (value, after) = varint::read(rest)?;
                bytes.len() - after.len() + if is_delimited(tag) { value as usize } else { 0 }
            }
            [] => return None,
        };
        Some((bytes[start], start..at))
    })
}

fn is_delimited(tag: u8) -> bool {
    tag & 7 == 2
}

/// Each attribute of a span's fields: its key, and its field, tag included.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
    let keys = SpanView::new(bytes).attributes().map(|(key, _)| key);
    let encoded = fields(bytes).filter(|(tag, _)| *tag == tag::ATTRIBUTE);
    keys.zip(encoded.map(|(_, range)| &bytes[range]))
}

/// Gives a span what another one holds besides its attributes: its clock, its events and links, its status.
pub(crate) fn copy_progress(from: &OpenSpan, to: &mut Recording<'_>) {
    let notes = to.notes_mut();
    notes.started = from.notes().started;
    notes.clock = from.notes().clock;
    notes.status = from.notes().status;
    let Some(old) = from.notes().rare() else { return };
    let bytes = from.fields();
    for (tag, range) in fields(bytes) {
        if tag == tag::EVENT || tag == tag::LINK {
            append(to, range.len(), |out| out.copy_from_slice(&bytes[range]));
        }
    }
    let new = to.rare_mut();
    new.message.clone_from(&old.message);
    new.events += old.events;
    new.links += old.links;
    new.dropped_attributes += old.dropped_attributes;
    new.dropped_events += old.dropped_events;
    new.dropped_links += old.dropped_links;
}

fn find_attribute(bytes: &[u8], key: &str) -> Option<std::ops::Range<usize>> {
    find_field(bytes, tag::ATTRIBUTE, key)
}

/// The attribute of this key, tag included, among fields with this tag.
pub(crate) fn find_field(bytes: &[u8], wanted: u8, key: &str) -> Option<std::ops::Range<usize>> {
    let has_key = |range: &std::ops::Range<usize>| match bytes[range.clone()] {
        [_, ..0x80, 0x0a, len @ ..0x80, ref rest @ ..] => {
            usize::from(len) == key.len() && rest.starts_with(key.as_bytes())
        }
        [_, ref rest @ ..] => {
            let key_value = varint::read(rest).and_then(|(_, key_value)| key_value.strip_prefix(&[0x0a]));
            let key_and_rest = key_value.and_then(varint::read);
            key_and_rest.is_some_and(|(len, rest)| len as usize == key.len() && rest.starts_with(key.as_bytes()))
        }
        [] => false,
    };
    fields(bytes)
        .find(|(tag, range)| *tag == wanted && has_key(range))
        .map(|(_, range)| range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_count_up_have_bits_of_their_own() {
        for names in [
            |n| format!("key.{n:02}"),
            |n| format!("attribute{n}"),
            |n| format!("{n}"),
        ] {
            let bits: std::collections::HashSet<u64> = (0..24).map(|n| key_bit(&names(n))).collect();
            // 24 of 64 bits at random would collide about 4 times.
            assert!(bits.len() >= 17, "{} has {} bits", names(0), bits.len());
        }
    }

    #[test]
    fn attribute_is_found_by_its_whole_key_whatever_its_length() {
        let long = "k".repeat(300);
        let mut bytes = Vec::new();
        for key in ["a", "ab", long.as_str(), "b"] {
            for value in [Value::from(1), Value::from(long.as_str())] {
                let attribute = KeyValue::new(key, &value);
                let start = bytes.len();
                bytes.resize(start + attribute.len(), 0);
                attribute.write(&mut bytes[start..], tag::ATTRIBUTE);
                let expected = find_attribute(&bytes, key).expect("it is there");
                let last = find_attribute(&bytes[start..], key).expect("it is there");
                assert_eq!((last, expected.start <= start), (0..attribute.len(), true), "{key}");
            }
        }
        assert_eq!(find_attribute(&bytes, "abc"), None);
        assert_eq!(find_attribute(&bytes, ""), None);
    }
}
