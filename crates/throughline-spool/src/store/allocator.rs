//! The segment allocator: which ranges of the chunks are free, and which of those are warm.
//!
//! A *warm* range is allocated and faulted in for writing: whoever writes there meets no page fault. A *cold* one is
//! allocated on disk only. Free neighbours of one chunk merge.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::chunk::Chunk;
use crate::format::header::UNIT;

/// A range of a chunk that belongs to whoever holds this.
#[derive(Clone, Debug)]
pub(crate) struct Range {
    pub chunk: Arc<Chunk>,
    /// Where it begins in the chunk, a multiple of `UNIT`.
    pub offset: usize,
    /// A multiple of `UNIT`, in bytes.
    pub len: usize,
}

/// Free ranges, by the number of their chunk and their offset.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    warm: Ranges,
    cold: Ranges,
    /// Ranges that are not to be leased: of files that have failed, and of memory where files can be had.
    retired: Ranges,
    uses_memory: bool,
    chunks: BTreeMap<u32, Arc<Chunk>>,
    /// Bytes of all chunks in files, and of those in memory.
    file_bytes: usize,
    memory_bytes: usize,
}

#[derive(Debug, Default)]
struct Ranges {
    by_place: BTreeMap<(u32, usize), Range>,
    /// The same by length: whoever takes one does not look at all of them.
    by_len: BTreeSet<(usize, u32, usize)>,
    bytes: usize,
}

impl Range {
    /// Cuts off, and returns, what lies behind the first `len` bytes. `say_free` says in the file that a range is free.
    ///
    /// The old header covers both parts: it has to be shortened before anybody writes to the second, or recovery would step over
    /// that.
    pub fn cut(&mut self, len: usize, say_free: impl Fn(&Chunk, usize, usize)) -> Option<Self> {
        let rest = Self {
            chunk: self.chunk.clone(),
            offset: self.offset + len,
            len: self.len.checked_sub(len).filter(|rest| *rest > 0)?,
        };
        self.len = len;
        // The rest first, so that the file can be walked at every instant.
        say_free(&rest.chunk, rest.offset, rest.len);
        say_free(&self.chunk, self.offset, self.len);
        Some(rest)
    }
}

impl Allocator {
    /// Counts a new chunk, all of which is free and cold.
    pub fn add_chunk(&mut self, chunk: Arc<Chunk>) {
        self.chunks.insert(chunk.number(), chunk.clone());
        let len = chunk.len();
        *self.bytes_of(&chunk) += len;
        self.give_back(Range { chunk, offset: 0, len });
    }

    /// Takes a free range back. It is cold.
    pub fn give_back(&mut self, range: Range) {
        match self.is_retired(&range.chunk) {
            true => self.retired.add(range),
            false => self.cold.add(range),
        }
    }

    /// Puts a range into the stock.
    pub fn add_warm(&mut self, range: Range) {
        match self.is_retired(&range.chunk) {
            true => self.retired.add(range),
            false => self.warm.add(range),
        }
    }

    /// Whether ranges of chunks in memory are leased.
    pub fn set_uses_memory(&mut self, uses: bool) {
        self.uses_memory = uses;
        self.sort_out();
    }

    /// Withdraws the free ranges of files that have failed since the last call.
    pub fn sort_out(&mut self) {
        let is_retired = |range: &Range| range.chunk.has_failed() || range.chunk.is_in_memory() && !self.uses_memory;
        let gone = [self.warm.split_off(is_retired), self.cold.split_off(is_retired)];
        let back = self.retired.split_off(|range| !is_retired(range));
        gone.into_iter().flatten().for_each(|range| self.retired.add(range));
        back.into_iter().for_each(|range| self.cold.add(range));
    }

    fn is_retired(&self, chunk: &Chunk) -> bool {
        chunk.has_failed() || chunk.is_in_memory() && !self.uses_memory
    }

    /// A warm range of `wanted` bytes if there is one, else the longest that has `needed`.
    pub fn take_warm(&mut self, needed: usize, wanted: usize) -> Option<Range> {
        let mut range = self.take(needed, wanted, |allocator| &mut allocator.warm)?;
        // Stores to memory that is there: they wait for nothing.
        if range.len > wanted {
            if let Some(rest) = range.cut(wanted, Chunk::write_free_header) {
                self.add_warm(rest);
            }
        }
        Some(range)
    }

    /// The shortest cold range of at least `wanted` bytes, else the longest that has `needed`. It is not cut: to say so in the
    /// file is not for whoever holds the allocator's lock.
    pub fn take_cold(&mut self, needed: usize, wanted: usize) -> Option<Range> {
        self.take(needed, wanted, |allocator| &mut allocator.cold)
    }

