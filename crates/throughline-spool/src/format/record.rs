//! One record: a span's bytes with what is needed to find and trust them again.
//!
//! ```text
//! offset  0  commit word  u32   kind << 24 | payload length in bytes; 0 = nothing here (yet)
//! offset  4  crc          u32   CRC-32C of source and payload, continued from `seed`
//! offset  8  source       u32   number of a source record of the same segment
//! offset 12  payload            0x12, the body's length as a varint of 3 bytes, the body
//! ```
//!
//! All numbers are little-endian; a record begins at a multiple of 8. The body of a span's record is an OTLP `Span`, its
//! payload field 2 of an OTLP `ScopeSpans`, so that an exporter concatenates payloads as they are; metrics and log
//! records have the same field number. `docs/spool-format.md` is the whole format.

/// Bytes before the payload.
pub(crate) const HEADER: usize = 12;
/// Bytes of the payload before the body: the field's tag and its padded length.
pub(crate) const FRAME: usize = 4;
/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
/// The longest body: what a varint of 3 bytes can say.
pub const MAX_BODY: usize = (1 << 21) - 1;

const LENGTH_MASK: u32 = 0x00ff_ffff;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A span that was ended (or a metric, or a log record).
    Finished,
    /// A span that was open when its process died, as its open slot showed it.
    Unfinished,
    /// A source: a resource and an instrumentation scope, see `source`.
    Source,
    /// The manifest of the process that wrote the segment, see `manifest`.
    Process,
    /// Something of a later version. A reader skips it.
    Other(u8),
}

impl Kind {
    const fn from_byte(byte: u8) -> Self {
        match byte {
            1 => Self::Finished,
            2 => Self::Unfinished,
            3 => Self::Source,
            4 => Self::Process,
            other => Self::Other(other),
        }
    }

    const fn to_byte(self) -> u8 {
        match self {
            Self::Finished => 1,
            Self::Unfinished => 2,
            Self::Source => 3,
            Self::Process => 4,
            Self::Other(other) => other,
        }
    }

    /// Whether such a record is to be delivered, and counts.
    #[must_use]
    pub const fn is_item(self) -> bool {
        matches!(self, Self::Finished | Self::Unfinished)
    }
}

/// The bytes from the start of one record to the start of the next.
#[inline]
pub(crate) const fn stride(body: usize) -> usize {
    (HEADER + FRAME + body + ALIGN - 1) & !(ALIGN - 1)
}

#[inline]
pub(crate) const fn commit_word(kind: Kind, body: usize) -> u32 {
    (kind.to_byte() as u32) << 24 | (FRAME + body) as u32
}

/// The first four bytes of a payload: tag 0x12 and `body` as a varint of exactly three bytes.
#[inline]
pub(crate) const fn frame(body: usize) -> [u8; FRAME] {
    let body = body as u32;
    [
        0x12,
        body as u8 & 0x7f | 0x80,
        (body >> 7) as u8 & 0x7f | 0x80,
        (body >> 14) as u8 & 0x7f,
    ]
}

/// What a generation brings to the seeds of its records. Generations are small numbers, and so are offsets: multiplied, the one
/// cannot make up for the other.
#[inline]
pub(crate) const fn mixed(generation: u64) -> u32 {
    (generation.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// Where the CRC of a record starts: a stale record of an earlier generation, or one that was moved, must not verify.
#[inline]
pub(crate) const fn seed(mixed: u32, offset: u32, commit: u32) -> u32 {
    mixed ^ offset ^ commit
}

/// A record whose CRC was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// What the record holds.
    pub kind: Kind,
    /// The number of its source.
    pub source: u32,
    /// The payload: of a span, a whole field of an OTLP `ScopeSpans`.
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// What the payload frames: of a span, the OTLP `Span` message.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.payload[FRAME..]
    }
}

/// What stands at one place of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// Nothing was committed here.
    Nothing,
    /// A whole record, and where the next one would begin.
    Record(Record<'a>, usize),
    /// Something that is no record of this generation.
    Torn,
}

/// Reads what stands at `offset` of a segment's bytes. Total: any bytes will do.
#[inline]
pub(crate) fn read(segment: &[u8], offset: usize, generation: u64) -> Found<'_> {
    read_part(segment, offset, 0, generation)
}

