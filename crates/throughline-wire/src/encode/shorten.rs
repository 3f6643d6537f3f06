//! Values that are cut to the limits of a span while they are encoded.

use super::value::{MAX_DEPTH, any_value_len, push_key_value, tag};
use super::{Writer, delimited_len};
use crate::{Value, varint};

/// How long and how deep a value may be (OpenTelemetry specification, "Attribute Limits").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValueLimits {
    /// The most characters of a text, and the most bytes of a byte array, also inside of arrays and maps. Keys and numbers are not
    /// cut.
    pub length: usize,
    /// How deep arrays and maps may lie in each other; one that lies deeper becomes an empty value.
    pub depth: usize,
}

impl ValueLimits {
    /// Values as they are: of any length, and as deep as they can be encoded.
    pub const NONE: Self = Self {
        length: usize::MAX,
        depth: MAX_DEPTH,
    };

    /// The `KeyValue` field with this one-byte tag, cut to the limits; `None` where there is nothing to cut.
    #[must_use]
    pub fn shortened(&self, tag: u8, key: &str, value: &Value<'_>) -> Option<Vec<u8>> {
        if self.allows(value, 1) {
            return None;
        }
        let mut field = Vec::new();
        match *value {
            Value::Str(text) => push_key_value(&mut field, tag, key, &Value::Str(self.text(text))),
            Value::Bytes(bytes) => push_key_value(&mut field, tag, key, &Value::Bytes(self.bytes(bytes))),
            _ => push_key_and_value(&mut field, tag, key, &self.any_value(value, 1)),
        }
        Some(field)
    }

    fn allows(&self, value: &Value<'_>, depth: usize) -> bool {
        let fits = |text: &str| text.len() <= self.length || self.text(text).len() == text.len();
        match *value {
            Value::Empty | Value::Bool(_) | Value::I64(_) | Value::F64(_) => true,
            Value::Str(text) => fits(text),
            Value::Bytes(bytes) => bytes.len() <= self.length,
            _ if depth > self.depth => false,
            Value::Array(items) => items.iter().all(|item| self.allows(item, depth + 1)),
            Value::Map(entries) => entries.iter().all(|(_, value)| self.allows(value, depth + 1)),
            Value::StrArray(items) => items.iter().all(|text| fits(text)),
            _ => true,
        }
    }

    /// The first characters of a text.
    fn text<'a>(&self, text: &'a str) -> &'a str {
        let end = text.char_indices().nth(self.length).map_or(text.len(), |(end, _)| end);
        &text[..end]
    }

    fn bytes<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..bytes.len().min(self.length)]
    }

    /// The inside of an `AnyValue`. `depth` is that of the value itself if it is an array or a map, from 1.
    fn any_value(&self, value: &Value<'_>, depth: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut items = Vec::new();
        let mut item = |value: &Value<'_>| push(&mut items, tag::ITEM, &self.any_value(value, depth + 1));
        match *value {
            Value::Str(text) => push(&mut out, tag::STR, self.text(text).as_bytes()),
            Value::Bytes(bytes) => push(&mut out, tag::BYTES, self.bytes(bytes)),
            Value::Empty | Value::Bool(_) | Value::I64(_) | Value::F64(_) => {
                out.resize(any_value_len(value, 1), 0);
                Writer(&mut out).any_value(value, 1);
            }
            _ if depth > self.depth.min(MAX_DEPTH) => {}
            Value::Map(entries) => {
                for (key, value) in entries {
                    push_key_and_value(&mut items, tag::ITEM, key, &self.any_value(value, depth + 1));
                }
                push(&mut out, tag::MAP, &items);
            }
            _ => {
                each_item(value, &mut item);
                push(&mut out, tag::ARRAY, &items);
            }
        }
        out
    }
}

