//! A segment: the piece of a chunk that one lease writes, and its header with the cursors.
//!
//! ```text
//! offset  0  magic        u32   "TLS1"
//! offset  4  header       u32   length of this header in bytes
//! offset  8  generation   u64   unique within a process directory; 0 = the segment is free
//! offset 16  length       u32   of the segment, this header included, in bytes
//! offset 20  crc          u32   CRC-32C of bytes 0..20
//! offset 64  cursors            8 destinations x 2 copies x 16 bytes, see `Cursor`
//! offset 320 records
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::chunk::Chunk;
use crate::record::{self, Found, Record, read_u32};

/// Bytes before the first record.
pub(crate) const HEADER_LEN: usize = 320;
/// Segments begin at multiples of this, and none is smaller.
pub(crate) const UNIT: usize = 16 << 10;
/// Destinations that a header has cursors for.
pub(crate) const MAX_DESTINATIONS: usize = 8;

const MAGIC: u32 = u32::from_le_bytes(*b"TLS1");
const CURSORS: usize = 64;
const CURSOR_LEN: usize = 16;

/// The fixed part of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub generation: u64,
    pub len: usize,
}

impl Header {
    /// Bytes that the checksum is over, and its own.
    pub const CHECKED: usize = 24;

    /// The header's bytes with no cursor set.
    pub fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[4..8].copy_from_slice(&(HEADER_LEN as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..20].copy_from_slice(&(self.len as u32).to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header; `None` for anything that is none. Total: any bytes will do.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let fixed = bytes.get(..HEADER_LEN)?;
        let len = read_u32(fixed, 16)? as usize;
        let right = read_u32(fixed, 0)? == MAGIC
            && read_u32(fixed, 4)? as usize == HEADER_LEN
            && read_u32(fixed, 20)? == crc32c::crc32c(&fixed[..20])
            && len >= UNIT
            && len.is_multiple_of(UNIT);
        let generation = u64::from_le_bytes(fixed[8..16].try_into().ok()?);
        right.then_some(Self { generation, len })
    }
}

/// How far one destination has got in a segment: everything before `offset` is settled.
///
/// Stored twice, the older copy being overwritten: `offset u32, sequence u32, 0 u32, crc u32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub offset: u32,
    /// Counts the writes of this cursor; the copy with the larger one is valid.
    pub sequence: u32,
}

impl Cursor {
    /// Where the copy that carries this sequence number lies in the segment.
    pub fn position(destination: usize, sequence: u32) -> usize {
        CURSORS + (destination * 2 + (sequence & 1) as usize) * CURSOR_LEN
    }

    pub fn to_bytes(self, generation: u64) -> [u8; CURSOR_LEN] {
        let mut bytes = [0; CURSOR_LEN];
        bytes[0..4].copy_from_slice(&self.offset.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_le_bytes());
        let crc = crc32c::crc32c_append(generation as u32, &bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The newer valid copy, or a cursor before the first record. Total: any bytes will do.
    pub fn read(segment: &[u8], destination: usize, generation: u64) -> Self {
        let copies = [0, 1].into_iter().filter_map(|copy| {
            let at = Self::position(destination, copy);
            let bytes = segment.get(at..at + CURSOR_LEN)?;
            let crc = crc32c::crc32c_append(generation as u32, &bytes[..12]);
            let offset = read_u32(bytes, 0)?;
            let plausible = offset as usize >= HEADER_LEN && offset as usize <= segment.len();
            (read_u32(bytes, 12)? == crc && plausible).then_some(Self {
                offset,
                sequence: read_u32(bytes, 4)?,
            })
        });
        copies.max_by_key(|cursor| cursor.sequence).unwrap_or(Self {
            offset: HEADER_LEN as u32,
            sequence: 0,
        })
    }
}

/// A segment of this process.
pub(crate) struct Segment {
    chunk: Arc<Chunk>,
    /// Where the segment begins in its chunk, in bytes.
    offset: usize,
    header: Header,
    /// Where the records end, once no lease will write here again; 0 until then.
    sealed: AtomicU32,
    /// Per destination, what the header's cursor says. Written by delivery alone.
    cursors: [AtomicU32; MAX_DESTINATIONS],
    sequences: [AtomicU32; MAX_DESTINATIONS],
    /// Readers that copy out of the segment at this moment; rises only under the catalog's lock.
    pins: AtomicU32,
}

impl Segment {
    /// A segment in a range of the chunk that the caller alone owns.
    pub fn create(chunk: Arc<Chunk>, offset: usize, header: Header) -> Arc<Self> {
        let segment = Self {
            chunk,
            offset,
            header,
            sealed: AtomicU32::new(0),
            cursors: [const { AtomicU32::new(HEADER_LEN as u32) }; MAX_DESTINATIONS],
            sequences: [const { AtomicU32::new(0) }; MAX_DESTINATIONS],
            pins: AtomicU32::new(0),
        };
        segment.write_header();
        Arc::new(segment)
    }

    /// The same range with nothing in it, under a new generation. Allocates only when somebody still holds the old one.
    pub fn renew(mut self: Arc<Self>, generation: u64) -> Arc<Self> {
        let Some(segment) = Arc::get_mut(&mut self) else {
            let header = Header {
                generation,
                len: self.header.len,
            };
            return Self::create(self.chunk.clone(), self.offset, header);
        };
        segment.header.generation = generation;
        segment.sealed = AtomicU32::new(0);
        segment.cursors = [const { AtomicU32::new(HEADER_LEN as u32) }; MAX_DESTINATIONS];
        segment.sequences = [const { AtomicU32::new(0) }; MAX_DESTINATIONS];
        segment.write_header();
        self
    }

    /// Marks the segment's range as free in the file. Nobody reads or writes it any more.
    pub fn free(&self) {
        self.chunk.write(
            self.offset,
            &Header {
                generation: 0,
                len: self.header.len,
            }
            .to_bytes(),
        );
    }

    fn write_header(&self) {
        // The first commit word may be an old one's: it goes before the header makes it count.
        self.chunk.write(self.offset + HEADER_LEN, &[0; 8]);
        self.chunk.write(self.offset, &self.header.to_bytes());
    }

    /// Whether the file has stopped taking what is written.
    pub fn has_failed(&self) -> bool {
        self.chunk.has_failed()
    }

    pub fn pin(&self) {
        self.pins.fetch_add(1, Ordering::Relaxed);
    }

    pub fn unpin(&self) {
        self.pins.fetch_sub(1, Ordering::Release);
    }

    pub fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Acquire) != 0
    }

