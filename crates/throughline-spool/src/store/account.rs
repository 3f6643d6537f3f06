//! How many records there are, and what became of them.

use std::sync::Arc;

use super::ledger::Dropped;
use super::segment::Segment;
use super::store::{Store, lock};
use crate::format::header::MAX_DESTINATIONS;

/// Counts of records, that run along. Whoever moves records from one count to another, or to the ledger, keeps them locked
/// meanwhile: so an account is of one moment.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub committed: u64,
    pub committed_bytes: u64,
    pub by_destination: [DestinationTotals; MAX_DESTINATIONS],
}

#[derive(Debug, Default)]
pub(super) struct DestinationTotals {
    /// Records that the destination has got, or never will: they are behind its cursor.
    pub settled: u64,
    pub settled_bytes: u64,
    /// Records that were evicted before the destination got them.
    pub evicted: u64,
    pub evicted_bytes: u64,
}

impl Totals {
    pub fn count(&mut self, segment: &Segment) {
        let (records, bytes) = segment.count();
        self.committed += u64::from(records);
        self.committed_bytes += u64::from(bytes);
    }

    /// Records, and their bytes, that are committed and that a destination has neither got nor lost.
    fn pending(&self, destination: usize) -> (u64, u64) {
        self.by_destination.get(destination).map_or((0, 0), |totals| {
            (
                self.committed.saturating_sub(totals.settled + totals.evicted),
                self.committed_bytes
                    .saturating_sub(totals.settled_bytes + totals.evicted_bytes),
            )
        })
    }
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
            lock(&self.totals).count(pin.segment());
        }
    }

    /// Records, and their bytes, that are committed and that a destination has not got; without such a destination, those
    /// that are in local history.
    #[must_use]
    pub fn pending(&self, destination: usize) -> (u64, u64) {
        self.count();
        lock(&self.totals).pending(destination)
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
        let totals = lock(&self.totals);
        let totals = &totals.by_destination[..self.destinations];
        totals.iter().map(|totals| totals.evicted).sum()
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
        self.count();
        let in_memory = self.in_memory(row);
        let totals = lock(&self.totals);
        Account {
            started: 0,
            live: 0,
            delivered: self.ledger.delivered(row),
            pending: totals.pending(row).0,
            in_memory,
            dropped: Dropped::ALL.map(|reason| self.ledger.dropped((!is_local).then_some(row), reason)),
        }
    }
}
