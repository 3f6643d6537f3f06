//! A segment: the piece of a chunk that one lease writes.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use throughline_wire::{SpanView, span_prefix};

use super::allocator::Range;
use super::memory::Region;
use super::store::lock;
use crate::format::header::{Cursor, HEADER_LEN, Header, MAX_DESTINATIONS, Sealed};
use crate::format::record::{self, FRAME, HEADER, Kind};

/// A segment of this store, from its lease to its eviction.
pub(crate) struct Segment {
    range: Range,
    header: Header,
    /// When it was leased, as a number that counts leases; 0 before.
    order: AtomicU64,
    /// The memory of a segment whose chunk has none, until it is sealed.
    own: Mutex<Option<Arc<Region>>>,
    /// Where the records end, once no lease will write here again; 0 until then.
    closed: AtomicU32,
    /// Whether the header says so, too. Nothing is evicted before.
    sealed: AtomicBool,
    /// Whether its memory was given back to the kernel.
    is_released: AtomicBool,
    /// Whether the file lacks something of it, so that its own memory is all there is.
    is_lost: AtomicBool,
    cursors: [DestinationCursor; MAX_DESTINATIONS],
    /// Readers that use the segment at this moment, or `EVICTED`.
    pins: AtomicU32,
    counted: Mutex<Counted>,
}

/// Written by the one reader of its destination.
#[derive(Default)]
struct DestinationCursor {
    offset: AtomicU32,
    sequence: AtomicU32,
    settled: AtomicU32,
    /// What the settled items take, in bytes.
    settled_bytes: AtomicU32,
}

/// What is known of the records; `to` only rises.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    /// Everything before this is counted.
    pub to: u32,
    /// Items, and their bytes.
    pub records: u32,
    pub bytes: u32,
    /// The earliest start and the latest end, in nanoseconds since 1970.
    pub first: u64,
    pub last: u64,
}

/// Nobody may pin the segment any more.
const EVICTED: u32 = 1 << 31;

impl Segment {
    /// Puts a range into use: its records so far are those of `first`, a whole row of records from `HEADER_LEN` on.
    ///
    /// The range belongs to the caller alone, and the file says that it is free; `own` is memory of this length or more where
    /// the chunk has none. Returns the segment and its memory.
    pub fn create(range: Range, header: Header, own: Option<Region>, first: &[u8]) -> (Arc<Self>, Option<Arc<Region>>) {
        assert_eq!(own.is_none(), range.chunk.region().is_some(), "one memory or the other");
        assert!(
            own.as_ref().is_none_or(|own| own.len() >= range.len),
            "the segment lies in its memory"
        );
        let own = own.map(Arc::new);
        let segment = Self {
            range,
            header,
            order: AtomicU64::new(0),
            own: Mutex::new(own.clone()),
            closed: AtomicU32::new(0),
            sealed: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            is_lost: AtomicBool::new(false),
            cursors: std::array::from_fn(|_| DestinationCursor {
                offset: AtomicU32::new(HEADER_LEN as u32),
                ..DestinationCursor::default()
            }),
            pins: AtomicU32::new(0),
            counted: Mutex::new(Counted {
                to: HEADER_LEN as u32,
                records: 0,
                bytes: 0,
                first: u64::MAX,
                last: 0,
            }),
        };
        let base = segment.base(own.as_deref());
        // The old first commit word goes first, the header last: at no moment does it stand before anything but records of
        // its own.
        let records = [first, &[0; 8]].concat();
        // SAFETY: the range is the caller's alone, and `HEADER_LEN + records` lies in it (the caller asked for that much).
        unsafe {
            assert!(HEADER_LEN + records.len() <= segment.len(), "the first records fit");
            base.add(HEADER_LEN)
                .copy_from_nonoverlapping(records.as_ptr(), records.len());
            std::sync::atomic::fence(Ordering::Release);
            base.copy_from_nonoverlapping(header.to_bytes().as_ptr(), HEADER_LEN);
        }
        if own.is_some() {
            segment.write_records(&records, HEADER_LEN);
            segment.write_records(&header.to_bytes(), 0);
        }
        (Arc::new(segment), own)
    }

