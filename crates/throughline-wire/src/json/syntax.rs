//! JSON itself: objects, lists, strings, numbers.

use std::io::Write;

/// An object that is being written. [`end`](Self::end) closes it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    #[inline(always)]
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Begins a member; its value has to follow. `name` needs no escapes.
    #[inline(always)]
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.reserve(name.len() + 4);
        self.out.extend_from_slice(if self.empty { &b"\""[..] } else { b",\"" });
        self.empty = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A number, unless it is the default, zero.
    #[inline(always)]
    pub(super) fn number(&mut self, name: &str, value: impl Into<i64>) {
        let value = value.into();
        if value != 0 {
            self.whole_number(name, value);
        }
    }

    /// A number, whatever it is.
    #[inline(always)]
    pub(super) fn whole_number(&mut self, name: &str, value: impl Into<i64>) {
        signed(self.member(name), value.into());
    }

    /// Text, unless it is the default, empty.
    #[inline(always)]
    pub(super) fn text(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            string(self.member(name), text);
        }
    }

    /// A list, unless it is the default, empty.
    #[inline(always)]
    pub(super) fn list<T>(&mut self, name: &str, items: impl Iterator<Item = T>, write: impl FnMut(&mut Vec<u8>, T)) {
        let mut items = items.peekable();
        if items.peek().is_some() {
            list(self.member(name), items, write);
        }
    }

    #[inline(always)]
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

pub(super) fn list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut write: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// A string in quotes. Never contains a line break.
#[inline]
pub(super) fn string(out: &mut Vec<u8>, text: &str) {
    match is_plain(text.as_bytes()) {
        true => plain(out, text.as_bytes()),
        false => {
            out.push(b'"');
            escape(out, text);
            out.push(b'"');
        }
    }
}

/// Whether these bytes are text that needs no escapes.
#[inline]
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    // All bytes in one go, without a branch for each: most text needs none.
    let is_plain = |plain, &byte| plain & (0x20..0x7f).contains(&byte) & (byte != b'"') & (byte != b'\\');
    bytes.iter().fold(true, is_plain)
}

/// Such bytes as a string.
#[inline]
pub(super) fn plain(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(bytes);
    out.push(b'"');
}

fn escape(out: &mut Vec<u8>, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend_from_slice(&[b'\\', letter as u8]),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            _ if letter.is_control() => push(out, format_args!("\\u{:04x}", u32::from(letter))),
            _ => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A 64-bit number, which proto3 JSON puts in quotes.
#[inline]
pub(super) fn quoted(out: &mut Vec<u8>, number: u64) {
    out.push(b'"');
    decimal(out, number);
    out.push(b'"');
}

/// The same with a sign.
#[inline]
pub(super) fn quoted_signed(out: &mut Vec<u8>, number: i64) {
    out.push(b'"');
    signed(out, number);
    out.push(b'"');
}

fn signed(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    decimal(out, number.unsigned_abs());
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    /// The digits of `u64::MAX`.
    const MOST: usize = 20;
    let mut digits = [0; MOST];
    let mut at = MOST;
    // Two at once: half of the divisions.
    while number >= 10 {
        let pair = (number % 100) as u8;
        number /= 100;
        at -= 2;
        digits[at] = b'0' + pair / 10;
        digits[at + 1] = b'0' + pair % 10;
    }
    if number > 0 || at == MOST {
        at -= 1;
        digits[at] = b'0' + number as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// A double; JSON has no NaN and no infinity, so proto3 JSON names them in quotes.
pub(super) fn double(out: &mut Vec<u8>, value: f64) {
    match value {
        _ if value.is_nan() => out.extend_from_slice(b"\"NaN\""),
        f64::INFINITY => out.extend_from_slice(b"\"Infinity\""),
        f64::NEG_INFINITY => out.extend_from_slice(b"\"-Infinity\""),
        // `Debug` uses an exponent where `Display` would write hundreds of digits.
        _ => push(out, format_args!("{value:?}")),
    }
}

/// Base64 in quotes, with the standard alphabet and padding.
pub(super) fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    for chunk in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..][..chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes(group);
        for at in 0..4 {
            if at <= chunk.len() {
                let digit = group >> (18 - 6 * at) & 0x3f;
                out.push(BASE64[digit as usize]);
            } else {
                out.push(b'=');
            }
        }
    }
    out.push(b'"');
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn push(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes whatever is written");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whole_numbers_read_back() {
        let edges = (0..20).flat_map(|power| [10_u64.pow(power) - 1, 10_u64.pow(power), 10_u64.pow(power) + 1]);
        for number in edges.chain([u64::MAX, 42, 99, 100]) {
            assert_eq!(written(|out| quoted(out, number)), format!("\"{number}\""));
        }
        for number in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(written(|out| quoted_signed(out, number)), format!("\"{number}\""));
        }
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
