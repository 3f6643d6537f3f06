//! The writer's end of a segment: one thread, appending records.
//!
//! The protocol, which the loom test below and the tail reader hold it to: the payload and the zero in the *next*
//! commit word are stored first, the commit word last, with Release. A reader that loads a commit word with Acquire
//! and finds it not zero therefore sees a whole record, and a zero (or a record) behind it.

use std::sync::Arc;

use crate::record::{self, FRAME, HEADER, Kind};
use crate::segment::{HEADER_LEN, Segment};

/// Bodies are copied in blocks of this many bytes, so a copy may run this far past the record's end.
pub(crate) const BLOCK: usize = 32;
/// Room kept behind the last record: the overrun of a block copy and the next commit word.
pub(crate) const SLACK: usize = BLOCK + 8;

/// What a lease stores through: the memory of one segment. `at` and lengths count bytes from the segment's start.
///
/// # Safety of the callers
///
/// Every range lies inside the segment, `at` of the `u32` calls is a multiple of 4, and no other thread writes there.
pub(crate) trait Memory {
    /// # Safety
    /// See the trait.
    unsafe fn store(&self, at: usize, value: u32);
    /// Stores with Release.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn commit(&self, at: usize, value: u32);
    /// Copies `bytes`, and possibly up to `BLOCK - 1` arbitrary bytes behind them.
    ///
    /// # Safety
    /// See the trait; `bytes` is readable up to the next multiple of `BLOCK` of its length when `blocks` is set.
    unsafe fn copy(&self, at: usize, bytes: &[u8], blocks: bool);
    /// A record was committed to this range, which includes the next commit word.
    ///
    /// # Safety
    /// See the trait.
    #[inline]
    unsafe fn committed(&self, _at: usize, _len: usize) {}
    /// The CRC-32C of a range that this thread has written, continued from `seed`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn crc(&self, seed: u32, at: usize, len: usize) -> u32;
}

/// The right to append to one segment.
pub(crate) struct Lease<M = Mapped> {
    memory: M,
    /// Where the next record begins: `HEADER_LEN <= at <= limit`.
    at: usize,
    /// The segment's length less `SLACK`.
    limit: usize,
    generation: u64,
}

/// A body, and whether it may be copied in whole blocks (it lies in a buffer that is readable past its end).
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    pub bytes: &'a [u8],
    pub blocks: bool,
}

impl<M: Memory> Lease<M> {
    /// Where the next record of this length would begin, if it fits.
    #[inline]
    pub fn room_for(&self, body: usize) -> Option<u32> {
        (self.at + record::stride(body) <= self.limit).then_some(self.at as u32)
    }

    /// Appends a record. `room_for` must have said that it fits.
    #[inline]
    pub fn append(&mut self, kind: Kind, scope: u32, body: Body<'_>) {
        let len = body.bytes.len();
        let next = self.at + record::stride(len);
        assert!(next <= self.limit, "a record was appended without room for it");
        let commit = record::commit_word(kind, len);
        let seed = record::seed(self.generation, self.at as u32, commit);
        let memory = &self.memory;
        let at = self.at;
        // SAFETY: `at` and `next` are multiples of 8 and `next + SLACK <= the segment's length` was asserted above, which
        // covers the block copy's overrun and the next commit word; this lease is the segment's only writer.
        unsafe {
            memory.store(at + 8, scope);
            memory.store(at + 12, u32::from_le_bytes(record::frame(len)));
            memory.copy(at + HEADER + FRAME, body.bytes, body.blocks);
            memory.store(next, 0);
            let crc = memory.crc(seed, at + 8, 4 + FRAME + len);
            memory.store(at + 4, crc);
            memory.commit(at, commit);
            memory.committed(at, next + 4 - at);
        }
        self.at = next;
    }
}

/// A segment in a [`Region`](crate::memory::Region).
pub(crate) struct Mapped {
    base: *mut u8,
    segment: Arc<Segment>,
}

// SAFETY: the pointer points into the region that `segment` keeps alive; the lease that holds it is the only writer.
unsafe impl Send for Mapped {}

impl Lease<Mapped> {
    /// The lease of a segment to which nobody else holds one.
    pub fn new(segment: Arc<Segment>) -> Self {
        Self {
            at: HEADER_LEN,
            limit: segment.len() - SLACK,
            generation: segment.generation(),
            memory: Mapped {
                base: segment.base(),
                segment,
            },
        }
    }

    pub fn segment(&self) -> &Arc<Segment> {
        &self.memory.segment
    }

    /// How far this lease has written.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl Memory for Mapped {
    #[inline]
    unsafe fn store(&self, at: usize, value: u32) {
        // SAFETY: in range by the trait's contract; readers look here only behind a commit word that is not zero yet.
        unsafe { self.base.add(at).cast::<u32>().write(value.to_le()) };
    }

    #[inline]
    unsafe fn commit(&self, at: usize, value: u32) {
        self.segment.commit(at, value);
    }

    #[inline]
    unsafe fn copy(&self, at: usize, bytes: &[u8], blocks: bool) {
        let from = bytes.as_ptr();
        // SAFETY: in range by the trait's contract.
        let to = unsafe { self.base.add(at) };
        if !blocks {
            // SAFETY: as above; a caller's buffer never overlaps a segment.
            return unsafe { to.copy_from_nonoverlapping(from, bytes.len()) };
        }
        let mut done = 0;
        while done < bytes.len() {
            // SAFETY: `done < len`, so the block starts inside `bytes`, which is readable up to the next multiple of
            // `BLOCK`, and the segment has `SLACK` bytes behind the record.
            unsafe {
                to.add(done)
                    .cast::<[u8; BLOCK]>()
                    .write(from.add(done).cast::<[u8; BLOCK]>().read())
            };
            done += BLOCK;
        }
    }

    #[inline]
    unsafe fn committed(&self, at: usize, len: usize) {
        self.segment.write_through(at, len);
    }

    #[inline]
    unsafe fn crc(&self, seed: u32, at: usize, len: usize) -> u32 {
        // SAFETY: this thread wrote the range just now and nobody writes it while the slice lives.
        crc32c::crc32c_append(seed, unsafe { std::slice::from_raw_parts(self.base.add(at), len) })
    }
}
