//! What became of records that were settled, until the ledger says so.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::store::ledger::Dropped;
use crate::store::lock;

use super::ledger::Ledger;

/// Records that were settled, by the identity of their destination.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settled(BTreeMap<u64, Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    delivered: u64,
    rejected: u64,
    damaged: u64,
}

impl Settled {
    /// Records that a destination has got, and such that are damaged.
    pub fn add(&mut self, identity: u64, delivered: u64, damaged: u64) {
        let counts = self.0.entry(identity).or_default();
        counts.delivered += delivered;
        counts.damaged += damaged;
    }

    /// So many of them were refused.
    pub fn reject(&mut self, records: u64) {
        for counts in self.0.values_mut() {
            let rejected = records.min(counts.delivered);
            counts.delivered -= rejected;
            counts.rejected += rejected;
        }
    }

    fn append(&mut self, other: &Self) {
        for (identity, counts) in &other.0 {
            let own = self.0.entry(*identity).or_default();
            own.delivered += counts.delivered;
            own.rejected += counts.rejected;
            own.damaged += counts.damaged;
        }
    }

    pub fn count_in(&self, ledger: &mut Ledger) {
        for (identity, counts) in &self.0 {
            ledger.add_delivered(*identity, counts.delivered);
            ledger.add_dropped_for(*identity, Dropped::Rejected, counts.rejected);
            ledger.add_dropped_for(*identity, Dropped::Damaged, counts.damaged);
        }
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
        lock(&self.0).0.is_empty()
    }

    /// Takes it out, to be counted; `None` when there is nothing.
    pub fn take(&self) -> Option<Settled> {
        let settled = std::mem::take(&mut *lock(&self.0));
        (!settled.0.is_empty()).then_some(settled)
    }
}
