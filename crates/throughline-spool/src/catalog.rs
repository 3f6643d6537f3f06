//! Which segments there are, which are free, and where the next one comes from.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::chunk::Chunk;
use crate::lease::SLACK;
use crate::quota::{Limits, Sizes};
use crate::record;
use crate::segment::{HEADER_LEN, Header, Segment, UNIT};

/// The sizes that segments have. A thread starts with the smallest and gets the next larger one each time; the last is
/// for single records that fit no other.
pub(crate) const SIZES: [usize; 5] = [UNIT, 4 * UNIT, 16 * UNIT, LARGEST_LEASE, 192 * UNIT];
const LARGEST_LEASE: usize = 64 * UNIT;

/// The segments of this process.
pub(crate) struct Catalog {
    /// Every segment in use, in the order in which they were leased.
    segments: VecDeque<Arc<Segment>>,
    /// Segments that were evicted, by the index of their size.
    free: [Vec<Arc<Segment>>; SIZES.len()],
    /// The chunk that is being carved, and how much of it is.
    carving: Option<(Arc<Chunk>, usize)>,
    /// A chunk that the keeper has made ready.
    prepared: Option<Arc<Chunk>>,
    generation: u64,
    /// Bytes of all chunks in use.
    chunk_bytes: usize,
    limits: Limits,
    /// How many destinations have cursors; 0 = what is sealed is history at once.
    destinations: usize,
}

impl Catalog {
    pub fn new(limits: Limits, destinations: usize) -> Self {
        Self {
            segments: VecDeque::new(),
            free: Default::default(),
            carving: None,
            prepared: None,
            generation: 0,
            chunk_bytes: 0,
            limits,
            destinations,
        }
    }

    /// The size of a segment for at least one record of `body` bytes, larger than `before` if it can be.
    pub fn size_for(body: usize, before: usize) -> usize {
        let needed = record::stride(body) + HEADER_LEN + SLACK;
        let wanted = (before + 1).min(LARGEST_LEASE).max(needed);
        SIZES
            .into_iter()
            .find(|size| *size >= wanted)
            .expect("the last size holds the longest record")
    }

    /// A segment of just the size that is wanted for a record of `body` bytes.
    ///
    /// `None`: there is none, and no room to carve one; the caller adds a chunk, or takes [`any`](Self::lease_any).
    pub fn lease(&mut self, body: usize, before: usize) -> Option<Arc<Segment>> {
        let len = Self::size_for(body, before);
        let segment = match self.take_free(|size| size == len) {
            Some(free) => free.renew(self.generation + 1),
            None => {
                let (chunk, offset) = self.carve(len)?;
                Segment::create(
                    chunk,
                    offset,
                    Header {
                        generation: self.generation + 1,
                        len,
                    },
                )
            }
        };
        Some(self.put_in_use(segment))
    }

    /// Any free segment that holds a record of `body` bytes.
    pub fn lease_any(&mut self, body: usize) -> Option<Arc<Segment>> {
        let needed = Self::size_for(body, 0);
        let segment = self.take_free(|size| size >= needed)?.renew(self.generation + 1);
        Some(self.put_in_use(segment))
    }

    fn put_in_use(&mut self, segment: Arc<Segment>) -> Arc<Segment> {
        self.generation = segment.generation();
        self.segments.push_back(segment.clone());
        segment
    }

    /// How long another chunk may be, up to `wanted`, so that the files keep within the limit. One chunk always may be.
    pub fn growth(&self, wanted: usize) -> Option<usize> {
        if self.chunk_bytes == 0 {
            return Some(wanted);
        }
        let room = self.limits.room_for_files(self.chunk_bytes as u64).min(wanted as u64) as usize;
        Some(room / UNIT * UNIT).filter(|room| *room > 0)
    }

    /// Puts a new chunk into use, when the one being carved has no room for `len` bytes.
    pub fn add_chunk(&mut self, chunk: Arc<Chunk>) {
        self.chunk_bytes += chunk.len();
        self.free_rest_of_chunk();
        self.carving = Some((chunk, 0));
    }

    pub fn take_prepared(&mut self) -> Option<Arc<Chunk>> {
        self.prepared.take()
    }

    pub fn set_prepared(&mut self, chunk: Arc<Chunk>) {
        self.prepared = Some(chunk);
    }

    /// Whether the keeper should make another chunk ready.
    pub fn wants_chunk(&self, chunk_len: usize) -> bool {
        let half_used = self
            .carving
            .as_ref()
            .is_none_or(|(chunk, used)| *used * 2 > chunk.len());
        self.prepared.is_none()
            && half_used
            && self.free.iter().all(Vec::is_empty)
            && self.growth(chunk_len) == Some(chunk_len)
    }

