//! Attributes of spans, which are most of what is written: those of the usual form go from bytes to bytes.

use super::syntax::{double, is_plain, plain, quoted_signed};
use super::write_key_value;
use crate::any_value::{AnyValueView, key_value, usual_key_value};

/// One attribute.
pub(super) enum Attribute<'a> {
    /// A short key and a scalar, as encoders write them: key, value, and nothing else.
    Usual(&'a [u8], Scalar<'a>),
    Other(&'a str, AnyValueView<'a>),
}

/// A value that is read at a glance.
pub(super) enum Scalar<'a> {
    /// It needs no escapes.
    Str(&'a [u8]),
    Bool(bool),
    I64(i64),
    F64(f64),
}

/// The attribute in a `KeyValue` message. `None`: its key is not valid UTF-8.
#[inline]
pub(super) fn attribute(message: &[u8]) -> Option<Attribute<'_>> {
    usual(message).or_else(|| {
        let (key, value) = key_value(message, 1)?;
        Some(Attribute::Other(key, value))
    })
}

fn usual(message: &[u8]) -> Option<Attribute<'_>> {
    let (key, value) = usual_key_value(message)?;
    if !is_plain(key) {
        return None;
    }
    let scalar = match value {
        [0x0a, len @ ..0x80, text @ ..] if usize::from(*len) == text.len() && is_plain(text) => Scalar::Str(text),
        [0x10, flag @ 0..=1] => Scalar::Bool(*flag == 1),
        [0x18, number @ ..0x80] => Scalar::I64(i64::from(*number)),
        [0x21, bits @ ..] => Scalar::F64(f64::from_le_bytes(bits.try_into().ok()?)),
        _ => return None,
    };
    Some(Attribute::Usual(key, scalar))
}

pub(super) fn write_attribute(out: &mut Vec<u8>, attribute: Attribute<'_>) {
    let (key, scalar) = match attribute {
        Attribute::Usual(key, scalar) => (key, scalar),
        Attribute::Other(key, value) => return write_key_value(out, (key, value)),
    };
    out.extend_from_slice(b"{\"key\":");
    plain(out, key);
    match scalar {
        Scalar::Str(text) => {
            out.extend_from_slice(b",\"value\":{\"stringValue\":");
            plain(out, text);
        }
        Scalar::Bool(true) => out.extend_from_slice(b",\"value\":{\"boolValue\":true"),
        Scalar::Bool(false) => out.extend_from_slice(b",\"value\":{\"boolValue\":false"),
        Scalar::I64(value) => {
            out.extend_from_slice(b",\"value\":{\"intValue\":");
            quoted_signed(out, value);
        }
        Scalar::F64(value) => {
            out.extend_from_slice(b",\"value\":{\"doubleValue\":");
            double(out, value);
        }
    }
    out.extend_from_slice(b"}}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_attribute_is_written_as_any_other() {
        let values: [&[u8]; 10] = [
            b"\x0a\x02ab",
            b"\x0a\x00",
            b"\x0a\x02a\"",
            b"\x0a\x02\xc3\xbc",
            b"\x10\x00",
            b"\x10\x01",
            b"\x10\x02",
            b"\x18\x7f",
            b"\x21\x00\x00\x00\x00\x00\x00\xf8\x3f",
            b"\x18\x01\x10\x01",
        ];
        for value in values {
            for key in [&b"key"[..], b"", b"a\\b"] {
                let head = [&[0x0a, key.len() as u8], key].concat();
                let message = [&*head, &[0x12, value.len() as u8], value].concat();
                let written = |attribute| {
                    let mut out = Vec::new();
                    write_attribute(&mut out, attribute);
                    String::from_utf8(out).unwrap()
                };
                let (key, value) = key_value(&message, 1).unwrap();
                let expected = written(Attribute::Other(key, value));
                assert_eq!(written(attribute(&message).unwrap()), expected);
            }
        }
        assert!(attribute(b"\x0a\x01\xff").is_none());
        assert!(matches!(
            attribute(b"\x0a\x01k\x12\x02\x18\x07"),
            Some(Attribute::Usual(..))
        ));
    }
}
