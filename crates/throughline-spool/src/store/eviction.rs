//! Eviction: when no file can be made the oldest records make way, history before what is pending.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::chunk::Chunk;
use super::ledger::Dropped;
use super::maintenance::WARM_STEP;
use super::segment::Segment;
use super::store::{Store, lock};
use crate::format::header::UNIT;

impl Store {
    /// Whether so much would be in one piece if all that is sealed made way: leases that are written may stand between.
    pub(super) fn could_be_had(&self, needed: usize) -> bool {
        if self.may_use_memory() {
            return true;
        }
        // Those that were made ahead and that nobody has asked for make way first.
        let prepared: Vec<_> = lock(&self.prepared).drain(..).collect();
        prepared.iter().for_each(|lease| self.recycle(lease.segment()));
        // What somebody reads at this moment does not make way.
        let mut taken: Vec<_> = lock(&self.index)
            .all()
            .filter(|segment| !segment.is_sealed() || segment.is_pinned())
            .map(|segment| {
                (
                    segment.range().chunk.number(),
                    segment.range().offset,
                    segment.range().len,
                )
            })
            .collect();
        taken.sort_unstable();
        let (longest, present, unused) = {
            let allocator = lock(&self.allocator);
            (
                allocator.longest_run(&taken),
                allocator.file_bytes(),
                allocator.unused_bytes(&taken),
            )
        };
        // Files in which nothing is written can be replaced by a longer one.
        longest >= needed || self.may_make_files() && needed <= self.room_beside(present.saturating_sub(unused))
    }

    /// Whether so much could be had at all: nothing is evicted for what would find no room in the empty store.
    pub(super) fn could_hold(&self, needed: usize) -> bool {
        if self.may_use_memory() {
            return true;
        }
        lock(&self.allocator).could_hold(needed) || self.may_make_files() && needed <= self.room_beside(0)
    }

    /// Makes room by one step, the least harmful first. `false`: there is nothing more to be done.
    pub(super) fn make_way(&self, needed: usize) -> bool {
        if self.evict_history() {
            return true;
        }
        if self.may_use_memory() {
            let number = self.chunks.fetch_add(1, Ordering::Relaxed);
            let len = needed.next_multiple_of(UNIT).max(WARM_STEP);
            let mut allocator = lock(&self.allocator);
            allocator.set_uses_memory(true);
            allocator.add_chunk(Arc::new(Chunk::in_memory(number, len)));
            return true;
        }
        !self.settings.refuse_when_full && self.evict_pending()
    }

    /// Whether there are no files at present, and more memory may stand in for them.
    fn may_use_memory(&self) -> bool {
        let in_memory = lock(&self.allocator).memory_bytes() as u64;
        !self.may_make_files() && in_memory < self.settings.limits.in_memory().pending
    }

    pub(super) fn evict_history(&self) -> bool {
        let evicted = lock(&self.index).evict_history();
        evicted.is_some_and(|segment| {
            if self.destinations == 0 {
                self.count_evicted_history(&segment);
            }
            self.recycle(&segment);
            true
        })
    }

    pub(super) fn evict_pending(&self) -> bool {
        let evicted = lock(&self.index).evict_pending();
        evicted.is_some_and(|segment| {
            let counted = segment.counted();
            let mut totals = lock(&self.totals);
            for (number, totals) in totals.by_destination[..self.destinations].iter_mut().enumerate() {
                let left = u64::from(counted.records.saturating_sub(segment.cursor(number).settled));
                self.ledger.add_dropped_for(number, Dropped::Quota, left);
                totals.evicted += left;
                totals.evicted_bytes += u64::from(counted.bytes.saturating_sub(segment.settled_bytes(number)));
            }
            drop(totals);
            if self.destinations == 0 {
                // It was about to become history.
                self.count_evicted_history(&segment);
            } else {
                segment.range().chunk.wanted_segments.fetch_sub(1, Ordering::AcqRel);
            }
            self.recycle(&segment);
            true
        })
    }

    /// Without destinations, history is all there is.
    fn count_evicted_history(&self, segment: &Segment) {
        let counted = segment.counted();
        let mut totals = lock(&self.totals);
        self.ledger.add_delivered(0, counted.records.into());
        totals.by_destination[0].evicted += u64::from(counted.records);
        totals.by_destination[0].evicted_bytes += u64::from(counted.bytes);
        drop(totals);
        segment.range().chunk.wanted_segments.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives the range of an evicted segment back.
    fn recycle(&self, segment: &Segment) {
        // The file says so before anybody else writes there.
        segment.write_free_header();
        lock(&self.allocator).give_back(segment.range().clone());
        self.remove_retired();
    }
}
