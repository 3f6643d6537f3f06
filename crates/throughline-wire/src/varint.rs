//! Variable-length integers of protobuf, and the padded form for a length that is known late.

/// The most bytes a varint takes.
pub const MAX_LEN: usize = 10;

/// The largest value of the padded form: 2^21 - 1.
pub const MAX_PADDED: u32 = (1 << 21) - 1;

/// How many bytes `value` takes: 1 to 10.
///
/// ```
/// use throughline_wire::varint;
///
/// assert_eq!([0, 127, 128, u64::MAX].map(varint::len), [1, 1, 2, 10]);
/// ```
#[inline]
#[must_use]
pub const fn len(value: u64) -> usize {
    // Seven bits a byte, without a branch or a division by seven.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

/// Writes `value` into the first [`len`]`(value)` bytes of `out` and returns how many those are.
///
/// # Panics
/// If `out` is shorter than that.
#[inline]
pub fn write(out: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

/// Appends `value` to `out`.
#[inline]
pub fn push(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// `value` in exactly three bytes, whatever it is, so that a length can be filled in after what
/// it measures was written. Decoders must take it, although it is not the shortest form.
///
/// Values above [`MAX_PADDED`] do not fit: the bits above the 21st are lost.
///
/// ```
/// use throughline_wire::varint;
///
/// assert_eq!(varint::padded(5), [0x85, 0x80, 0x00]);
/// assert_eq!(varint::padded(varint::MAX_PADDED), [0xff, 0xff, 0x7f]);
/// ```
#[inline]
#[must_use]
pub const fn padded(value: u32) -> [u8; 3] {
    debug_assert!(value <= MAX_PADDED);
    [
        value as u8 | 0x80,
        (value >> 7) as u8 | 0x80,
        (value >> 14) as u8 & 0x7f,
    ]
}

/// Reads one varint from the front of `bytes`: its value and what follows it. `None` if it does
/// not end within `bytes` or says more than 64 bits.
#[inline]
#[must_use]
pub fn read(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Most tags and lengths are one byte.
    match bytes {
        [byte @ ..0x80, rest @ ..] => Some((u64::from(*byte), rest)),
        bytes => read_any(bytes),
    }
}

fn read_any(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().take(MAX_LEN).enumerate() {
        // Of the tenth byte only the lowest bit is left over.
        if at == MAX_LEN - 1 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_at_every_edge() {
        for bit in 0..64 {
            for value in [1_u64 << bit, (1_u64 << bit) - 1, u64::MAX >> bit] {
                let mut out = [0xaa; MAX_LEN];
                let written = write(&mut out, value);
                assert_eq!(written, len(value));
                assert_eq!(read(&out[..written]), Some((value, &[][..])));
                let mut pushed = Vec::new();
                push(&mut pushed, value);
                assert_eq!(pushed, out[..written]);
                assert_eq!(read(&out[..written - 1]), None);
            }
        }
    }

    #[test]
    fn padded_lengths_read_like_short_ones() {
        for value in [0, 1, 127, 128, 16_383, 16_384, MAX_PADDED] {
            assert_eq!(read(&padded(value)), Some((value.into(), &[][..])));
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        assert_eq!(read(&[0xff; 11]), None);
        let mut bytes = [0xff; 10];
        bytes[9] = 0x02;
        assert_eq!(read(&bytes), None);
        bytes[9] = 0x01;
        assert_eq!(read(&bytes), Some((u64::MAX, &[][..])));
    }
}