    /// The segment's first byte: in the chunk's memory, or in memory of its own.
    pub fn base(&self, own: Option<&Region>) -> *mut u8 {
        match (self.range.chunk.region(), own) {
            // SAFETY: `offset + len <= the chunk's length`, by construction.
            (Some(region), _) => unsafe { region.base().as_ptr().add(self.range.offset) },
            (None, Some(own)) => own.base().as_ptr(),
            (None, None) => unreachable!("a segment without its chunk's memory has its own while it is written"),
        }
    }

    pub fn range(&self) -> &Range {
        &self.range
    }

    pub fn len(&self) -> usize {
        self.header.len
    }

    pub fn generation(&self) -> u64 {
        self.header.generation
    }

    /// The place of its lease among all leases.
    pub fn order(&self) -> u64 {
        self.order.load(Ordering::Relaxed)
    }

    pub fn set_order(&self, order: u64) {
        self.order.store(order, Ordering::Relaxed);
    }

    /// Whether the file lacks something of what was written.
    pub fn has_failed(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed)
    }

    /// Writes a part of the segment to the file as well, where the memory is not the file.
    #[cold]
    pub fn write_through(&self, own: &Region, at: usize, len: usize) {
        assert!(at + len <= own.len(), "a write lies in its segment");
        // SAFETY: in range; this thread wrote the bytes, and nobody writes them while the slice lives.
        let bytes = unsafe { std::slice::from_raw_parts(own.base().as_ptr().add(at), len) };
        self.write_records(bytes, at);
    }

    /// Writes to the file what is to survive. A failure is remembered, and said by the maintenance thread.
    fn write_records(&self, bytes: &[u8], at: usize) {
        if !self.range.chunk.write_records(bytes, self.range.offset + at) {
            self.is_lost.store(true, Ordering::Relaxed);
        }
    }

    /// No lease will write here again: the records end at `end`.
    pub fn close(&self, end: usize) {
        self.closed.store(end as u32, Ordering::Release);
        self.range.chunk.open_segments.fetch_sub(1, Ordering::AcqRel);
    }

    /// Where the records end, if no lease will write here again.
    pub fn closed(&self) -> Option<u32> {
        let end = self.closed.load(Ordering::Acquire);
        (end != 0).then_some(end)
    }

    /// Says in the header what the segment holds. Returns memory that the file makes up for.
    pub fn seal(&self) -> Option<Arc<Region>> {
        let end = self.closed()?;
        let counted = *lock(&self.counted);
        let sealed = Sealed {
            end,
            records: counted.records,
            first: if counted.records == 0 { 0 } else { counted.first },
            last: counted.last,
        };
        // A file that lacks something is not said to be whole.
        if !self.has_failed() {
            self.write_header(Sealed::AT, &sealed.to_bytes(self.generation()));
        }
        self.sealed.store(true, Ordering::Release);
        if self.has_failed() {
            return None;
        }
        lock(&self.own).take()
    }

    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Gives the memory of a sealed segment back; the file has what it held.
    pub fn release_memory(&self) {
        if let Some(region) = self.range.chunk.region() {
            if !self.range.chunk.is_in_memory() {
                self.is_released.store(true, Ordering::Relaxed);
                region.release(self.range.offset, self.range.len);
            }
        }
    }

    /// Marks the range as free in the file. Nobody reads or writes it any more.
    pub fn write_free_header(&self) {
        self.write_header(0, &Header::free(self.header.len).to_bytes());
    }

    /// Writes to the header: to the memory, where the segment has some, else to the file.
    ///
    /// What a file does not take here is not lost: cursors and free headers that are old mean only that records come twice.
    fn write_header(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= HEADER_LEN, "a part of the header");
        let is_written = self.is_sealed() && !self.range.chunk.is_in_memory();
        let own = lock(&self.own).clone();
        if own.is_none() && (is_written || self.range.chunk.region().is_none()) {
            // Through the file: a mapping may have been released, and comes back with a page fault.
            let written = self.range.chunk.write_header(bytes, self.range.offset + at);
            if written.is_ok() || self.range.chunk.region().is_none() {
                return;
            }
        }
        // SAFETY: in range; this part of the header is written by the caller alone (a cursor by its destination's one reader,
        // the rest by whoever seals or frees the segment), and other processes only read it.
        unsafe {
            self.base(own.as_deref())
                .add(at)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        if own.is_some() {
            let _ = self.range.chunk.write_header(bytes, self.range.offset + at);
        }
    }

    /// How far a destination has got.
    pub fn cursor(&self, destination: usize) -> Cursor {
        let cursor = &self.cursors[destination];
        Cursor {
            offset: cursor.offset.load(Ordering::Acquire),
            sequence: cursor.sequence.load(Ordering::Relaxed),
            settled: cursor.settled.load(Ordering::Relaxed),
        }
    }

    /// What the items that a destination has got take, in bytes.
    pub fn settled_bytes(&self, destination: usize) -> u32 {
        self.cursors[destination].settled_bytes.load(Ordering::Relaxed)
    }

    /// Settles everything before `offset`, in which there are `settled` items of `bytes` more than before, in the header
    /// first.
    ///
    /// Called by the destination's one reader.
    pub fn set_cursor(&self, destination: usize, offset: u32, settled: u32, bytes: u32) {
        let moved = self.cursor(destination).moved(offset, settled);
        self.write_header(moved.position(destination), &moved.to_bytes(self.generation()));
        let cursor = &self.cursors[destination];
        cursor.sequence.store(moved.sequence, Ordering::Relaxed);
        cursor.settled.store(moved.settled, Ordering::Relaxed);
        cursor.settled_bytes.fetch_add(bytes, Ordering::Relaxed);
        cursor.offset.store(offset, Ordering::Release);
    }

    /// Whether a destination has everything that is or will be here.
    pub fn is_settled_for(&self, destination: usize) -> bool {
        self.closed()
            .is_some_and(|end| self.cursors[destination].offset.load(Ordering::Acquire) >= end)
    }

    /// Keeps the segment from being evicted until the pin is dropped. `None`: it was evicted.
    pub fn pin(self: &Arc<Self>) -> Option<Pin> {
        pins::pin(&self.pins).then(|| Pin(self.clone()))
    }

    /// Whether somebody reads it at this moment.
    pub fn is_pinned(&self) -> bool {
        self.pins.load(Ordering::Relaxed) != 0
    }

    /// Evicts the segment, unless it is pinned or still written.
    pub fn evict(&self) -> bool {
        self.is_sealed() && pins::evict(&self.pins)
    }

    /// Counts what was committed since the last call. Returns how many items and bytes that is.
    ///
    /// Looks at the memory, so only for segments whose memory is there: until they are sealed.
    pub fn count(&self) -> (u32, u32) {
        let own = lock(&self.own).clone();
        let mut counted = lock(&self.counted);
        let before = *counted;
        if self.is_sealed() || own.is_none() && self.range.chunk.region().is_none() {
            return (0, 0);
        }
        let base = self.base(own.as_deref());
        let end = self.closed().map_or(self.len(), |end| end as usize);
        while let Some((kind, body, next)) = self.committed_at(base, counted.to as usize, end) {
            if kind.is_item() {
                counted.records += 1;
                counted.bytes += next as u32 - counted.to;
                // SAFETY: the record is committed, so its bytes are in the segment and will not change.
                let body = unsafe { std::slice::from_raw_parts(base.add(counted.to as usize + HEADER + FRAME), body) };
                let (start, end) = times(body);
                counted.first = counted.first.min(start);
                counted.last = counted.last.max(end);
            }
            counted.to = next as u32;
        }
        (counted.records - before.records, counted.bytes - before.bytes)
    }

    /// What is counted so far.
    pub fn counted(&self) -> Counted {
        *lock(&self.counted)
    }

    /// Whether every record is counted and none will come.
    pub fn is_counted(&self) -> bool {
        self.closed().is_some_and(|end| self.counted().to >= end)
    }

    /// Appends the committed records from `from` on to `out`, up to some `most` bytes but at least one record. Returns where
    /// they end.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read(&self, from: u32, most: usize, out: &mut Vec<u8>) -> io::Result<u32> {
        let own = lock(&self.own).clone();
        let has_memory = own.is_some() || self.range.chunk.region().is_some();
        // A sealed segment without memory of its own is whole in its file, whatever that has refused since.
        let is_filed = self.is_sealed() && own.is_none() && !self.range.chunk.is_in_memory();
        if !is_filed || has_memory && !self.is_released.load(Ordering::Relaxed) {
            if !has_memory {
                return Err(io::Error::other("the segment is neither in memory nor in its file"));
            }
            let end = self.read_memory(own.as_deref(), from, most, out);
            // Where a sealed segment has no record before its end, somebody has changed it.
            if !is_filed || end > from || self.closed().is_none_or(|closed| from >= closed) {
                return Ok(end);
            }
        }
        self.read_file(from, most, out).or_else(|error| match has_memory {
            // The mapping serves when the descriptor does not.
            true => Ok(self.read_memory(own.as_deref(), from, most, out)),
            false => Err(error),
        })
    }

    fn read_memory(&self, own: Option<&Region>, from: u32, most: usize, out: &mut Vec<u8>) -> u32 {
        let (from, at) = (from as usize, out.len());
        let base = self.base(own);
        let limit = self.closed().map_or(self.len(), |end| end as usize);
        let mut end = from;
        while let Some((_, _, next)) = self.committed_at(base, end, limit) {
            if end > from && next - from > most {
                break;
            }
            end = next;
        }
        out.reserve(end - from);
        // SAFETY: `committed_at` checked that `from..end` lies in the segment; the commit words were loaded with Acquire and
        // not zero, so the lease has left that range for good. The room was reserved, and is initialised by the copy.
        unsafe {
            out.as_mut_ptr()
                .add(at)
                .copy_from_nonoverlapping(base.add(from), end - from);
            out.set_len(at + end - from);
        }
        end as u32
    }

    /// Of a sealed segment.
    fn read_file(&self, from: u32, most: usize, out: &mut Vec<u8>) -> io::Result<u32> {
        let (from, at) = (from as usize, out.len());
        let end = self.closed().map_or(0, |end| end as usize);
        let len = (end.saturating_sub(from)).min(most.max(HEADER + FRAME));
        out.resize(at + len, 0);
        let read = self.range.chunk.read_file(&mut out[at..], self.range.offset + from);
        let read = read.unwrap_or_else(|| Err(io::Error::other("the segment has no file")));
        read.inspect_err(|_| out.truncate(at))?;
        // Up to the last whole record; a longer one than asked for is read by itself.
        let mut whole = 0;
        while let Some((_, _, next)) = self.record_in(&out[at..], whole, from) {
            whole = next - from;
        }
        if whole == 0 && from + len < end {
            out.truncate(at);
            return self.read_file(from as u32, most.saturating_mul(2).max(64 << 10), out);
        }
        // Where no record stands, somebody has changed the file: the rest cannot be told apart.
        if whole == 0 {
            whole = len;
        }
        out.truncate(at + whole);
        Ok((from + whole) as u32)
    }

    /// The record that seems to stand at `at` of a copy that begins at `from` of the segment, wholly in the copy.
    fn record_in(&self, copy: &[u8], at: usize, from: usize) -> Option<(Kind, usize, usize)> {
        let commit = record::read_u32(copy, at).filter(|commit| *commit != 0)?;
        let found = record::check_commit_word(commit, from + at, self.len())?;
        (found.2 - from <= copy.len()).then_some(found)
    }

    /// The kind and length of the record at `at`, and where the next begins. `None`: nothing is committed there.
    fn committed_at(&self, base: *mut u8, at: usize, end: usize) -> Option<(Kind, usize, usize)> {
        if at + 4 > end {
            return None;
        }
        assert!(at % 8 == 0, "a commit word lies at a multiple of 8");
        // SAFETY: in range and aligned (segments begin at multiples of `UNIT` of a page-aligned region); commit words are
        // only ever stored atomically, or by the lease before anybody can reach them through an earlier record.
        let word = unsafe { AtomicU32::from_ptr(base.add(at).cast()) };
        let commit = u32::from_le(word.load(Ordering::Acquire));
        if commit == 0 {
            return None;
        }
        record::check_commit_word(commit, at, end)
    }
}