/// Reads what stands at `at` of a part of a segment that begins at `from`. Places are those in the part.
pub(crate) fn read_part(part: &[u8], at: usize, from: usize, generation: u64) -> Found<'_> {
    let Some(commit) = read_u32(part, at) else {
        return Found::Nothing;
    };
    if commit == 0 {
        return Found::Nothing;
    }
    let Some((kind, body, next)) = check_commit_word(commit, at, part.len()) else {
        return Found::Torn;
    };
    let covered = &part[at + 8..at + HEADER + FRAME + body];
    let (Some(crc), Some(source)) = (read_u32(part, at + 4), read_u32(part, at + 8)) else {
        return Found::Torn;
    };
    let seed = seed(mixed(generation), (from + at) as u32, commit);
    if crc32c::crc32c_append(seed, covered) != crc || covered[4..4 + FRAME] != frame(body) {
        return Found::Torn;
    }
    let payload = &covered[4..];
    Found::Record(Record { kind, source, payload }, next)
}

/// The kind, the body's length and the next record's offset, when a commit word could be right at that place.
pub(crate) fn check_commit_word(commit: u32, offset: usize, segment: usize) -> Option<(Kind, usize, usize)> {
    let kind = Kind::from_byte((commit >> 24) as u8);
    let body = ((commit & LENGTH_MASK) as usize).checked_sub(FRAME)?;
    let next = offset + stride(body);
    (body <= MAX_BODY && next <= segment).then_some((kind, body, next))
}

pub(crate) fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

pub(crate) fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(8)?)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

/// A record as it lies in a segment, for whoever writes files rather than memory.
pub(crate) fn build(kind: Kind, source: u32, body: &[u8], generation: u64, offset: usize) -> Vec<u8> {
    let commit = commit_word(kind, body.len());
    let mut record = Vec::with_capacity(stride(body.len()));
    record.extend_from_slice(&commit.to_le_bytes());
    record.extend_from_slice(&[0; 4]);
    record.extend_from_slice(&source.to_le_bytes());
    record.extend_from_slice(&frame(body.len()));
    record.extend_from_slice(body);
    let crc = crc32c::crc32c_append(seed(mixed(generation), offset as u32, commit), &record[8..]);
    record[4..8].copy_from_slice(&crc.to_le_bytes());
    record.resize(stride(body.len()), 0);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where generations differ as offsets do: by a single bit.
    #[test]
    fn record_of_another_generation_does_not_verify_at_an_offset_that_makes_up_for_it() {
        for bit in 3..20 {
            let (generation, offset) = (5, 400);
            let record = build(Kind::Finished, 0, b"an old record", generation, offset);
            let mut segment = vec![0; 2 << 20];
            let moved = offset ^ 1 << bit;
            segment[moved..moved + record.len()].copy_from_slice(&record);
            assert_eq!(read(&segment, moved, generation ^ 1 << bit), Found::Torn, "bit {bit}");
        }
    }

    #[test]
    fn built_record_is_read_back_only_at_its_place_and_generation() {
        let body = b"not a span, but nobody reads it here";
        let mut segment = vec![0; 256];
        let record = build(Kind::Finished, 3, body, 0x1_0000_0007, 64);
        segment[64..64 + record.len()].copy_from_slice(&record);
        let Found::Record(read_back, next) = read(&segment, 64, 0x1_0000_0007) else {
            panic!("the record is whole");
        };
        assert_eq!(
            (read_back.kind, read_back.source, read_back.body()),
            (Kind::Finished, 3, &body[..])
        );
        assert_eq!(next, 64 + stride(body.len()));
        assert_eq!(read(&segment, 64, 8), Found::Torn, "another generation");
        segment.copy_within(64..64 + record.len(), 128);
        assert_eq!(read(&segment, 128, 0x1_0000_0007), Found::Torn, "another place");
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_noticed() {
        let record = build(Kind::Finished, 0, &[0xaa; 40], 5, 0);
        let checked = HEADER + FRAME + 40;
        for bit in 0..checked * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&flipped, 0, 5), Found::Record(..)), "bit {bit}");
        }
    }

    #[test]
    fn frame_is_a_varint_that_any_protobuf_reader_takes() {
        for (body, expected) in [
            (0, [0x12, 0x80, 0x80, 0]),
            (1, [0x12, 0x81, 0x80, 0]),
            (300, [0x12, 0xac, 0x82, 0]),
        ] {
            assert_eq!(frame(body), expected);
        }
        assert_eq!(frame(MAX_BODY), [0x12, 0xff, 0xff, 0x7f]);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, offset in 0usize..300, generation: u64) {
            let _ = read(&bytes, offset, generation);
        }
    }
}
