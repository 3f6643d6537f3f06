//! What is done now and then, and never on the thread of a caller.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::segment::Segment;
use super::segment_files::FIRST_CHUNK;
use super::stock;
use super::store::{Store, lock};
use super::tier::Tier;
use crate::format::header::UNIT;

/// How much is faulted in at a time: what is ready can be used while the rest is prepared.
pub(super) const WARM_STEP: usize = 256 << 10;
/// Sealed segments keep their memory up to this many bytes in all; the file has what they hold.
const MOST_RESIDENT: usize = 8 << 20;
/// Segments of history that one look evicts.
const MOST_EVICTED: usize = 256;

/// Sealed segments whose memory has not been released, oldest first, each with its length. Those that were evicted meanwhile are
/// not kept for that.
#[derive(Default)]
pub(super) struct Resident {
    segments: VecDeque<(Weak<Segment>, usize)>,
    bytes: usize,
}

impl Store {
    /// Seals what was closed, refills the stock of warm memory, and lets go of what is not needed. Not for a caller's thread.
    pub fn maintain(&self, now: Instant) {
        self.seal_closed();
        self.withdraw_failed();
        self.retry_files(now);
        let (target, low_mark, is_low) = {
            let mut stock = lock(&self.stock);
            // Of the first file half is used up first: a program that makes a few spans needs no other.
            let low_mark = match lock(&self.allocator).file_bytes() {
                0..=FIRST_CHUNK => FIRST_CHUNK / 2,
                _ => stock.target() / 2,
            };
            let is_used_up = self.is_used_up.swap(false, Ordering::Relaxed);
            let is_low = self.tier() != Tier::Written && (is_used_up || self.warm_bytes() < low_mark);
            if is_low {
                stock.low(now);
            } else {
                stock.tick(now);
            }
            if stock.has_cooled(now) {
                drop(stock);
                self.warm_again();
                stock = lock(&self.stock);
            }
            (stock.target(), low_mark, is_low)
        };
        self.low_mark.store(low_mark, Ordering::Relaxed);
        if is_low {
            self.warm(target);
        }
        self.prepare();
        self.grow_ahead(target);
        self.release_sealed();
        self.limit_history();
        self.remove_free_files(target);
        self.ledger.write();
    }

    /// Bytes that are ready to be written to.
    pub(super) fn warm_bytes(&self) -> usize {
        let prepared: usize = lock(&self.prepared).iter().map(|lease| lease.segment().len()).sum();
        prepared + lock(&self.allocator).warm_bytes()
    }

    /// Counts and seals the segments that no lease writes any more.
    pub(crate) fn seal_closed(&self) {
        let closed: Vec<_> = lock(&self.closed).drain(..).collect();
        if closed.is_empty() {
            return;
        }
        for segment in closed {
            self.count_segment(&segment);
            if let Some(memory) = segment.seal().and_then(Arc::into_inner) {
                // What is written next need not be faulted in.
                *lock(&self.spare_memory) = Some(memory);
            }
            self.settle_segment(&segment);
            if !segment.range().chunk.is_in_memory() && segment.range().chunk.region().is_some() {
                let mut resident = lock(&self.resident);
                resident.bytes += segment.len();
                resident.segments.push_back((Arc::downgrade(&segment), segment.len()));
            }
        }
        lock(&self.index).forget_counted();
    }

    /// Makes history of a segment that is sealed and that everybody has got.
    pub(super) fn settle_segment(&self, segment: &Segment) {
        let is_settled = segment.is_sealed() && (0..self.destinations).all(|n| segment.is_settled_for(n));
        if is_settled && lock(&self.index).settle(segment.order()) && self.destinations > 0 {
            segment.range().chunk.wanted_segments.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// After an outage most of what was pending is history at once. What is over the limit goes, some at each look.
    fn limit_history(&self) {
        for _ in 0..MOST_EVICTED {
            let is_over = lock(&self.index).history_bytes() > self.settings.limits.history;
            if !is_over || !self.evict_history() {
                return;
            }
        }
    }

    /// Faults in free ranges until so many bytes are warm.
    pub(super) fn warm(&self, target: usize) {
        if self.tier() == Tier::Written {
            return;
        }
        loop {
            let missing = target.saturating_sub(self.warm_bytes());
            if missing < UNIT {
                return;
            }
            let step = missing.min(WARM_STEP) / UNIT * UNIT;
            let taken = self.take_cold(UNIT, step);
            let Some(range) = taken else {
                if self.warm_bytes() >= target / 2 {
                    // Enough without another file.
                    return;
                }
                // Too much history makes way first, then another file is made, then history and the oldest make way.
                let over = lock(&self.index).history_bytes() > self.settings.limits.history;
                if over && self.evict_history() || self.may_grow() && self.grow(UNIT) || self.evict_history() {
                    continue;
                }
                let is_short = self.warm_bytes() < target.min(stock::FIRST) / 2;
                if is_short && !self.settings.refuse_when_full && self.make_way(UNIT) {
                    continue;
                }
                return;
            };
            range.chunk.warm(range.offset, range.len, stock::is_busy(target));
            lock(&self.allocator).add_warm(range);
            // Whoever writes flat out keeps this loop going: the rest of the work must not wait for its end.
            if target > FIRST_CHUNK {
                self.prepare();
                self.seal_closed();
                self.release_sealed();
            }
        }
    }

    /// The stock has been written back by the kernel and would fault once more.
    fn warm_again(&self) {
        let stock = lock(&self.allocator).warm_ranges();
        for range in stock {
            if let Some(region) = range.chunk.region() {
                region.populate(range.offset, range.len);
            }
        }
    }

    /// Bounds the memory of sealed segments.
    fn release_sealed(&self) {
        loop {
            let oldest = {
                let mut resident = lock(&self.resident);
                if resident.bytes <= MOST_RESIDENT {
                    return;
                }
                let Some((oldest, len)) = resident.segments.pop_front() else {
                    return;
                };
                resident.bytes -= len;
                oldest
            };
            // Pinned, so that the range is still this segment's; one that was evicted is in use again, or in stock.
            if let Some(pin) = oldest.upgrade().and_then(|oldest| oldest.pin()) {
                pin.segment().release_memory();
            }
        }
    }
}
