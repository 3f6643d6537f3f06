//! Attribute values as they lie in the bytes of a span.

use crate::protobuf::{self, Field, Fields};

/// How deep arrays and maps are followed; one that lies deeper reads as
/// [`Empty`](AnyValueView::Empty).
pub const MAX_DEPTH: usize = 64;

/// A value read from OTLP bytes (`AnyValue`), borrowed from them.
///
/// Whatever cannot be understood (nothing set, a kind of value added later, bytes cut off) is
/// [`Empty`](Self::Empty).
#[derive(Clone, Debug, Default)]
pub enum AnyValueView<'a> {
    /// No value.
    #[default]
    Empty,
    /// Text; ends before the first byte that is not valid UTF-8.
    Str(&'a str),
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    I64(i64),
    /// A floating-point number.
    F64(f64),
    /// Values in order.
    Array(ArrayView<'a>),
    /// Names and values in order.
    Map(KeyValues<'a>),
    /// Bytes that are not text.
    Bytes(&'a [u8]),
}

impl<'a> AnyValueView<'a> {
    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::I64(value) => Some(*value),
            _ => None,
        }
    }

    /// Yes or no, if it is that.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The floating-point number, if it is one.
    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::F64(value) => Some(*value),
            _ => None,
        }
    }

    /// Reads an `AnyValue` message that lies in nothing else.
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self::read(message, 1)
    }

    /// Reads an `AnyValue` message. `depth` is that of the value itself if it is an array or a
    /// map, from 1.
    #[inline]
    fn read(message: &'a [u8], depth: usize) -> Self {
        let mut fields = Fields::new(message);
        match fields.next() {
            // Nearly always there is one.
            Some(Ok((number, field))) if fields.rest().is_empty() => {
                Self::member(number, field, depth).unwrap_or_default()
            }
            _ => Self::read_all(message, depth),
        }
    }

    /// "Parsers should take the last value they see".
    fn read_all(message: &'a [u8], depth: usize) -> Self {
        Fields::new(message)
            .map_while(Result::ok)
            .filter_map(|(number, field)| Self::member(number, field, depth))
            .last()
            .unwrap_or_default()
    }

    fn member(number: u32, field: Field<'a>, depth: usize) -> Option<Self> {
        Some(match (number, field) {
            (1, field @ Field::Bytes(_)) => Self::Str(field.text()?),
            (2, Field::Varint(value)) => Self::Bool(value != 0),
            (3, Field::Varint(value)) => Self::I64(value as i64),
            (4, Field::Fixed64(bits)) => Self::F64(f64::from_bits(bits)),
            (5 | 6, Field::Bytes(_)) if depth > MAX_DEPTH => Self::Empty,
            (5, Field::Bytes(message)) => Self::Array(ArrayView { message, depth }),
            (6, Field::Bytes(message)) => Self::Map(KeyValues::new(message, 1, depth + 1)),
            (7, Field::Bytes(bytes)) => Self::Bytes(bytes),
            _ => return None,
        })
    }
}

/// The values of an array. Iterate over it.
#[derive(Clone, Debug)]
pub struct ArrayView<'a> {
    message: &'a [u8],
    depth: usize,
}

impl<'a> ArrayView<'a> {
    /// The values in their order.
    pub fn iter(&self) -> impl Iterator<Item = AnyValueView<'a>> + use<'a> {
        let depth = self.depth + 1;
        protobuf::all(self.message, 1)
            .filter_map(Field::bytes)
            .map(move |message| AnyValueView::read(message, depth))
    }
}

/// Names and values: the attributes of a span, an event, a link, a resource or a scope, or a map
/// inside of one. An iterator, cheap to clone.
///
/// In their order, repeated keys included. One whose key is missing has an empty key; one whose
/// key is not valid UTF-8 is left out.
#[derive(Clone, Debug)]
pub struct KeyValues<'a> {
    fields: Fields<'a>,
    number: u32,
    depth: usize,
}

impl<'a> KeyValues<'a> {
    /// Those in field `number` of `message`; values in them that are an array or a map have
    /// `depth`.
    pub(crate) fn new(message: &'a [u8], number: u32, depth: usize) -> Self {
        Self {
            fields: Fields::new(message),
            number,
            depth,
        }
    }

    /// The value of this key; of a repeated key the last.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<AnyValueView<'a>> {
        self.clone()
            .filter(|(found, _)| *found == key)
            .map(|(_, value)| value)
            .last()
    }
}

impl<'a> Iterator for KeyValues<'a> {
    type Item = (&'a str, AnyValueView<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (number, field) = self.fields.next()?.ok()?;
            if number != self.number {
                continue;
            }
            if let Some(message) = field.bytes() {
                if let Some(found) = key_value(message, self.depth) {
                    return Some(found);
                }
            }
        }
    }
}

/// One of them, from its message. `None`: its key is not valid UTF-8.
#[inline]
pub(crate) fn key_value(message: &[u8], depth: usize) -> Option<(&str, AnyValueView<'_>)> {
    let (key, value) = match usual_key_value(message) {
        Some((key, value)) => (key, Some(value)),
        None => any_key_value(message),
    };
    let key = std::str::from_utf8(key).ok()?;
    let value = value.map_or(AnyValueView::Empty, |value| AnyValueView::read(value, depth));
    Some((key, value))
}

/// The bytes of a short key and a short value in this order, and nothing else, as encoders write them.
#[inline]
pub(crate) fn usual_key_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let [0x0a, len @ ..0x80, rest @ ..] = message else {
        return None;
    };
    let (key, rest) = rest.split_at_checked(usize::from(*len))?;
    let [0x12, len @ ..0x80, value @ ..] = rest else {
        return None;
    };
    (usize::from(*len) == value.len()).then_some((key, value))
}

fn any_key_value(message: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut key, mut value) = (&b""[..], None);
    for (number, field) in Fields::new(message).map_while(Result::ok) {
        match (number, field) {
            (1, Field::Bytes(found)) => key = found,
            (2, Field::Bytes(found)) => value = Some(found),
            _ => {}
        }
    }
    (key, value)
}