    pub fn base(&self) -> *mut u8 {
        // SAFETY: `offset + len <= the chunk's length`, by construction.
        unsafe { self.chunk.base().as_ptr().add(self.offset) }
    }

    pub fn len(&self) -> usize {
        self.header.len
    }

    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// Writes a range of the segment to the file as well, where the memory is not the file.
    #[inline]
    pub fn write_through(&self, at: usize, len: usize) {
        if self.chunk.writes_through() {
            self.chunk.write_back(self.offset + at, len);
        }
    }

    /// No lease will write here again: the records end at `end`.
    pub fn seal(&self, end: usize) {
        self.sealed.store(end as u32, Ordering::Release);
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire) != 0
    }

    /// Everything before this is settled for that destination.
    pub fn cursor(&self, destination: usize) -> u32 {
        self.cursors[destination].load(Ordering::Relaxed)
    }

    /// Settles everything before `offset`, in the header first.
    pub fn set_cursor(&self, destination: usize, offset: u32) {
        let sequence = self.sequences[destination].load(Ordering::Relaxed).wrapping_add(1);
        let cursor = Cursor { offset, sequence };
        let at = Cursor::position(destination, sequence);
        self.chunk.write(self.offset + at, &cursor.to_bytes(self.generation()));
        self.sequences[destination].store(sequence, Ordering::Relaxed);
        self.cursors[destination].store(offset, Ordering::Relaxed);
    }

    /// Whether no record stands or will ever stand behind this offset.
    pub fn ends_at(&self, offset: u32) -> bool {
        let sealed = self.sealed.load(Ordering::Acquire);
        sealed != 0 && offset >= sealed
    }

    /// The records committed from `offset` on, as (offset, stride) pairs, without looking into them.
    pub fn committed(&self, offset: u32) -> impl Iterator<Item = (usize, usize)> + '_ {
        let mut at = offset as usize;
        std::iter::from_fn(move || {
            let (_, next) = self.committed_at(at)?;
            Some((std::mem::replace(&mut at, next), next))
        })
    }

    /// Copies the record at `offset` into `copy` and checks the copy.
    ///
    /// `None`: nothing is committed there. `Some(None, next)`: what is there is no record of ours (the file was changed
    /// by somebody else); it is skipped by its length.
    pub fn copy<'c>(&self, offset: usize, copy: &'c mut Vec<u8>) -> Option<(Option<Record<'c>>, usize)> {
        let (start, next) = self.committed_at(offset)?;
        copy.clear();
        copy.resize(next - start, 0);
        // SAFETY: `committed_at` checked that `start..next` lies in the segment; its commit word was loaded with Acquire
        // and not zero, so the lease has left that range for good.
        unsafe {
            copy.as_mut_ptr()
                .copy_from_nonoverlapping(self.base().add(start), next - start);
        };
        // The copy starts at 0, the CRC knows the record's place: put the difference into the generation.
        let generation = self.generation() ^ start as u64;
        match record::read(copy, 0, generation) {
            Found::Record(record, _) => Some((Some(record), next)),
            Found::Nothing | Found::Torn => Some((None, next)),
        }
    }

    fn committed_at(&self, at: usize) -> Option<(usize, usize)> {
        if at + 4 > self.len() {
            return None;
        }
        let commit = u32::from_le(self.commit_word(at).load(Ordering::Acquire));
        let (_, _, next) = record::check_commit_word(commit, at, self.len())?;
        Some((at, next))
    }

    fn commit_word(&self, at: usize) -> &AtomicU32 {
        assert!(
            at.is_multiple_of(8) && at + 4 <= self.len(),
            "a commit word lies in its segment"
        );
        // SAFETY: in range and aligned (segments begin at multiples of `UNIT` of a page-aligned region); commit words are
        // only ever stored atomically or by the lease before anybody can reach them through an earlier record.
        unsafe { AtomicU32::from_ptr(self.base().add(at).cast()) }
    }
}
