//! The header of a segment: what it is, how far each destination has got in it, and, once sealed, what it holds.
//!
//! ```text
//! offset   0  magic         u32  "TLS2"
//! offset   4  header        u32  length of this header in bytes: 384
//! offset   8  generation    u64  unique within a process directory; 0 = the segment is free
//! offset  16  length        u32  of the segment, this header included, in bytes
//! offset  20  signal        u8   see `Signal`; 0 = the segment is free
//! offset  21  destinations  u8   how many of the identities are in use
//! offset  22  0             u16
//! offset  24  0             u32
//! offset  28  crc           u32  CRC-32C of bytes 0..28 and 64..128
//! offset  32  sealed             32 bytes, see `Sealed`; zero while the segment is written
//! offset  64  identities         8 x u64: to which destination each cursor belongs
//! offset 128  cursors            8 destinations x 2 copies x 16 bytes, see `Cursor`
//! offset 384  records
//! ```

use super::record::{read_u32, read_u64};

/// Bytes before the first record.
pub(crate) const HEADER_LEN: usize = 384;
/// In the files of a process segments begin at multiples of this.
pub(crate) const UNIT: usize = 16 << 10;
/// In archive files segments begin at multiples of this, and their lengths are multiples of it everywhere.
pub(crate) const ARCHIVE_UNIT: usize = 64;
/// Destinations that a header has cursors for.
pub(crate) const MAX_DESTINATIONS: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"TLS2");
const SEALED: usize = 32;
pub(crate) const SEALED_LEN: usize = 32;
const IDENTITIES: usize = 64;
const CURSORS: usize = 128;
pub(crate) const CURSOR_LEN: usize = 16;

/// What a segment's records are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal {
    /// Spans.
    #[default]
    Traces,
    /// Metrics.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    const fn to_byte(self) -> u8 {
        match self {
            Self::Traces => 1,
            Self::Metrics => 2,
            Self::Logs => 3,
        }
    }

    fn from_byte(byte: u8) -> Option<Self> {
        [Self::Traces, Self::Metrics, Self::Logs]
            .into_iter()
            .find(|signal| signal.to_byte() == byte)
    }
}

/// The part of a header that is written once, when the segment is put into use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// 0: the segment is free.
    pub generation: u64,
    /// Of the segment, in bytes.
    pub len: usize,
    pub signal: Signal,
    /// To whom the cursors belong; those that are not in use are 0.
    pub identities: [u64; MAX_DESTINATIONS],
    pub destinations: usize,
}

impl Header {
    /// Bytes that belong to it, its checksum included, in two pieces: the first 32, and the identities.
    const FIXED: usize = 32;

    /// The header of a free range.
    pub fn free(len: usize) -> Self {
        Self {
            generation: 0,
            len,
            signal: Signal::Traces,
            identities: [0; MAX_DESTINATIONS],
            destinations: 0,
        }
    }

