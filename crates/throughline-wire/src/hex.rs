//! Hexadecimal digits. Not `from_str_radix`, which takes a plus sign and any length.

/// Which digits above nine are letters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// Both `a-f` and `A-F`, as OTLP/JSON allows.
    Any,
    /// `a-f` only, as `traceparent` demands.
    Lower,
}

/// Reads any number of pairs of digits of either case.
pub(crate) fn decode_any(text: &[u8]) -> Option<Vec<u8>> {
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(*high, Case::Any)? << 4 | digit(*low, Case::Any)?),
        _ => None,
    });
    pairs.collect()
}

/// Reads exactly `2 * N` digits, nothing before, between or after them.
pub(crate) fn decode<const N: usize>(text: &[u8], case: Case) -> Option<[u8; N]> {
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0], case)? << 4 | digit(pair[1], case)?;
    }
    Some(bytes)
}

/// Writes two lower-case digits a byte into `out`, as far as both reach.
pub(crate) fn encode(bytes: &[u8], out: &mut [u8]) {
    for (byte, pair) in bytes.iter().zip(out.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0xf)];
    }
}

/// Appends two lower-case digits a byte.
pub(crate) fn push(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.extend(pair(*byte).map(char::from));
    }
}

/// The same as bytes.
pub(crate) fn push_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    // An id in one go.
    for part in bytes.chunks(16) {
        let mut digits = [0; 32];
        encode(part, &mut digits);
        out.extend_from_slice(&digits[..2 * part.len()]);
    }
}

fn pair(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 0xf].map(|digit| DIGITS[usize::from(digit)])
}

/// The value of one digit.
pub(crate) fn digit(text: u8, case: Case) -> Option<u8> {
    match text {
        b'0'..=b'9' => Some(text - b'0'),
        b'a'..=b'f' => Some(text - b'a' + 10),
        b'A'..=b'F' if case == Case::Any => Some(text - b'A' + 10),
        _ => None,
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_digits_of_the_right_case_are_read() {
        assert_eq!(decode(b"09af", Case::Lower), Some([0x09, 0xaf]));
        assert_eq!(decode(b"09AF", Case::Any), Some([0x09, 0xaf]));
        for bad in ["09AF", "+9af", "9af", "09aff", "09 a", "09ag", ""] {
            assert_eq!(decode::<2>(bad.as_bytes(), Case::Lower), None, "{bad:?}");
        }
    }

    #[test]
    fn both_writers_agree_with_the_reader() {
        let bytes = [0x00, 0x7f, 0x80, 0xff];
        let mut text = [0; 8];
        encode(&bytes, &mut text);
        let mut pushed = String::new();
        push(&mut pushed, &bytes);
        assert_eq!(pushed.as_bytes(), text);
        assert_eq!(decode(&text, Case::Lower), Some(bytes));
    }
}
