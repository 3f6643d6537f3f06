//! JSON itself: objects, lists, strings, numbers.

use std::fmt::Write;

/// An object that is being written. [`end`](Self::end) closes it.
pub(super) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, empty: true }
    }

    /// Begins a member; its value has to follow. `name` needs no escapes.
    pub(super) fn member(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        self.out.extend(["\"", name, "\":"]);
        self.out
    }

    /// A number, unless it is the default, zero.
    pub(super) fn number(&mut self, name: &str, value: impl Into<i64>) {
        let value = value.into();
        if value != 0 {
            push(self.member(name), format_args!("{value}"));
        }
    }

    /// Text, unless it is the default, empty.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            string(self.member(name), text);
        }
    }

    /// A list, unless it is the default, empty.
    pub(super) fn list<T>(&mut self, name: &str, items: impl Iterator<Item = T>, write: impl FnMut(&mut String, T)) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            list(self.member(name), items, write);
        }
    }

    pub(super) fn end(self) {
        self.out.push('}');
    }
}

pub(super) fn list<T>(out: &mut String, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// A string in quotes. Never contains a line break.
pub(super) fn string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter.is_control() => push(out, format_args!("\\u{:04x}", u32::from(letter))),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// A 64-bit number, which proto3 JSON puts in quotes.
pub(super) fn quoted(out: &mut String, number: impl std::fmt::Display) {
    push(out, format_args!("\"{number}\""));
}

/// A double; JSON has no NaN and no infinity, so proto3 JSON names them in quotes.
pub(super) fn double(out: &mut String, value: f64) {
    match value {
        _ if value.is_nan() => out.push_str("\"NaN\""),
        f64::INFINITY => out.push_str("\"Infinity\""),
        f64::NEG_INFINITY => out.push_str("\"-Infinity\""),
        // `Debug` uses an exponent where `Display` would write hundreds of digits.
        _ => push(out, format_args!("{value:?}")),
    }
}

/// Base64 in quotes, with the standard alphabet and padding.
pub(super) fn base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..][..chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for at in 0..4 {
            if at <= chunk.len() {
                let digit = group >> (18 - 6 * at) & 0x3f;
                out.push(char::from(BASE64[digit as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out.push('"');
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing into a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ];
        for (plain, encoded) in cases {
            assert_eq!(written(|out| base64(out, plain.as_bytes())), format!("\"{encoded}\""));
        }
        assert_eq!(written(|out| base64(out, &[0xfb, 0xff, 0xfe])), "\"+//+\"");
    }

    #[test]
    fn strings_read_back_and_stay_on_one_line() {
        let text: String = (0..0x300).filter_map(char::from_u32).chain(['\u{1f980}']).collect();
        let json = written(|out| string(out, &text));
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert!(!json.contains(char::is_control));
    }

    #[test]
    fn doubles_read_back() {
        for value in [0.0, -0.0, 1.0, 1.5, 0.1, 1e300, 5e-324, f64::MAX, 1e16] {
            let json = written(|out| double(out, value));
            assert_eq!(serde_json::from_str::<f64>(&json).unwrap().to_bits(), value.to_bits());
            assert!(json.len() < 25, "{json}");
        }
    }
}
