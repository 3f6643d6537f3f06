//! `KeyValue` and `AnyValue`: short ones fast, nested ones bounded.

use super::{Writer, delimited_len};
use crate::{Value, varint};

/// How deep arrays and maps may lie in each other; one that lies deeper is written as an empty
/// value.
///
/// Many decoders refuse a whole request for one value: of protobuf (prost, Java, C++) beyond 100
/// messages in each other, of which a map takes three and the way to an event's attribute six; of
/// JSON (`serde_json`) beyond 128 brackets, of which a map takes four and the way there 12.
pub const MAX_DEPTH: usize = 28;

/// The length of an attribute of a span: [`key_value_len`].
#[inline(always)]
#[must_use]
pub fn attribute_len(key: &str, value: &Value<'_>) -> usize {
    key_value_len(key, value)
}

/// Writes an attribute of a span (`Span.attributes`, tag `0x4a`).
#[inline(always)]
pub fn write_attribute(out: &mut [u8], key: &str, value: &Value<'_>) {
    write_key_value(out, super::tag::ATTRIBUTE, key, value);
}

/// The length of a `KeyValue` field, with whichever one-byte tag.
#[inline(always)]
#[must_use]
pub fn key_value_len(key: &str, value: &Value<'_>) -> usize {
    KeyValue::new(key, value).len()
}

/// Writes a `KeyValue` field with this one-byte tag.
#[inline(always)]
pub fn write_key_value(out: &mut [u8], tag: u8, key: &str, value: &Value<'_>) {
    KeyValue::new(key, value).write(out, tag);
}

/// A key and a value whose lengths were computed, so that asking for the length and writing does
/// not do that twice.
///
/// With a key and a kind of value known at compile time all of it folds into a few stores.
///
/// ```
/// use throughline_wire::{encode, Value};
///
/// let attribute = encode::KeyValue::new("http.response.status_code", &Value::I64(200));
/// let mut room = [0; 64];
/// attribute.write(&mut room[..attribute.len()], encode::tag::ATTRIBUTE);
/// assert_eq!(room[..4], [0x4a, 32, 0x0a, 25]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct KeyValue<'a> {
    key: &'a str,
    /// By value: a reference would keep the compiler from seeing which kind it is.
    value: Value<'a>,
    /// The length of the `AnyValue`.
    any: usize,
    /// The length of the `KeyValue`, without tag and length in front of it.
    body: usize,
}

impl<'a> KeyValue<'a> {
    /// Computes the lengths.
    #[inline(always)]
    #[must_use]
    pub fn new(key: &'a str, value: &Value<'a>) -> Self {
        let any = any_value_len(value, 1);
        let body = body_len(key, any);
        Self {
            key,
            value: *value,
            any,
            body,
        }
    }

    /// How long the field is, tag and length included.
    #[inline(always)]
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a field is never empty")]
    pub fn len(&self) -> usize {
        delimited_len(self.body)
    }

    /// Writes the field with this one-byte tag into the first [`len`](Self::len) bytes of `out`.
    ///
    /// # Panics
    /// If `out` is shorter than that.
    #[inline(always)]
    pub fn write(&self, out: &mut [u8], tag: u8) {
        // Then every length inside takes one byte as well.
        if self.body >= 0x80 {
            // A copy, so that only here the parts have to lie in memory.
            let copy = *self;
            return copy.write_long(out, tag);
        }
        let Self { key, value, any, body } = *self;
        let mut out = Writer(&mut out[..2 + body]);
        out.bytes(&[tag, body as u8, 0x0a, key.len() as u8]);
        out.short(key.as_bytes());
        match value {
            Value::Str(text) => {
                out.bytes(&[0x12, any as u8, STR, text.len() as u8]);
                out.short(text.as_bytes());
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
                let copy = value;
                Writer(out.0).any_value(&copy, 1);
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn write_long(&self, out: &mut [u8], tag: u8) {
        let mut out = Writer(out);
        out.delimited(tag, self.body);
        out.delimited(0x0a, self.key.len());
        out.bytes(self.key.as_bytes());
        out.delimited(0x12, self.any);
        out.any_value(&self.value, 1);
    }
}

/// Appends a `KeyValue` field with this one-byte tag.
pub fn push_key_value(out: &mut Vec<u8>, tag: u8, key: &str, value: &Value<'_>) {
    let attribute = KeyValue::new(key, value);
    let start = out.len();
    out.resize(start + attribute.len(), 0);
    attribute.write(&mut out[start..], tag);
}

#[inline(always)]
fn body_len(key: &str, any: usize) -> usize {
    delimited_len(key.len()) + delimited_len(any)
}

/// Tags of `AnyValue`, and of what an array and a map consist of.
pub(super) mod tag {
    pub const STR: u8 = 0x0a;
    pub const BOOL: u8 = 0x10;
    pub const I64: u8 = 0x18;
    pub const F64: u8 = 0x21;
    pub const ARRAY: u8 = 0x2a;
    pub const MAP: u8 = 0x32;
    pub const BYTES: u8 = 0x3a;
    pub const ITEM: u8 = 0x0a;
}
use tag::{ARRAY, BOOL, BYTES, F64, I64, ITEM, MAP, STR};

/// The length of an `AnyValue` message. `depth` is that of the value itself if it is an array or
/// a map, from 1.
#[inline(always)]
pub(super) fn any_value_len(value: &Value<'_>, depth: usize) -> usize {
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
    pub(super) fn any_value(&mut self, value: &Value<'_>, depth: usize) {
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