    /// The header's bytes with no cursor set, not sealed.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..20].copy_from_slice(&(self.len as u32).to_le_bytes());
        if self.generation != 0 {
            bytes[20] = self.signal.to_byte();
            bytes[21] = self.destinations as u8;
        }
        for (place, identity) in bytes[IDENTITIES..CURSORS].chunks_exact_mut(8).zip(self.identities) {
            place.copy_from_slice(&identity.to_le_bytes());
        }
        let crc = checksum(&bytes);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` for anything that is none. Total: any bytes will do.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..HEADER_LEN)?;
        if read_u32(bytes, 0)? != MAGIC || read_u32(bytes, 28)? != checksum(bytes) {
            return None;
        }
        let len = read_u32(bytes, 16)? as usize;
        let generation = read_u64(bytes, 8)?;
        let destinations = usize::from(bytes[21]);
        let is_right = read_u32(bytes, 4)? as usize == HEADER_LEN
            && len >= HEADER_LEN
            && len % ARCHIVE_UNIT == 0
            && destinations <= MAX_DESTINATIONS;
        let signal = match generation {
            0 => Signal::Traces,
            _ => Signal::from_byte(bytes[20])?,
        };
        let mut identities = [0; MAX_DESTINATIONS];
        for (identity, place) in identities.iter_mut().zip(bytes[IDENTITIES..CURSORS].chunks_exact(8)) {
            *identity = read_u64(place, 0)?;
        }
        is_right.then_some(Self {
            generation,
            len,
            signal,
            identities,
            destinations,
        })
    }

    /// The header of which these bytes differ in one.
    ///
    /// A lost header would take all records of its segment along, so it is worth a guess that its checksum confirms.
    pub fn mend(bytes: &[u8]) -> Option<Self> {
        let mut bytes: [u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
        let looks_like_one = [MAGIC, HEADER_LEN as u32]
            .into_iter()
            .enumerate()
            .any(|(n, word)| read_u32(&bytes, n * 4) == Some(word));
        if !looks_like_one {
            return None;
        }
        for at in (0..Self::FIXED).chain(IDENTITIES..CURSORS) {
            let was = bytes[at];
            for byte in 0..=u8::MAX {
                bytes[at] = byte;
                if let Some(header) = Self::from_bytes(&bytes) {
                    return Some(header);
                }
            }
            bytes[at] = was;
        }
        None
    }
}

fn checksum(header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..28]), &header[IDENTITIES..CURSORS])
}

/// What a segment holds that nobody writes any more.
///
/// `end u32, records u32, first u64, last u64, 0 u32, crc u32`, where the CRC-32C of the first 28 bytes is continued from
/// the low half of the generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Where the records end, counted from the segment's start.
    pub end: u32,
    /// How many items (spans, metrics, log records) there are.
    pub records: u32,
    /// The earliest start of a span, in nanoseconds since 1970; 0 when there is none.
    pub first: u64,
    /// The latest end of a span, in nanoseconds since 1970.
    pub last: u64,
}

impl Sealed {
    /// Where it lies in the header.
    pub const AT: usize = SEALED;

    pub fn to_bytes(self, generation: u64) -> [u8; SEALED_LEN] {
        let mut bytes = [0; SEALED_LEN];
        bytes[0..4].copy_from_slice(&self.end.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.records.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.last.to_le_bytes());
        let crc = crc32c::crc32c_append(generation as u32, &bytes[..28]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What the header of a segment says; `None` when it is not sealed. Total: any bytes will do.
    pub fn read(segment: &[u8], generation: u64) -> Option<Self> {
        let bytes = segment.get(SEALED..SEALED + SEALED_LEN)?;
        let end = read_u32(bytes, 0)?;
        let crc = crc32c::crc32c_append(generation as u32, &bytes[..28]);
        let is_right = read_u32(bytes, 28)? == crc && end as usize >= HEADER_LEN;
        is_right.then_some(Self {
            end,
            records: read_u32(bytes, 4)?,
            first: read_u64(bytes, 8)?,
            last: read_u64(bytes, 16)?,
        })
    }
}

/// How far one destination has got in a segment: everything before `offset` is settled.
///
/// Stored twice, the older copy being overwritten: `offset u32, sequence u32, settled u32, crc u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub offset: u32,
    /// Counts the writes of this cursor; the copy with the larger one is valid.
    pub sequence: u32,
    /// How many items stand before the offset.
    pub settled: u32,
}

impl Cursor {
    /// Nothing is settled.
    pub const START: Self = Self {
        offset: HEADER_LEN as u32,
        sequence: 0,
        settled: 0,
    };

    /// The cursor that replaces this one.
    #[must_use]
    pub fn moved(self, offset: u32, settled: u32) -> Self {
        Self {
            offset,
            sequence: self.sequence.wrapping_add(1),
            settled: self.settled + settled,
        }
    }

    /// Where its bytes lie in the segment.
    pub fn position(self, destination: usize) -> usize {
        CURSORS + (destination * 2 + (self.sequence & 1) as usize) * CURSOR_LEN
    }

