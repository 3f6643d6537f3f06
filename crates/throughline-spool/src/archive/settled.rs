//! What became of records that were settled, until the ledger says so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::store::ledger::Dropped;
use crate::store::lock;

use super::ledger::Ledger;

/// Records that were settled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled {
    /// By the identity of the destination.
    destinations: BTreeMap<u64, Counts>,
    /// Records that at least one destination will not get.
    rejected: u64,
    damaged: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    delivered: u64,
    rejected: u64,
    damaged: u64,
}

impl Settled {
    /// Records that a destination has got, and such that are damaged.
    pub fn add(&mut self, identity: u64, delivered: u64, damaged: u64) {
        let counts = self.destinations.entry(identity).or_default();
        counts.delivered += delivered;
        counts.damaged += damaged;
    }

    /// All of one batch is there, and so many of its records were refused.
    pub fn reject(&mut self, records: u64) {
        for counts in self.destinations.values_mut() {
            let rejected = records.min(counts.delivered);
            counts.delivered -= rejected;
            counts.rejected += rejected;
            // The same records for each of them.
            self.rejected = self.rejected.max(counts.rejected);
            self.damaged = self.damaged.max(counts.damaged);
        }
    }

    fn append(&mut self, other: &Self) {
        for (identity, counts) in &other.destinations {
            let own = self.destinations.entry(*identity).or_default();
            own.delivered += counts.delivered;
            own.rejected += counts.rejected;
            own.damaged += counts.damaged;
        }
        self.rejected += other.rejected;
        self.damaged += other.damaged;
    }

    pub fn count_in(&self, ledger: &mut Ledger) {
        for (identity, counts) in &self.destinations {
            ledger.add_delivered(*identity, counts.delivered);
            ledger.add_dropped_for(*identity, Dropped::Rejected, counts.rejected);
            ledger.add_dropped_for(*identity, Dropped::Damaged, counts.damaged);
        }
        ledger.add_lost(Dropped::Rejected, self.rejected);
        ledger.add_lost(Dropped::Damaged, self.damaged);
    }
}

/// What the ledger does not say yet. Shared by all who work on an archive in this process.
#[derive(Debug, Default)]
pub(crate) struct Uncounted(Mutex<Settled>);

impl Uncounted {
    pub fn add(&self, settled: &Settled) {
        lock(&self.0).append(settled);
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.0).destinations.is_empty()
    }

    /// Takes it out, to be counted; `None` when there is nothing.
    pub fn take(&self) -> Option<Settled> {
        let settled = std::mem::take(&mut *lock(&self.0));
        (!settled.destinations.is_empty()).then_some(settled)
    }
}
