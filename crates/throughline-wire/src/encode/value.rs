//! `KeyValue` and `AnyValue`: short ones fast, nested ones bounded.

use super::{Writer, delimited_len, tag};
use crate::{Value, varint};

/// How deep arrays and maps may lie in each other; one that lies deeper is written as an empty
/// value.
///
/// Many decoders refuse a whole request for one value: of protobuf (prost, Java, C++) beyond 100
/// messages in each other, of which a map takes three and the way to an event's attribute six; of
/// JSON (`serde_json`) beyond 128 brackets, of which a map takes four and the way there 12.
pub const MAX_DEPTH: usize = 28;

/// The length of an attribute of a span: [`key_value_len`].
#[inline]
#[must_use]
pub fn attribute_len(key: &str, value: &Value<'_>) -> usize {
    key_value_len(key, value)
}

/// Writes an attribute of a span (`Span.attributes`, tag `0x4a`).
#[inline]
pub fn write_attribute(out: &mut [u8], key: &str, value: &Value<'_>) {
    write_key_value(out, tag::ATTRIBUTE, key, value);
}

/// The length of a `KeyValue` field, with whichever one-byte tag.
#[inline]
#[must_use]
pub fn key_value_len(key: &str, value: &Value<'_>) -> usize {
    delimited_len(body_len(key, any_value_len(value, 1)))
}

/// Writes a `KeyValue` field with this one-byte tag.
#[inline]
pub fn write_key_value(out: &mut [u8], tag: u8, key: &str, value: &Value<'_>) {
    let any = any_value_len(value, 1);
    let body = body_len(key, any);
    // Then every length inside takes one byte as well.
    if body < 0x80 {
        let mut out = Writer(&mut out[..2 + body]);
        out.bytes(&[tag, body as u8, 0x0a, key.len() as u8]);
        out.bytes(key.as_bytes());
        match *value {
            Value::Str(text) => {
                out.bytes(&[0x12, any as u8, STR, text.len() as u8]);
                out.bytes(text.as_bytes());
            }
            Value::Bool(value) => out.bytes(&[0x12, any as u8, BOOL, value.into()]),
            Value::I64(value) => {
                out.bytes(&[0x12, any as u8, I64]);
                out.varint(value as u64);
            }
            Value::F64(value) => {
                out.bytes(&[0x12, any as u8, F64]);
                out.bytes(&value.to_le_bytes());
            }
            _ => {
                out.bytes(&[0x12, any as u8]);
                out.any_value(value, 1);
            }
        }
    } else {
        write_long(out, tag, key, value, any);
    }
}

/// Appends a `KeyValue` field with this one-byte tag.
pub fn push_key_value(out: &mut Vec<u8>, tag: u8, key: &str, value: &Value<'_>) {
    let start = out.len();
    out.resize(start + key_value_len(key, value), 0);
    write_key_value(&mut out[start..], tag, key, value);
}

fn write_long(out: &mut [u8], tag: u8, key: &str, value: &Value<'_>, any: usize) {
    let mut out = Writer(out);
    out.delimited(tag, body_len(key, any));
    out.delimited(0x0a, key.len());
    out.bytes(key.as_bytes());
    out.delimited(0x12, any);
    out.any_value(value, 1);
}

#[inline]
fn body_len(key: &str, any: usize) -> usize {
    delimited_len(key.len()) + delimited_len(any)
}

// Tags of `AnyValue`, and of what an array and a map consist of.
const STR: u8 = 0x0a;
const BOOL: u8 = 0x10;
const I64: u8 = 0x18;
const F64: u8 = 0x21;
const ARRAY: u8 = 0x2a;
const MAP: u8 = 0x32;
const BYTES: u8 = 0x3a;
const ITEM: u8 = 0x0a;

/// The length of an `AnyValue` message. `depth` is that of the value itself if it is an array or
/// a map, from 1.
#[inline]
fn any_value_len(value: &Value<'_>, depth: usize) -> usize {
    match *value {
        Value::Empty => 0,
        Value::Str(text) => delimited_len(text.len()),
        Value::Bytes(bytes) => delimited_len(bytes.len()),
        Value::Bool(_) => 2,
        Value::I64(value) => 1 + varint::len(value as u64),
        Value::F64(_) => 9,
        _ if depth > MAX_DEPTH => 0,
        _ => delimited_len(items_len(value, depth)),
    }
}

/// The length of the `ArrayValue` or `KeyValueList` in an array or a map.
#[inline(never)]
fn items_len(value: &Value<'_>, depth: usize) -> usize {
    let item = |value| delimited_len(any_value_len(&value, depth + 1));
    match *value {
        Value::Array(items) => items.iter().copied().map(item).sum(),
        Value::StrArray(items) => items.iter().copied().map(Value::Str).map(item).sum(),
        Value::I64Array(items) => items.iter().copied().map(Value::I64).map(item).sum(),
        Value::F64Array(items) => items.len() * delimited_len(9),
        Value::BoolArray(items) => items.len() * delimited_len(2),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| delimited_len(body_len(key, any_value_len(value, depth + 1))))
            .sum(),
        _ => 0,
    }
}

impl Writer<'_> {
    /// The inside of an `AnyValue`, as long as [`any_value_len`] says.
    fn any_value(&mut self, value: &Value<'_>, depth: usize) {
        match *value {
            Value::Empty => {}
            Value::Str(text) => {
                self.delimited(STR, text.len());
                self.bytes(text.as_bytes());
            }
            Value::Bytes(bytes) => {
                self.delimited(BYTES, bytes.len());
                self.bytes(bytes);
            }
            Value::Bool(value) => self.bytes(&[BOOL, value.into()]),
            Value::I64(value) => {
                self.bytes(&[I64]);
                self.varint(value as u64);
            }
            Value::F64(value) => {
                self.bytes(&[F64]);
                self.bytes(&value.to_le_bytes());
            }
            _ if depth > MAX_DEPTH => {}
            Value::Map(entries) => {
                self.delimited(MAP, items_len(value, depth));
                for (key, value) in entries {
                    let any = any_value_len(value, depth + 1);
                    self.delimited(ITEM, body_len(key, any));
                    self.delimited(0x0a, key.len());
                    self.bytes(key.as_bytes());
                    self.delimited(0x12, any);
                    self.any_value(value, depth + 1);
                }
            }
            _ => {
                self.delimited(ARRAY, items_len(value, depth));
                self.items(value, depth + 1);
            }
        }
    }

    fn items(&mut self, array: &Value<'_>, depth: usize) {
        let mut item = |value| {
            self.delimited(ITEM, any_value_len(&value, depth));
            self.any_value(&value, depth);
        };
        match *array {
            Value::Array(items) => items.iter().copied().for_each(item),
            Value::StrArray(items) => items.iter().for_each(|&text| item(Value::Str(text))),
            Value::I64Array(items) => items.iter().for_each(|&value| item(Value::I64(value))),
            Value::F64Array(items) => items.iter().for_each(|&value| item(Value::F64(value))),
            Value::BoolArray(items) => items.iter().for_each(|&value| item(Value::Bool(value))),
            _ => {}
        }
    }
}
