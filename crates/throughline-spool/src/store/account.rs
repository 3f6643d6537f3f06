//! How many records there are, and what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ledger::Dropped;
use super::segment::Segment;
use super::store::{Store, lock};
use crate::format::header::MAX_DESTINATIONS;

/// Counts of records, that run along.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub committed: AtomicU64,
    pub committed_bytes: AtomicU64,
    pub by_destination: [DestinationTotals; MAX_DESTINATIONS],
}

#[derive(Debug, Default)]
pub(super) struct DestinationTotals {
    /// Records that the destination has got, or never will: they are behind its cursor.
    pub settled: AtomicU64,
    pub settled_bytes: AtomicU64,
    /// Records that were evicted before the destination got them.
    pub evicted: AtomicU64,
    pub evicted_bytes: AtomicU64,
}

/// What became of records, for one destination.
///
/// `started - live = delivered + pending + dropped` at every moment when no span starts or ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Recorded spans that were started.
    pub started: u64,
    /// Of these, those that are open.
    pub live: u64,
    /// Those that the destination has got; without a destination, those that local history has evicted.
    pub delivered: u64,
    /// Those that are committed and that the destination has not got; without a destination, those that are in local
    /// history. Counted from the records.
    pub pending: u64,
    /// Of the pending, those that no file holds: they end with the process.
    pub in_memory: u64,
    /// Those that were lost, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

impl Store {
    /// Counts what was committed since the last call.
    pub(crate) fn count(&self) {
        let uncounted = lock(&self.index).uncounted();
        uncounted.iter().for_each(|segment| self.count_segment(segment));
    }

    pub(super) fn count_segment(&self, segment: &Arc<Segment>) {
        if let Some(pin) = segment.pin() {
            let (records, bytes) = pin.segment().count();
            self.totals.committed.fetch_add(records.into(), Ordering::Relaxed);
            self.totals.committed_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
        }
    }

    /// Records, and their bytes, that are committed and that a destination has not got; without such a destination, those
    /// that are in local history.
    #[must_use]
    pub fn pending(&self, destination: usize) -> (u64, u64) {
        self.count();
        let Some(totals) = self.totals.by_destination.get(destination) else {
            return (0, 0);
        };
        let left = |committed: &AtomicU64, settled: &AtomicU64, evicted: &AtomicU64| {
            let gone = settled.load(Ordering::Relaxed) + evicted.load(Ordering::Relaxed);
            committed.load(Ordering::Relaxed).saturating_sub(gone)
        };
        (
            left(&self.totals.committed, &totals.settled, &totals.evicted),
            left(
                &self.totals.committed_bytes,
                &totals.settled_bytes,
                &totals.evicted_bytes,
            ),
        )
    }

    /// Records that are pending for a destination and that no file holds; without destinations, those of the history.
    fn in_memory(&self, destination: usize) -> u64 {
        let memory = lock(&self.allocator).memory_bytes();
        if memory == 0 && !self.is_failing() {
            // Asked after each batch: nobody looks at the segments for what is not there.
            return 0;
        }
        let index = lock(&self.index);
        let segments = index.all();
        let held = segments.filter(|segment| segment.range().chunk.is_in_memory() || segment.has_failed());
        let left = held.map(|segment| {
            let settled = if self.destinations == 0 {
                0
            } else {
                segment.cursor(destination).settled
            };
            u64::from(segment.counted().records.saturating_sub(settled))
        });
        left.sum()
    }

    /// Records that were evicted before some destination had got them.
    #[must_use]
    pub fn evicted_undelivered(&self) -> u64 {
        let totals = &self.totals.by_destination[..self.destinations];
        totals.iter().map(|totals| totals.evicted.load(Ordering::Relaxed)).sum()
    }

    /// What became of the records for one destination; without it, of the local history. `started` and `live` are whoever's
    /// who makes spans: they are 0 here.
    #[must_use]
    pub fn account(&self, destination: usize) -> Account {
        let is_local = self.destinations == 0;
        let row = if is_local { 0 } else { destination };
        if row >= self.destinations.max(1) {
            return Account::default();
        }
        Account {
            started: 0,
            live: 0,
            delivered: self.ledger.delivered(row),
            pending: self.pending(row).0,
            in_memory: self.in_memory(row),
            dropped: Dropped::ALL.map(|reason| self.ledger.dropped((!is_local).then_some(row), reason)),
        }
    }
}