/// When a span began and ended. Its fields mostly stand where `throughline_wire::span_prefix` puts them.
pub(crate) fn times(body: &[u8]) -> (u64, u64) {
    for shift in [0, span_prefix::ROOT_START] {
        let (start, end) = (span_prefix::START_TIME - shift, span_prefix::END_TIME - shift);
        if let (Some(&[0x39, ref time @ ..]), Some(&[0x41, ref other @ ..])) =
            (body.get(start - 1..start + 8), body.get(end - 1..end + 8))
        {
            let read = |time: &[u8]| u64::from_le_bytes(time.try_into().expect("8 bytes"));
            return (read(time), read(other));
        }
    }
    let view = SpanView::new(body);
    (view.start_time_unix_nano(), view.end_time_unix_nano())
}

/// Keeps a segment from being evicted.
pub(crate) struct Pin(Arc<Segment>);

impl Pin {
    pub fn segment(&self) -> &Arc<Segment> {
        &self.0
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        pins::unpin(&self.0.pins);
    }
}

/// The count of pins: a segment is evicted only when nobody has pinned it, and is not pinned any more after that.
pub(crate) mod pins {
    use super::EVICTED;

    #[cfg(not(all(test, loom)))]
    use std::sync::atomic::{AtomicU32, Ordering};
    #[cfg(all(test, loom))]
    use {
        loom::sync::atomic::AtomicU32 as LoomU32,
        std::sync::atomic::{AtomicU32, Ordering},
    };

