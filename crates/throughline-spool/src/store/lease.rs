//! The writer's end of a segment: one thread, appending records.
//!
//! The protocol, which the loom test below and the consumer hold it to: the payload and the zero in the *next*
//! commit word are stored first, the commit word last, with Release. A reader that loads a commit word with Acquire
//! and finds it not zero therefore sees a whole record, and a zero (or a record) behind it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::crc::{self, OVERRUN};
use super::memory::Region;
use super::segment::Segment;
use crate::format::record::{self, Kind};

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
    /// The same, mixed for the seeds of records.
    mixed: u32,
    /// The sources whose records stand in the segment, by their numbers: one bit each below 64, the others in the list.
    sources: u64,
    more_sources: Vec<u32>,
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

/// A place for one record, from `Lease::place`.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Where the record begins.
    pub at: usize,
    next: usize,
}

impl<M: Memory> Lease<M> {
    /// Where a record of this source with a body of this length would go, if it fits and the source's own record is there.
    #[inline]
    pub fn place(&self, source: u32, body: usize) -> Option<Place> {
        let next = self.at + record::stride(body);
        let is_known = source < 64 && self.sources >> source & 1 != 0;
        if next <= self.limit && is_known {
            Some(Place { at: self.at, next })
        } else {
            self.place_of_rare_source(source, next)
        }
    }

    #[cold]
    #[inline(never)]
    fn place_of_rare_source(&self, source: u32, next: usize) -> Option<Place> {
        let is_known = self.more_sources.contains(&source) && next <= self.limit;
        is_known.then_some(Place { at: self.at, next })
    }

    /// Appends the record of a source, if it fits with a record with a body of `room` bytes behind it.
    pub fn append_source(&mut self, source: u32, bytes: &[u8], room: usize) -> bool {
        if self.knows(source) {
            return true;
        }
        let next = self.at + record::stride(bytes.len());
        if next + record::stride(room) > self.limit {
            return false;
        }
        self.append(Place { at: self.at, next }, Kind::Source, source, Body::new(bytes));
        if source < 64 {
            self.sources |= 1 << source;
        } else {
            self.more_sources.push(source);
        }
        true
    }

    fn knows(&self, source: u32) -> bool {
        source < 64 && self.sources >> source & 1 != 0 || self.more_sources.contains(&source)
    }

