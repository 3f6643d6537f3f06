//! The segments in use: those that are written or pending, and history, each with what it takes in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::segment::Segment;

/// The segments of one store, oldest first.
pub(crate) struct Index {
    /// Segments that are written, or that some destination has not got, in the order in which they were leased.
    active: VecDeque<Arc<Segment>>,
    /// The order number of the segment that was leased last.
    last: u64,
    /// Sealed segments that everybody has got, in the order in which they became so.
    history: VecDeque<Arc<Segment>>,
    history_bytes: u64,
    /// Segments of which not every record is counted yet.
    uncounted: Vec<Arc<Segment>>,
}

impl Index {
    /// An empty index with some room, so that whoever takes a lease allocates nothing.
    pub fn new() -> Self {
        const ROOM: usize = 1024;
        Self {
            active: VecDeque::with_capacity(ROOM),
            last: 0,
            history: VecDeque::with_capacity(ROOM),
            history_bytes: 0,
            uncounted: Vec::with_capacity(ROOM),
        }
    }

    /// Adds a segment that is being leased. It is the youngest.
    pub fn add(&mut self, segment: Arc<Segment>) {
        self.last += 1;
        segment.set_order(self.last);
        self.uncounted.push(segment.clone());
        self.active.push_back(segment);
    }

    /// The segments with this order number or a higher one that are not history, oldest first.
    pub fn active_from(&self, order: u64) -> impl Iterator<Item = &Arc<Segment>> {
        let start = self.active.partition_point(|segment| segment.order() < order);
        self.active.range(start..)
    }

    /// All segments, history too.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.active.iter().chain(&self.history)
    }

    /// The segment of this order number, if it is not history and not evicted.
    pub fn active(&self, order: u64) -> Option<&Arc<Segment>> {
        self.active.get(self.place(order)?)
    }

    fn place(&self, order: u64) -> Option<usize> {
        self.active.binary_search_by_key(&order, |segment| segment.order()).ok()
    }

    /// History, oldest first.
    #[cfg(test)]
    pub fn history(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.history.iter()
    }

    /// Makes history of a sealed segment that everybody has got. `false`: it is history, or gone.
    pub fn settle(&mut self, order: u64) -> bool {
        let Some(segment) = self.place(order).and_then(|at| self.active.remove(at)) else {
            return false;
        };
        self.history_bytes += segment.len() as u64;
        self.history.push_back(segment);
        true
    }

    /// Takes out the oldest history that nobody has pinned, and makes sure that nobody will.
    pub fn evict_history(&mut self) -> Option<Arc<Segment>> {
        // Few are pinned, and briefly: the search ends soon.
        let at = self.history.iter().position(|segment| segment.evict())?;
        let segment = self.history.remove(at)?;
        self.history_bytes -= segment.len() as u64;
        Some(segment)
    }

    /// Takes out the oldest sealed segment that somebody is still to get.
    pub fn evict_pending(&mut self) -> Option<Arc<Segment>> {
        // Those that are still written are at most as many as there are leases.
        let at = self.active.iter().position(|segment| segment.evict())?;
        self.active.remove(at)
    }

    /// What the history takes, in bytes.
    pub fn history_bytes(&self) -> u64 {
        self.history_bytes
    }

    /// What is sealed was counted before, as far as it can be.
    pub fn forget_counted(&mut self) {
        self.uncounted.retain(|segment| !segment.is_sealed());
    }

    /// The segments of which not every record is counted yet. At most as many as there are leases, and those that were sealed
    /// since the last count.
    pub fn uncounted(&mut self) -> Vec<Arc<Segment>> {
        self.uncounted.retain(|segment| !segment.is_counted());
        self.uncounted.clone()
    }
}