    /// A free range of at least `needed` bytes, cold or warm. It is not cut.
    pub fn take_any(&mut self, needed: usize) -> Option<Range> {
        self.take_cold(needed, needed)
            .or_else(|| self.take(needed, needed, |allocator| &mut allocator.warm))
            .or_else(|| self.take_merged(needed))
    }

    /// Warm and cold neighbours together.
    fn take_merged(&mut self, needed: usize) -> Option<Range> {
        for range in std::mem::take(&mut self.warm).by_place.into_values() {
            self.cold.add(range);
        }
        self.take_cold(needed, needed)
    }

    fn take(&mut self, needed: usize, wanted: usize, from: fn(&mut Self) -> &mut Ranges) -> Option<Range> {
        let range = from(self).take(needed, wanted)?;
        if !range.chunk.has_failed() {
            return Some(range);
        }
        // Rare: it has failed since the last call.
        self.retired.add(range);
        self.sort_out();
        from(self).take(needed, wanted)
    }

    /// The ranges in the stock. They may be leased at any moment.
    pub fn warm_ranges(&self) -> Vec<Range> {
        self.warm.by_place.values().cloned().collect()
    }

    /// Bytes in the stock.
    pub fn warm_bytes(&self) -> usize {
        self.warm.bytes
    }

    /// Bytes that are free and not in the stock.
    pub fn cold_bytes(&self) -> usize {
        self.cold.bytes
    }

    /// Bytes of all chunks in files.
    pub fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    fn bytes_of(&mut self, chunk: &Chunk) -> &mut usize {
        match chunk.is_in_memory() {
            true => &mut self.memory_bytes,
            false => &mut self.file_bytes,
        }
    }

    /// Whether a range of this length could be had if everything were free.
    pub fn could_hold(&self, needed: usize) -> bool {
        let mut chunks = self.chunks.values();
        chunks.any(|chunk| chunk.len() >= needed && !self.is_retired(chunk))
    }

    /// Whether there is a cold range of this length.
    pub fn has_cold(&self, len: usize) -> bool {
        self.cold.longest().is_some_and(|(longest, ..)| longest >= len)
    }

    /// The longest piece of a chunk in which none of these ranges lies, given in order by chunk, offset and length.
    pub fn longest_run(&self, taken: &[(u32, usize, usize)]) -> usize {
        let chunks = self.chunks.values().filter(|chunk| !self.is_retired(chunk));
        let runs = chunks.map(|chunk| {
            let (mut at, mut longest) = (0, 0);
            for (_, offset, len) in taken.iter().filter(|(number, ..)| *number == chunk.number()) {
                longest = longest.max(offset.saturating_sub(at));
                at = offset + len;
            }
            longest.max(chunk.len().saturating_sub(at))
        });
        runs.max().unwrap_or(0)
    }

    /// Bytes of files in which none of these ranges lies.
    pub fn unused_bytes(&self, taken: &[(u32, usize, usize)]) -> usize {
        let is_unused = |chunk: &&Arc<Chunk>| taken.iter().all(|(number, ..)| *number != chunk.number());
        let files = self.chunks.values().filter(|chunk| !chunk.is_in_memory());
        files.filter(is_unused).map(|chunk| chunk.len()).sum()
    }

    /// Bytes of all chunks in memory.
    pub fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Takes out a chunk all of which is free and cold.
    pub fn remove_free_chunk(&mut self) -> Option<Arc<Chunk>> {
        let chunk = self.cold.remove_whole_chunk()?;
        self.forget(&chunk)
    }

    /// Takes out a chunk that is not to be leased and all of which is free.
    pub fn remove_retired_chunk(&mut self) -> Option<Arc<Chunk>> {
        let chunk = self.retired.remove_whole_chunk()?;
        self.forget(&chunk)
    }

    fn forget(&mut self, chunk: &Chunk) -> Option<Arc<Chunk>> {
        *self.bytes_of(chunk) -= chunk.len();
        self.chunks.remove(&chunk.number())
    }
}

impl Ranges {
    fn add(&mut self, mut range: Range) {
        debug_assert!(range.offset % UNIT == 0 && range.len % UNIT == 0);
        let number = range.chunk.number();
        let before = self.by_place.range(..(number, range.offset)).next_back();
        if let Some((&key, before)) = before {
            if key.0 == number && before.offset + before.len == range.offset {
                (range.offset, range.len) = (before.offset, before.len + range.len);
                self.remove(key);
            }
        }
        if let Some(behind) = self.remove((number, range.offset + range.len)) {
            range.len += behind.len;
        }
        self.bytes += range.len;
        self.by_len.insert((range.len, number, range.offset));
        self.by_place.insert((number, range.offset), range);
    }