/// The items of an array of any kind.
fn each_item(array: &Value<'_>, item: &mut dyn FnMut(&Value<'_>)) {
    match *array {
        Value::Array(items) => items.iter().for_each(item),
        Value::StrArray(items) => items.iter().for_each(|text| item(&Value::Str(text))),
        Value::I64Array(items) => items.iter().for_each(|value| item(&Value::I64(*value))),
        Value::F64Array(items) => items.iter().for_each(|value| item(&Value::F64(*value))),
        Value::BoolArray(items) => items.iter().for_each(|value| item(&Value::Bool(*value))),
        _ => {}
    }
}

/// A `KeyValue` whose `AnyValue` is encoded already.
fn push_key_and_value(out: &mut Vec<u8>, tag: u8, key: &str, any: &[u8]) {
    push_head(out, tag, delimited_len(key.len()) + delimited_len(any.len()));
    push(out, 0x0a, key.as_bytes());
    push(out, 0x12, any);
}

fn push(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    push_head(out, tag, bytes.len());
    out.extend_from_slice(bytes);
}

fn push_head(out: &mut Vec<u8>, tag: u8, len: usize) {
    out.push(tag);
    varint::push(out, len as u64);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpanView;
    use crate::any_value::AnyValueView;

    fn shown(value: &AnyValueView<'_>) -> String {
        match value {
            AnyValueView::Array(items) => format!(
                "[{}]",
                items.iter().map(|item| shown(&item)).collect::<Vec<_>>().join(",")
            ),
            AnyValueView::Map(entries) => {
                let entries = entries.clone().map(|(key, value)| format!("{key}:{}", shown(&value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
            }
            AnyValueView::Str(text) => (*text).to_owned(),
            AnyValueView::Bytes(bytes) => format!("{bytes:?}"),
            AnyValueView::I64(value) => value.to_string(),
            AnyValueView::F64(value) => value.to_string(),
            AnyValueView::Bool(value) => value.to_string(),
            AnyValueView::Empty => "-".to_owned(),
        }
    }

    #[test]
    fn value_is_cut_to_its_limits_wherever_it_lies() {
        let long = "a".repeat(200);
        let inner = [("long key", Value::Str("12345")), ("b", Value::I64(12345))];
        let nested = [Value::Str("12345"), Value::Map(&inner), Value::Bytes(&[1, 2, 3, 4, 5])];
        let deep = [Value::Array(&nested), Value::Bool(true)];
        let deeper = [("x", Value::Array(&deep))];
        for (length, depth, value, expected) in [
            (3, 28, Value::Str("12"), None),
            (3, 28, Value::Str("123"), None),
            (3, 28, Value::Str("1234"), Some("123")),
            (3, 28, Value::Str("ääää"), Some("äää")),
            (3, 28, Value::Str("äää"), None),
            (0, 28, Value::Str("1"), Some("")),
            (3, 28, Value::Bytes(&[1, 2, 3, 4]), Some("[1, 2, 3]")),
            (3, 28, Value::I64(12345), None),
            (3, 28, Value::I64Array(&[12345]), None),
            (3, 28, Value::StrArray(&["123", "12"]), None),
            (3, 28, Value::StrArray(&["1234", "12"]), Some("[123,12]")),
            (
                3,
                28,
                Value::Array(&nested),
                Some("[123,{long key:123,b:12345},[1, 2, 3]]"),
            ),
            (9, 3, Value::Map(&deeper), Some("{x:[[12345,-,[1, 2, 3, 4, 5]],true]}")),
            (9, 1, Value::Array(&deep), Some("[-,true]")),
            (9, 0, Value::F64Array(&[1.5]), Some("-")),
            (150, 28, Value::Str(&long), Some(&long[..150])),
        ] {
            let field = ValueLimits { length, depth }.shortened(super::super::tag::ATTRIBUTE, "the key", &value);
            let read = field
                .as_deref()
                .map(|field| SpanView::new(field).attribute("the key").expect("it is there"));
            assert_eq!(
                read.as_ref().map(shown).as_deref(),
                expected,
                "{value:?} {length} {depth}"
            );
        }
    }
}