    /// Appends a record at the place that was found for a body of this length.
    #[inline]
    pub fn append(&mut self, place: Place, kind: Kind, source: u32, body: Body<'_>) {
        let Place { at, next } = place;
        let len = body.len();
        debug_assert!(
            at == self.at && next == at + record::stride(len) && next <= self.limit,
            "a place of this lease"
        );
        let commit = record::commit_word(kind, len);
        let seed = record::seed(self.mixed, at as u32, commit);
        let head = u64::from(source) | u64::from(u32::from_le_bytes(record::frame(len))) << 32;
        let memory = &self.memory;
        // SAFETY: `place` made `at` and `next`, which are multiples of 8, for a body of this length, so that
        // `next + SLACK <= the segment's length`: that covers the copy's overrun and the next commit word. This lease is the
        // segment's only writer.
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

/// A segment in memory: that of its chunk, or its own.
pub(crate) struct Mapped {
    base: *mut u8,
    segment: Arc<Segment>,
    /// The segment's own memory, where its chunk's file is written.
    own: Option<Arc<Region>>,
}

// SAFETY: the pointer points into memory that `segment` or `own` keeps alive; the lease that holds it is the only writer.
unsafe impl Send for Mapped {}

impl<M> Lease<M> {
    #[inline]
    pub fn generation(&self) -> u64 {
        self.generation
    }
}

impl Lease<Mapped> {
    /// The lease of a segment to which nobody else holds one, and in which records stand up to `at`.
    pub fn new(segment: Arc<Segment>, own: Option<Arc<Region>>, at: usize) -> Self {
        Self {
            at,
            limit: segment.len() - SLACK,
            generation: segment.generation(),
            mixed: record::mixed(segment.generation()),
            sources: 0,
            more_sources: Vec::new(),
            memory: Mapped {
                base: segment.base(own.as_deref()),
                segment,
                own,
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

    /// Appends finished records of a source, for all of which there is room. Where the file is written, they go there in one
    /// write.
    pub fn append_all(&mut self, source: u32, bodies: &[&[u8]]) {
        let start = self.at;
        // Without memory of its own a lease writes nothing through.
        let own = self.memory.own.take();
        for body in bodies {
            if let Some(place) = self.place(source, body.len()) {
                self.append(place, Kind::Finished, source, Body::new(body));
            } else {
                debug_assert!(false, "there is room for all of them");
            }
        }
        if let Some(own) = &own {
            if self.at > start {
                // With the next commit word.
                self.memory.segment.write_through(own, start, self.at + 4 - start);
            }
        }
        self.memory.own = own;
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
        // SAFETY: in range and aligned by the trait's contract; commit words are only accessed atomically once they can be
        // reached.
        unsafe { AtomicU32::from_ptr(self.base.add(at).cast()) }.store(value.to_le(), Ordering::Release);
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
        if let Some(own) = &self.own {
            self.segment.write_through(own, at, len);
        }
    }
}

/// Every interleaving of a writer and a reader: `RUSTFLAGS="--cfg loom" cargo test -p throughline-spool loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32 as LoomU32;
    use loom::thread;

    use super::*;
    use crate::format::record::Found;

    const WORDS: usize = 20;
    const GENERATION: u64 = 7;

    /// A segment that is stored word by word, each of which a reader may see late unless it is told otherwise.
    struct Words(Vec<LoomU32>);

    impl Memory for Arc<Words> {
        unsafe fn store(&self, at: usize, value: u32) {
            self.0[at / 4].store(value, Ordering::Relaxed);
        }

        unsafe fn commit(&self, at: usize, value: u32) {
            self.0[at / 4].store(value, Ordering::Release);
        }

        unsafe fn copy(&self, at: usize, head: u64, body: Body<'_>, seed: u32) -> u32 {
            let mut bytes = head.to_le_bytes().to_vec();
            bytes.extend_from_slice(body.bytes);
            for (n, word) in bytes.chunks(4).enumerate() {
                let word = u32::from_le_bytes(word.try_into().expect("bodies of whole words"));
                self.0[at / 4 + n].store(word, Ordering::Relaxed);
            }
            crc32c::crc32c_append(seed, &bytes)
        }
    }

    #[test]
    fn reader_sees_whole_records_or_none() {
        loom::model(|| {
            // What an earlier generation has left, but for the first commit word.
            let words = (0..WORDS)
                .map(|n| LoomU32::new(if n == 0 { 0 } else { 0x0100_0008 }))
                .collect();
            let words = Arc::new(Words(words));
            let mut lease = Lease {
                memory: words.clone(),
                at: 0,
                limit: WORDS * 4 - SLACK,
                generation: GENERATION,
                mixed: record::mixed(GENERATION),
                sources: 1,
                more_sources: Vec::new(),
            };
            let writer = thread::spawn(move || {
                for body in [*b"aaaa", *b"bbbb"] {
                    let place = lease.place(0, 4).expect("there is room for two");
                    lease.append(place, Kind::Finished, 0, Body::new(&body));
                }
            });
            let mut at = 0;
            for expected in [b"aaaa", b"bbbb"] {
                if words.0[at / 4].load(Ordering::Acquire) == 0 {
                    break;
                }
                let bytes: Vec<u8> = words
                    .0
                    .iter()
                    .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
                    .collect();
                match record::read(&bytes, at, GENERATION) {
                    Found::Record(record, next) => {
                        assert_eq!(record.body(), expected);
                        at = next;
                    }
                    other => panic!("{other:?} at {at}"),
                }
            }
            writer.join().expect("the writer ends well");
        });
    }
}
