//! The writer's end of a segment: one thread, appending records.
//!
//! The protocol, which the loom test below and the tail reader hold it to: the payload and the zero in the *next*
//! commit word are stored first, the commit word last, with Release. A reader that loads a commit word with Acquire
//! and finds it not zero therefore sees a whole record, and a zero (or a record) behind it.

use std::sync::Arc;

use crate::crc::{self, OVERRUN};
use crate::record::{self, Kind};
use crate::segment::{HEADER_LEN, Segment};

/// Room kept behind the last record: the overrun of a copy and the next commit word.
pub(crate) const SLACK: usize = OVERRUN + 8;

/// What a lease stores through: the memory of one segment. `at` and lengths count bytes from the segment's start.
///
/// # Safety of the callers
///
/// Every range, and `OVERRUN` bytes behind that of `copy`, lies inside the segment, `at` is a multiple of 4, and no other
/// thread writes there.
pub(crate) trait Memory {
    /// # Safety
    /// See the trait.
    unsafe fn store(&self, at: usize, value: u32);
    /// Stores with Release.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn commit(&self, at: usize, value: u32);
    /// Stores `head` and a body behind it, and returns their CRC-32C, continued from `seed`.
    ///
    /// # Safety
    /// See the trait.
    unsafe fn copy(&self, at: usize, head: u64, body: Body<'_>, seed: u32) -> u32;
    /// A record was committed to this range, which includes the next commit word.
    ///
    /// # Safety
    /// See the trait.
    #[inline]
    unsafe fn committed(&self, _at: usize, _len: usize) {}
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

/// The bytes of a record's body.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    bytes: &'a [u8],
    may_overread: bool,
}

impl<'a> Body<'a> {
    /// Bytes of their own.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            may_overread: false,
        }
    }

    /// `buffer[start..end]`, of which the copy may read on.
    ///
    /// # Panics
    ///
    /// The buffer does not go on for `OVERRUN` bytes.
    #[inline]
    pub fn within(buffer: &'a [u8], start: usize, end: usize) -> Self {
        assert!(end + OVERRUN <= buffer.len(), "a body has bytes behind it");
        Self {
            bytes: &buffer[start..end],
            may_overread: true,
        }
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
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
        let len = body.len();
        let next = self.at + record::stride(len);
        assert!(next <= self.limit, "a record was appended without room for it");
        let commit = record::commit_word(kind, len);
        let seed = record::seed(self.generation, self.at as u32, commit);
        let head = u64::from(scope) | u64::from(u32::from_le_bytes(record::frame(len))) << 32;
        let memory = &self.memory;
        let at = self.at;
        // SAFETY: `at` and `next` are multiples of 8 and `next + SLACK <= the segment's length` was asserted above, which
        // covers the copy's overrun and the next commit word; this lease is the segment's only writer.
        unsafe {
            let crc = memory.copy(at + 8, head, body, seed);
            memory.store(next, 0);
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
    unsafe fn copy(&self, at: usize, head: u64, body: Body<'_>, seed: u32) -> u32 {
        // SAFETY: in range by the trait's contract; `Body` answers for its own end; an open span's buffer, or any slice of
        // a caller's, does not overlap a segment.
        unsafe {
            crc::copy(
                self.base.add(at),
                head,
                body.bytes.as_ptr(),
                body.len(),
                body.may_overread,
                seed,
            )
        }
    }

    #[inline]
    unsafe fn committed(&self, at: usize, len: usize) {
        self.segment.write_through(at, len);
    }
}