    /// What pins need of an atomic number.
    pub(crate) trait Count {
        fn try_change(&self, change: impl Fn(u32) -> Option<u32>) -> bool;
    }

    impl Count for AtomicU32 {
        fn try_change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
            self.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
        }
    }

    #[cfg(all(test, loom))]
    impl Count for LoomU32 {
        fn try_change(&self, change: impl Fn(u32) -> Option<u32>) -> bool {
            self.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
        }
    }

    pub(crate) fn pin(count: &impl Count) -> bool {
        count.try_change(|pins| (pins & EVICTED == 0).then_some(pins + 1))
    }

    pub(crate) fn unpin(count: &impl Count) {
        count.try_change(|pins| Some(pins - 1));
    }

    pub(crate) fn evict(count: &impl Count) -> bool {
        count.try_change(|pins| (pins == 0).then_some(EVICTED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_segment_is_not_evicted_and_evicted_one_is_not_pinned() {
        let count = AtomicU32::new(0);
        assert!(pins::pin(&count) && pins::pin(&count) && !pins::evict(&count));
        pins::unpin(&count);
        pins::unpin(&count);
        assert!(pins::evict(&count) && !pins::pin(&count) && !pins::evict(&count));
    }

    #[test]
    fn times_are_found_at_their_places_and_elsewhere() {
        let root = crate::fixture::span(7, "root");
        assert_eq!(times(&root), (7, 0));
        // The same fields in another order: end, then start.
        let mut other = vec![0x41];
        other.extend_from_slice(&9_u64.to_le_bytes());
        other.push(0x39);
        other.extend_from_slice(&5_u64.to_le_bytes());
        assert_eq!(times(&other), (5, 9));
    }
}

/// Every interleaving of a reader that pins and an eviction.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32 as LoomU32, Ordering};
    use loom::thread;

    use super::pins;

    #[test]
    fn loom_nobody_reads_what_was_evicted() {
        loom::model(|| {
            // The second number stands for the memory: 1 once it belongs to somebody else.
            let shared = Arc::new((LoomU32::new(0), LoomU32::new(0)));
            let other = shared.clone();
            let evictor = thread::spawn(move || {
                if pins::evict(&other.0) {
                    other.1.store(1, Ordering::Relaxed);
                }
            });
            if pins::pin(&shared.0) {
                assert_eq!(
                    shared.1.load(Ordering::Relaxed),
                    0,
                    "a pinned segment's memory is its own"
                );
                pins::unpin(&shared.0);
            }
            evictor.join().expect("the evictor ends well");
        });
    }
}
