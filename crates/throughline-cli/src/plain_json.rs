//! Attribute values as plain JSON, for formats other than OTLP.

use std::io::Write as _;

use throughline_wire::AnyValueView;

/// Appends a text in quotes.
pub fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is written to memory");
}

/// Appends a number, or whatever else is the same in JSON.
pub fn number(out: &mut Vec<u8>, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("it is written to memory");
}

/// Appends a value. Bytes are hexadecimal digits; NaN and the infinities are texts.
pub fn value(out: &mut Vec<u8>, any: &AnyValueView<'_>) {
    match any {
        AnyValueView::Empty => out.extend_from_slice(b"null"),
        AnyValueView::Str(text) => string(out, text),
        AnyValueView::Bool(value) => number(out, value),
        AnyValueView::I64(value) => number(out, value),
        AnyValueView::F64(value) if value.is_finite() => number(out, format_args!("{value:?}")),
        AnyValueView::F64(value) => string(out, &value.to_string()),
        AnyValueView::Bytes(bytes) => string(out, &hex(bytes)),
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

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
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
            (Value::F64(1.0), "1.0"),
            (Value::F64(f64::NAN), r#""NaN""#),
            (Value::Bytes(&[1, 0xff]), r#""01ff""#),
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
