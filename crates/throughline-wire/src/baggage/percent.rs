//! Percent-encoding as baggage uses it (RFC 3986, section 2.1).

use std::borrow::Cow;

use crate::hex::{self, Case};

/// Encodes what is not a `baggage-octet`, and the percent sign itself.
pub(crate) fn encode(text: &str) -> Cow<'_, str> {
    encode_but(text, is_plain)
}

/// Encodes what is not an unreserved character of a URL (RFC 3986, section 2.3).
pub(crate) fn encode_component(text: &str) -> Cow<'_, str> {
    encode_but(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn encode_but(text: &str, is_plain: impl Fn(u8) -> bool + Copy) -> Cow<'_, str> {
    if text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            hex::push(&mut encoded, &[byte]);
        }
    }
    Cow::Owned(encoded)
}

/// Decodes; a percent sign without two digits behind it stands for itself, and what is not valid
/// UTF-8 afterwards becomes U+FFFD.
pub(crate) fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *first == b'%');
        match digits.and_then(|digits| hex::decode(digits, Case::Any)) {
            Some([byte]) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

/// `baggage-octet` without `%`: printable ASCII but space, `"`, `,`, `;` and `\`.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"%,;\\".contains(&byte)
}
