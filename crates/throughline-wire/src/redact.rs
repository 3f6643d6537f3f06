//! What a span says, piece by piece, kept, replaced or removed.

use crate::any_value::{AnyValueView, MAX_DEPTH};
use crate::encode::{Event, Link, push_key_value, tag};
use crate::protobuf::{self, Field, Fields};
use crate::{Value, varint};

/// One piece of what a span says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content<'a> {
    /// The span's name.
    SpanName(&'a str),
    /// The message of the span's status.
    StatusMessage(&'a str),
    /// The name of one of its events.
    EventName(&'a str),
    /// An attribute of the span, or of one of its events or links.
    ///
    /// An array or a map comes whole at first; when it is kept, each item comes under the array's key, and each entry under its own.
    Attribute(&'a str, AnyValueView<'a>),
}

/// What becomes of a piece of content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redaction {
    /// It stays.
    Keep,
    /// It goes. A name becomes `[redacted]`, since there has to be one.
    Remove,
    /// This stands in its place.
    Replace(String),
}

/// What stands for a name that was removed.
pub const REMOVED: &str = "[redacted]";

/// The fields of an encoded `Span`, with each piece of content as `decide` says.
///
/// What cannot be read (a field cut off, a key that is not UTF-8, arrays and maps more than 64 deep) is removed as well: nobody could
/// decide on it. Ids, times, counts and tracestate stay.
///
/// ```
/// use throughline_wire::redact::{Content, Redaction, redact};
/// use throughline_wire::{SpanView, Value, encode};
///
/// let mut span = Vec::new();
/// encode::push_key_value(&mut span, encode::tag::ATTRIBUTE, "password", &Value::from("1234"));
/// let clean = redact(&span, &mut |content| match content {
///     Content::Attribute("password", _) => Redaction::Remove,
///     _ => Redaction::Keep,
/// });
/// assert!(SpanView::new(&clean).attribute("password").is_none());
/// ```
#[must_use]
pub fn redact(span: &[u8], decide: &mut dyn FnMut(&Content<'_>) -> Redaction) -> Vec<u8> {
    const EVENT_NAME: u8 = 0x12;
    const STATUS_MESSAGE: u8 = 0x12;
    message(span, |out, number, field, raw| match (number, field) {
        (5, field) => text(out, tag::NAME, REMOVED, field, Content::SpanName, decide),
        (9, field) => attribute(out, tag::ATTRIBUTE, field, 1, decide),
        (11, Field::Bytes(event)) => {
            let event = message(event, |out, number, field, raw| match number {
                2 => text(out, EVENT_NAME, REMOVED, field, Content::EventName, decide),
                3 => attribute(out, Event::ATTRIBUTE, field, 1, decide),
                _ => out.extend_from_slice(raw),
            });
            push(out, tag::EVENT, &event);
        }
        (13, Field::Bytes(link)) => {
            let link = message(link, |out, number, field, raw| match number {
                4 => attribute(out, Link::ATTRIBUTE, field, 1, decide),
                _ => out.extend_from_slice(raw),
            });
            push(out, tag::LINK, &link);
        }
        (15, Field::Bytes(status)) => {
            let status = message(status, |out, number, field, raw| match number {
                2 => text(out, STATUS_MESSAGE, "", field, Content::StatusMessage, decide),
                _ => out.extend_from_slice(raw),
            });
            push(out, tag::STATUS, &status);
        }
        (11 | 13 | 15, _) => {}
        _ => out.extend_from_slice(raw),
    })
}

/// A message whose fields `rewrite` writes: each with its number, and with all its bytes.
fn message<'a>(message: &'a [u8], mut rewrite: impl FnMut(&mut Vec<u8>, u32, Field<'a>, &'a [u8])) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for (number, field, raw) in raw_fields(message) {
        rewrite(&mut out, number, field, raw);
    }
    out
}

