//! Attribute values as plain JSON, for formats other than OTLP.

use throughline_wire::AnyValueView;

/// Appends a text in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    // All bytes in one go, without a branch for each: most text needs no escapes.
    let is_plain = |plain, byte| plain & (byte >= 0x20) & (byte != b'"') & (byte != b'\\');
    match text.bytes().fold(true, is_plain) {
        true => quoted(out, text.as_bytes()),
        false => serde_json::to_writer(out, text).expect("text is written to memory"),
    }
}

/// Appends a whole number.
pub fn number(out: &mut Vec<u8>, number: u64) {
    serde_json::to_writer(out, &number).expect("a number is written to memory");
}

/// Appends bytes as hexadecimal digits in quotes.
pub fn hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    // An id in one go.
    for part in bytes.chunks(16) {
        let mut digits = [0; 32];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(part) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        out.extend_from_slice(&digits[..2 * part.len()]);
    }
    out.push(b'"');
}

/// Appends a value. Bytes are hexadecimal digits; NaN and the infinities are texts.
pub fn value(out: &mut Vec<u8>, any: &AnyValueView<'_>) {
    match any {
        AnyValueView::Empty => out.extend_from_slice(b"null"),
        AnyValueView::Str(text) => string(out, text),
        AnyValueView::Bool(true) => out.extend_from_slice(b"true"),
        AnyValueView::Bool(false) => out.extend_from_slice(b"false"),
        AnyValueView::I64(value) => serde_json::to_writer(out, value).expect("a number is written to memory"),
        AnyValueView::F64(value) if value.is_finite() => {
            serde_json::to_writer(out, value).expect("a number is written to memory");
        }
        AnyValueView::F64(value) => string(out, &value.to_string()),
        AnyValueView::Bytes(bytes) => hex(out, bytes),
        AnyValueView::Array(values) => list(out, b"[]", values.iter(), |out, item| value(out, &item)),
        AnyValueView::Map(entries) => list(out, b"{}", entries.clone(), |out, (key, item)| {
            string(out, key);
            out.push(b':');
            value(out, &item);
        }),
    }
}

/// Appends items between brackets.
pub fn list<T>(
    out: &mut Vec<u8>,
    brackets: &[u8; 2],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(brackets[0]);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(brackets[1]);
}

/// Appends bytes that need no escapes in quotes.
fn quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(bytes);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use throughline_wire::{Value, encode};

    use super::*;
    use crate::trace::tests::span;

    #[test]
    fn values_of_every_kind_are_valid_json() {
        for (given, expected) in [
            (Value::Empty, "null"),
            (Value::Str("a\"\n"), r#""a\"\n""#),
            (Value::Bool(true), "true"),
            (Value::I64(-7), "-7"),
            (Value::Str("é"), "\"é\""),
            (Value::I64(i64::MIN), "-9223372036854775808"),
            (Value::F64(1.0), "1.0"),
            (Value::F64(f64::NAN), r#""NaN""#),
            (Value::Bytes(&[1, 0xff]), r#""01ff""#),
            (Value::Bytes(&[0xab; 17]), r#""ababababababababababababababababab""#),
            (Value::StrArray(&["a", "b"]), r#"["a","b"]"#),
            (
                Value::Map(&[("k", Value::I64(1)), ("l", Value::Str("x"))]),
                r#"{"k":1,"l":"x"}"#,
            ),
        ] {
            let mut field = vec![0; encode::attribute_len("key", &given)];
            encode::write_attribute(&mut field, "key", &given);
            let made = span(1, "s", 0, 1).with(&field).0;
            let mut out = Vec::new();
            value(&mut out, &made.view().attribute("key").unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