    pub fn to_bytes(self, generation: u64) -> [u8; CURSOR_LEN] {
        let mut bytes = [0; CURSOR_LEN];
        bytes[0..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.settled.to_le_bytes());
        let crc = crc32c::crc32c_append(generation as u32, &bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The newer valid copy, or a cursor before the first record. Total: any bytes will do.
    pub fn read(segment: &[u8], destination: usize, generation: u64, len: usize) -> Self {
        let copies = [0, 1].into_iter().filter_map(|copy| {
            let at = CURSORS + (destination * 2 + copy) * CURSOR_LEN;
            let bytes = segment.get(at..at + CURSOR_LEN)?;
            let crc = crc32c::crc32c_append(generation as u32, &bytes[..12]);
            let offset = read_u32(bytes, 0)?;
            let is_right = read_u32(bytes, 12)? == crc && offset as usize >= HEADER_LEN && offset as usize <= len;
            is_right.then_some(Self {
                offset,
                sequence: read_u32(bytes, 4)?,
                settled: read_u32(bytes, 8)?,
            })
        });
        copies.max_by_key(|cursor| cursor.sequence).unwrap_or(Self::START)
    }

    /// The cursors of all destinations.
    pub fn read_all(segment: &[u8], header: &Header) -> [Self; MAX_DESTINATIONS] {
        std::array::from_fn(|destination| Self::read(segment, destination, header.generation, header.len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            generation: 0x1_0000_0007,
            len: 2 * UNIT,
            signal: Signal::Traces,
            identities: [5, 6, 0, 0, 0, 0, 0, 0],
            destinations: 2,
        }
    }

    #[test]
    fn header_is_read_as_it_was_written_and_mended_in_one_byte() {
        let bytes = header().to_bytes();
        assert_eq!(Header::from_bytes(&bytes), Some(header()));
        for at in (0..32).chain(64..128) {
            let mut wrong = bytes;
            wrong[at] ^= 0x5a;
            assert_eq!(Header::from_bytes(&wrong), None, "byte {at}");
            assert_eq!(Header::mend(&wrong), Some(header()), "byte {at}");
        }
        assert_eq!(
            Header::from_bytes(&Header::free(UNIT).to_bytes()),
            Some(Header::free(UNIT))
        );
    }

    #[test]
    fn sealed_part_is_read_only_when_it_is_whole() {
        let sealed = Sealed {
            end: 1000,
            records: 3,
            first: 10,
            last: 20,
        };
        let mut segment = header().to_bytes();
        assert_eq!(Sealed::read(&segment, header().generation), None);
        segment[Sealed::AT..][..SEALED_LEN].copy_from_slice(&sealed.to_bytes(header().generation));
        assert_eq!(Sealed::read(&segment, header().generation), Some(sealed));
        assert_eq!(Sealed::read(&segment, 8), None, "another generation");
        segment[Sealed::AT] ^= 1;
        assert_eq!(Sealed::read(&segment, header().generation), None);
        assert_eq!(Header::from_bytes(&segment), Some(header()), "the rest stays right");
    }

    #[test]
    fn cursor_falls_back_to_the_copy_before_when_the_newer_is_torn() {
        let mut segment = header().to_bytes();
        let read = |segment: &[u8]| Cursor::read(segment, 1, header().generation, header().len);
        let mut cursor = read(&segment);
        assert_eq!(cursor, Cursor::START);
        for (offset, settled) in [(400, 1), (500, 2)] {
            cursor = cursor.moved(offset, settled);
            segment[cursor.position(1)..][..CURSOR_LEN].copy_from_slice(&cursor.to_bytes(header().generation));
            assert_eq!(read(&segment), cursor);
        }
        assert_eq!(cursor.settled, 3);
        segment[cursor.position(1)] ^= 1;
        assert_eq!((read(&segment).offset, read(&segment).settled), (400, 1));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, generation: u64) {
            let _ = (Header::from_bytes(&bytes), Sealed::read(&bytes, generation));
            let _ = Cursor::read(&bytes, 7, generation, 1000);
        }
    }
}