    /// Evicts the oldest segments until the limits are kept with `wanted` bytes more.
    ///
    /// Returns how many records were evicted that some destination had not got.
    pub fn evict(&mut self, wanted: usize) -> u64 {
        let mut sizes = self.sizes();
        let mut dropped = 0;
        while let Some((at, is_settled)) = self.to_evict(sizes, wanted) {
            let Some(segment) = self.segments.remove(at) else { break };
            if is_settled {
                sizes.history -= segment.len() as u64;
            } else {
                sizes.pending -= segment.len() as u64;
                dropped += self.undelivered(&segment);
            }
            segment.free();
            self.keep_free(segment);
        }
        dropped
    }

    /// The generation of the youngest segment.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Evicts the oldest segment that holds a record of `body` bytes, history first, because there is no room elsewhere.
    ///
    /// Returns how many records were evicted that some destination had not got.
    pub fn make_room(&mut self, body: usize) -> u64 {
        let needed = Self::size_for(body, 0);
        let may_go = |segment: &Arc<Segment>| segment.is_sealed() && !segment.is_pinned() && segment.len() >= needed;
        let settled = self
            .segments
            .iter()
            .position(|segment| may_go(segment) && self.is_settled(segment));
        let Some(at) = settled.or_else(|| self.segments.iter().position(may_go)) else {
            return 0;
        };
        let Some(segment) = self.segments.remove(at) else {
            return 0;
        };
        let dropped = self.undelivered(&segment);
        segment.free();
        self.keep_free(segment);
        dropped
    }

    /// Whether some file has stopped taking what is written.
    pub fn is_failing(&self) -> bool {
        self.segments.iter().any(|segment| segment.has_failed())
    }

    pub fn segments(&self) -> &VecDeque<Arc<Segment>> {
        &self.segments
    }

    /// Bytes of segments in use, settled and not.
    pub fn sizes(&self) -> Sizes {
        let mut sizes = Sizes::default();
        for segment in &self.segments {
            if self.is_settled(segment) {
                sizes.history += segment.len() as u64;
            } else {
                sizes.pending += segment.len() as u64;
            }
        }
        sizes
    }

    /// Records of a segment that some destination has not got.
    fn undelivered(&self, segment: &Segment) -> u64 {
        (0..self.destinations)
            .map(|d| segment.committed(segment.cursor(d)).count() as u64)
            .max()
            .unwrap_or(0)
    }

    /// Whether every destination has everything that is or will be in the segment.
    fn is_settled(&self, segment: &Segment) -> bool {
        segment.is_sealed() && (0..self.destinations).all(|d| segment.ends_at(segment.cursor(d)))
    }

    /// The next segment that must go, history first, and whether it is settled.
    fn to_evict(&self, sizes: Sizes, wanted: usize) -> Option<(usize, bool)> {
        let is_full = self.limits.exceeds_total(sizes, wanted as u64);
        if !is_full && !self.limits.exceeds_history(sizes) {
            return None;
        }
        let may_go = |segment: &Arc<Segment>| segment.is_sealed() && !segment.is_pinned();
        let mut candidates = self.segments.iter().enumerate().filter(|(_, segment)| may_go(segment));
        let settled = candidates.clone().find(|(_, segment)| self.is_settled(segment));
        match settled {
            Some((at, _)) => Some((at, true)),
            None if is_full => candidates.next().map(|(at, _)| (at, false)),
            None => None,
        }
    }

    fn keep_free(&mut self, segment: Arc<Segment>) {
        if let Some(size) = SIZES.iter().position(|size| *size == segment.len()) {
            self.free[size].push(segment);
        }
    }

    fn take_free(&mut self, suits: impl Fn(usize) -> bool) -> Option<Arc<Segment>> {
        let sizes = SIZES.iter().zip(&mut self.free);
        sizes.filter(|(size, _)| suits(**size)).find_map(|(_, free)| free.pop())
    }

    fn carve(&mut self, len: usize) -> Option<(Arc<Chunk>, usize)> {
        let (chunk, used) = self.carving.as_mut()?;
        let offset = *used;
        if offset + len > chunk.len() {
            return None;
        }
        *used += len;
        Some((chunk.clone(), offset))
    }

    /// What is left of the carved chunk becomes free segments, so that no chunk has a tail without a header.
    fn free_rest_of_chunk(&mut self) {
        let Some((chunk, mut used)) = self.carving.take() else {
            return;
        };
        while used < chunk.len() {
            let Some(len) = SIZES.into_iter().rfind(|size| used + size <= chunk.len()) else {
                return;
            };
            let free = Segment::create(chunk.clone(), used, Header { generation: 0, len });
            self.keep_free(free);
            used += len;
        }
    }
}