fn text<'a>(
    out: &mut Vec<u8>,
    tag: u8,
    removed: &str,
    field: Field<'a>,
    content: fn(&'a str) -> Content<'a>,
    decide: &mut dyn FnMut(&Content<'_>) -> Redaction,
) {
    let Some(text) = field.text() else { return };
    match decide(&content(text)) {
        Redaction::Keep => push(out, tag, text.as_bytes()),
        Redaction::Remove => push(out, tag, removed.as_bytes()),
        Redaction::Replace(other) => push(out, tag, other.as_bytes()),
    }
}

/// A `KeyValue`. `depth` is that of its value if it is an array or a map, from 1.
fn attribute(
    out: &mut Vec<u8>,
    tag: u8,
    field: Field<'_>,
    depth: usize,
    decide: &mut dyn FnMut(&Content<'_>) -> Redaction,
) {
    let Some(key_value) = field.bytes() else { return };
    let key = protobuf::last(key_value, 1, Field::bytes).unwrap_or_default();
    let Ok(key) = std::str::from_utf8(key) else { return };
    let value = protobuf::last(key_value, 2, Field::bytes).unwrap_or_default();
    match decide(&Content::Attribute(key, AnyValueView::of(value))) {
        Redaction::Remove => {}
        Redaction::Replace(other) => push_key_value(out, tag, key, &Value::Str(&other)),
        Redaction::Keep => {
            let mut kept = Vec::with_capacity(key_value.len());
            push(&mut kept, 0x0a, key.as_bytes());
            push(&mut kept, 0x12, &inside(value, key, depth, decide));
            push(out, tag, &kept);
        }
    }
}

/// An `AnyValue` that is kept: what lies in it is decided on as well.
fn inside(value: &[u8], key: &str, depth: usize, decide: &mut dyn FnMut(&Content<'_>) -> Redaction) -> Vec<u8> {
    const ARRAY: u8 = 0x2a;
    const MAP: u8 = 0x32;
    const ITEM: u8 = 0x0a;
    message(value, |out, number, field, raw| match (number, field) {
        (5 | 6, _) if depth > MAX_DEPTH => {}
        (5, Field::Bytes(array)) => {
            let items = message(array, |out, number, field, _| {
                if let (1, Field::Bytes(value)) = (number, field) {
                    item(out, ITEM, key, value, depth + 1, decide);
                }
            });
            push(out, ARRAY, &items);
        }
        (6, Field::Bytes(map)) => {
            let entries = message(map, |out, number, field, _| {
                if number == 1 {
                    attribute(out, ITEM, field, depth + 1, decide);
                }
            });
            push(out, MAP, &entries);
        }
        _ => out.extend_from_slice(raw),
    })
}

/// An item of an array.
fn item(
    out: &mut Vec<u8>,
    tag: u8,
    key: &str,
    value: &[u8],
    depth: usize,
    decide: &mut dyn FnMut(&Content<'_>) -> Redaction,
) {
    const STR: u8 = 0x0a;
    match decide(&Content::Attribute(key, AnyValueView::of(value))) {
        Redaction::Keep => push(out, tag, &inside(value, key, depth, decide)),
        Redaction::Remove => {}
        Redaction::Replace(other) => {
            let mut text = Vec::new();
            push(&mut text, STR, other.as_bytes());
            push(out, tag, &text);
        }
    }
}

fn push(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    varint::push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Each field with all its bytes, as far as the message can be read.
fn raw_fields(message: &[u8]) -> impl Iterator<Item = (u32, Field<'_>, &[u8])> {
    let mut fields = Fields::new(message);
    std::iter::from_fn(move || {
        let before = fields.rest();
        let (number, field) = fields.next()?.ok()?;
        Some((number, field, &before[..before.len() - fields.rest().len()]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;
    use crate::{SpanContext, SpanId, SpanView, StatusCode, TraceFlags, TraceId};

    fn span() -> Vec<u8> {
        let inner = [("token", Value::Str("secret 1")), ("n", Value::I64(1))];
        let array = [Value::Map(&inner), Value::Str("secret 2"), Value::Str("plain")];
        let attributes = [("token", Value::Str("secret 3")), ("n", Value::F64(2.5))];
        let event = Event {
            name: "secret 4",
            time_unix_nano: 7,
            attributes: &attributes,
            encoded_attributes: &[],
            dropped_attributes: 3,
        };
        let id = SpanContext::new(
            TraceId::from_bytes([1; 16]).unwrap(),
            SpanId::from_bytes([2; 8]).unwrap(),
            TraceFlags::NONE,
            true,
        );
        let link = Link {
            context: Some(id),
            trace_state: "a=b",
            attributes: &attributes,
            encoded_attributes: &[],
            dropped_attributes: 0,
        };
        let mut span = Vec::new();
        let mut add = |len: usize, write: &dyn Fn(&mut [u8])| {
            let at = span.len();
            span.resize(at + len, 0);
            write(&mut span[at..]);
        };
        add(encode::text_len("secret 0"), &|out| {
            encode::write_text(out, tag::NAME, "secret 0");
        });
        for (key, value) in [("list", Value::Array(&array)), ("token", Value::Bytes(b"secret 5"))] {
            add(encode::attribute_len(key, &value), &|out| {
                encode::write_attribute(out, key, &value);
            });
        }
        add(encode::event_len(&event), &|out| encode::write_event(out, &event));
        add(encode::link_len(&link), &|out| encode::write_link(out, &link));
        add(encode::status_len(StatusCode::Error, "secret 6"), &|out| {
            encode::write_status(out, StatusCode::Error, "secret 6");
        });
        span
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|part| part == text.as_bytes())
    }

    #[test]
    fn kept_content_is_the_same_bytes() {
        assert_eq!(redact(&span(), &mut |_| Redaction::Keep), span());
    }

    #[test]
    fn each_piece_is_shown_and_can_be_removed_wherever_it_lies() {
        let mut seen = Vec::new();
        let clean = redact(&span(), &mut |content| {
            let text = match content {
                Content::SpanName(text) | Content::StatusMessage(text) | Content::EventName(text) => (*text).to_owned(),
                Content::Attribute(key, value) => match value {
                    AnyValueView::Str(text) => (*text).to_owned(),
                    AnyValueView::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                    _ => (*key).to_owned(),
                },
            };
            let redaction = match text.starts_with("secret") {
                true => Redaction::Remove,
                false => Redaction::Keep,
            };
            seen.push(text);
            redaction
        });
        seen.sort();
        let secrets: Vec<_> = (0..=6).map(|n| format!("secret {n}")).collect();
        assert_eq!(
            seen.iter()
                .filter(|text| text.starts_with("secret"))
                .collect::<std::collections::BTreeSet<_>>()
                .len(),
            7
        );
        for secret in secrets {
            assert!(contains(&span(), &secret) && !contains(&clean, &secret), "{secret}");
        }
        let view = SpanView::new(&clean);
        assert_eq!((view.name(), view.status()), (REMOVED, (StatusCode::Error, "")));
        let event = view.events().next().unwrap();
        assert_eq!(
            (event.name(), event.time_unix_nano(), event.attributes().count()),
            (REMOVED, 7, 1)
        );
        let link = view.links().next().unwrap();
        assert_eq!((link.trace_state(), link.attributes().count()), ("a=b", 1));
        assert!(contains(&clean, "plain"));
    }

    #[test]
    fn replacement_stands_in_place_of_content() {
        let clean = redact(&span(), &mut |content| match content {
            Content::Attribute("token", _) => Redaction::Replace("***".to_owned()),
            Content::SpanName(name) => Redaction::Replace(name.to_uppercase()),
            _ => Redaction::Keep,
        });
        let view = SpanView::new(&clean);
        assert_eq!(view.name(), "SECRET 0");
        assert_eq!(view.attribute("token").unwrap().as_str(), Some("***"));
        assert!(!contains(&clean, "secret 1") && contains(&clean, "secret 2") && !contains(&clean, "secret 3"));
    }

    #[test]
    fn what_cannot_be_read_is_removed() {
        // A key that is not UTF-8, a name that is no text, and a field cut off.
        for bytes in [
            &b"\x4a\x08\x0a\x01\xff\x12\x03\x0a\x01x"[..],
            b"\x28\x05",
            b"\x4a\x7f\x0a",
        ] {
            assert_eq!(redact(bytes, &mut |_| Redaction::Keep), b"", "{bytes:?}");
        }
    }
}