    fn longest(&self) -> Option<(usize, u32, usize)> {
        self.by_len.last().copied()
    }

    fn remove_whole_chunk(&mut self) -> Option<Arc<Chunk>> {
        let whole = self.by_place.values().find(|range| range.len == range.chunk.len())?;
        let key = (whole.chunk.number(), whole.offset);
        self.remove(key).map(|range| range.chunk)
    }

    /// Takes out the ranges of which this is true.
    fn split_off(&mut self, is_meant: impl Fn(&Range) -> bool) -> Vec<Range> {
        let meant = self.by_place.iter().filter(|(_, range)| is_meant(range));
        let keys: Vec<_> = meant.map(|(key, _)| *key).collect();
        keys.into_iter().filter_map(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: (u32, usize)) -> Option<Range> {
        let range = self.by_place.remove(&key)?;
        self.by_len.remove(&(range.len, key.0, key.1));
        self.bytes -= range.len;
        Some(range)
    }

    /// The shortest range of at least `wanted`, else the longest of at least `needed`.
    fn take(&mut self, needed: usize, wanted: usize) -> Option<Range> {
        let fitting = self.by_len.range((wanted, 0, 0)..).next().copied();
        let (_, number, offset) = fitting.or_else(|| self.longest().filter(|(longest, ..)| *longest >= needed))?;
        self.remove((number, offset))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::files::fake::{FakeFiles, Fate, Operation};
    use crate::format::header::Header;
    use crate::format::recovery;
    use crate::store::memory::Region;
    use crate::store::segment::Segment;
    use crate::store::tier::Tier;

    fn chunk(number: u32, units: usize) -> Arc<Chunk> {
        Arc::new(Chunk::in_memory(number, units * UNIT))
    }

    fn allocator() -> Allocator {
        Allocator {
            uses_memory: true,
            ..Allocator::default()
        }
    }

    /// A cold range of `wanted` bytes, or of as many as there are.
    fn take_cold(allocator: &mut Allocator, needed: usize, wanted: usize) -> Option<Range> {
        let mut range = allocator.take_cold(needed, wanted)?;
        if let Some(rest) = range.cut(wanted, Chunk::write_free_header_to_file) {
            allocator.give_back(rest);
        }
        Some(range)
    }

    fn place(range: &Range) -> (u32, usize, usize) {
        (range.chunk.number(), range.offset / UNIT, range.len / UNIT)
    }

    #[test]
    fn neighbours_merge_in_whatever_order_they_come_back() {
        for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [0, 2, 1]] {
            let mut allocator = allocator();
            allocator.add_chunk(chunk(1, 6));
            let parts: Vec<_> = (0..3)
                .map(|_| take_cold(&mut allocator, UNIT, 2 * UNIT).expect("there is room"))
                .collect();
            assert_eq!(allocator.cold_bytes(), 0);
            order.iter().for_each(|n| allocator.give_back(parts[*n].clone()));
            let whole = take_cold(&mut allocator, 6 * UNIT, 6 * UNIT).expect("they have merged");
            assert_eq!(place(&whole), (1, 0, 6), "{order:?}");
        }
    }

    /// A process that ends before the first part is warmed left a header that covered both.
    #[test]
    fn part_of_a_range_does_not_hide_what_is_written_behind_it() {
        for tier in [Tier::Mapped, Tier::Written] {
            let files = FakeFiles::new();
            files.add_directory("/spool");
            let chunk = Chunk::create(&*files.shared(), Path::new("/spool/segments"), 1, 4 * UNIT, tier);
            let mut allocator = allocator();
            allocator.add_chunk(Arc::new(chunk.expect("there is room")));
            let whole = take_cold(&mut allocator, 4 * UNIT, 4 * UNIT).expect("it is free");
            whole.chunk.write_free_header(0, 4 * UNIT);
            allocator.give_back(whole);

            let first = take_cold(&mut allocator, UNIT, UNIT).expect("it is free");
            let behind = take_cold(&mut allocator, UNIT, UNIT).expect("it is free");
            let header = Header {
                generation: 7,
                ..Header::free(UNIT)
            };
            let own = behind.chunk.region().is_none().then(|| Region::heap(UNIT));
            let (segment, _) = Segment::create(behind, header, own, &[]);
            let mut bytes = vec![0; 4 * UNIT];
            first
                .chunk
                .read_file(&mut bytes, 0)
                .expect("a file")
                .expect("it can be read");
            let found: Vec<_> = recovery::segments(&bytes, UNIT)
                .placed
                .into_iter()
                .map(|placed| (placed.header.generation, placed.range))
                .collect();
            assert_eq!(found, [(7, UNIT..2 * UNIT)], "{tier:?}");
            drop(segment);
        }
    }

    /// Ranges that merged have left a header each; one that is found alone may reach over what is live by now.
    #[test]
    fn range_that_is_half_filled_hides_nothing_behind_it() {
        let files = FakeFiles::new();
        files.add_directory("/spool");
        let chunk = Chunk::create(
            &*files.shared(),
            Path::new("/spool/segments"),
            1,
            8 * UNIT,
            Tier::Mapped,
        );
        let chunk = Arc::new(chunk.expect("there is room"));
        chunk.write_free_header(0, 3 * UNIT);
        chunk.write_free_header(3 * UNIT, 5 * UNIT);
        let mut range = Range {
            chunk,
            offset: 0,
            len: 8 * UNIT,
        };
        let behind = range
            .cut(4 * UNIT, Chunk::write_free_header_to_file)
            .expect("there is a rest");
        let header = Header {
            generation: 7,
            ..Header::free(behind.len)
        };
        let (segment, _) = Segment::create(behind, header, None, &[]);
        for writes in 1..4 {
            files.plan({
                let mut seen = 0;
                move |call| {
                    seen += u32::from(call.operation == Operation::WriteAt);
                    if seen < writes { Fate::Succeed } else { Fate::Short }
                }
            });
            range.chunk.warm(range.offset, range.len, false);
            files.forget_plan();
            let bytes = files.after_crash().content("/spool/segments").expect("a file");
            let found = recovery::segments(&bytes, UNIT).placed;
            let found: Vec<_> = found.iter().map(|placed| placed.header.generation).collect();
            assert_eq!(found, [7], "cut short at write {writes}");
        }
        drop(segment);
    }

    #[test]
    fn chunks_do_not_merge_with_each_other() {
        let mut allocator = allocator();
        allocator.add_chunk(chunk(1, 2));
        allocator.add_chunk(chunk(2, 2));
        assert!(take_cold(&mut allocator, 3 * UNIT, 3 * UNIT).is_none());
        assert_eq!(allocator.memory_bytes(), 4 * UNIT);
        assert!(allocator.remove_free_chunk().is_some() && allocator.remove_free_chunk().is_some());
        assert_eq!((allocator.memory_bytes(), allocator.cold_bytes()), (0, 0));
    }

    #[test]
    fn shortest_range_that_fits_is_taken_else_the_longest_that_will_do() {
        let mut allocator = allocator();
        for (number, units) in [(1, 8), (2, 3), (3, 1)] {
            allocator.add_chunk(chunk(number, units));
        }
        let taken = take_cold(&mut allocator, UNIT, 2 * UNIT).expect("there is room");
        assert_eq!(place(&taken), (2, 0, 2));
        let taken = take_cold(&mut allocator, UNIT, 64 * UNIT).expect("a shorter one");
        assert_eq!(place(&taken), (1, 0, 8));
        assert!(take_cold(&mut allocator, 2 * UNIT, 64 * UNIT).is_none());
    }

    #[test]
    fn warm_and_cold_ranges_are_apart_until_nothing_else_fits() {
        let mut allocator = allocator();
        allocator.add_chunk(chunk(1, 4));
        let warm = take_cold(&mut allocator, 2 * UNIT, 2 * UNIT).expect("there is room");
        allocator.add_warm(warm);
        assert_eq!((allocator.warm_bytes(), allocator.cold_bytes()), (2 * UNIT, 2 * UNIT));
        assert!(take_cold(&mut allocator, 3 * UNIT, 3 * UNIT).is_none());
        assert!(allocator.take_warm(3 * UNIT, 3 * UNIT).is_none());
        assert_eq!(place(&allocator.take_any(4 * UNIT).expect("both")), (1, 0, 4));
    }

    #[test]
    fn memory_is_withdrawn_where_files_can_be_had_and_comes_back() {
        let mut allocator = allocator();
        allocator.add_chunk(chunk(1, 2));
        let used = take_cold(&mut allocator, UNIT, UNIT).expect("there is room");
        allocator.set_uses_memory(false);
        assert!(allocator.take_any(UNIT).is_none());
        assert_eq!((allocator.warm_bytes(), allocator.cold_bytes()), (0, 0));
        allocator.set_uses_memory(true);
        assert_eq!(allocator.cold_bytes(), UNIT);
        allocator.set_uses_memory(false);
        assert!(allocator.remove_retired_chunk().is_none(), "a part is in use");
        allocator.give_back(used);
        assert!(allocator.remove_retired_chunk().is_some());
        assert_eq!(allocator.memory_bytes(), 0);
    }
}
