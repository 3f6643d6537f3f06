//! Leases: who writes gets a segment, prepared if there is one, and gives it back.

use std::ops::RangeInclusive;
use std::sync::atomic::Ordering;

use super::allocator::{Allocator, Range};
use super::chunk::{self, Chunk};
use super::lease::{Lease, SLACK};
use super::memory::Region;
use super::segment::Segment;
use super::stock;
use super::store::{MOST_PREPARED, Store, lock};
use super::tier::Tier;
use crate::format::header::{HEADER_LEN, Header, UNIT};
use crate::format::record::{self, Kind, stride};

/// The largest segment that is leased, unless a single record needs more.
const LARGEST_LEASE: usize = 1 << 20;
/// What a thread gets that finds nothing warm.
const COLD_LEASE: usize = 64 << 10;
/// Leases of one size that are made ahead.
const PREPARED: usize = 4;

impl Store {
    /// A lease with room for the record of a source with a body of `body` bytes, of `wanted` bytes if that can be had.
    /// `None`: there is no room, and nothing can make way.
    pub(crate) fn lease(&self, source: u32, body: usize, wanted: usize) -> Option<Lease> {
        let source_len = lock(&self.sources).encoded(source).map_or(0, |bytes| bytes.len());
        let first = stride(self.process_record.len());
        let needed = HEADER_LEN + first + stride(source_len) + stride(body) + SLACK;
        let needed = needed.next_multiple_of(UNIT);
        let wanted = wanted
            .clamp(UNIT, self.largest_lease())
            .next_multiple_of(UNIT)
            .max(needed);
        self.last_wanted.store(wanted, Ordering::Relaxed);
        // One of about the size that is wanted, else anything that is warm.
        let mut lease = match self.take_prepared(needed.max(wanted / 4)..=wanted) {
            Some(lease) => lease,
            None => match self.take_warm(needed, wanted) {
                Some(range) => self.start_segment(range, first),
                None => match self.take_prepared(needed..=usize::MAX) {
                    Some(lease) => lease,
                    None => self.start_segment(self.take_cold_range(needed, wanted)?, first),
                },
            },
        };
        self.open_leases.fetch_add(1, Ordering::Relaxed);
        let chunk = &lease.segment().range().chunk;
        if chunk::mark_open(chunk) {
            self.add_unsynced(chunk);
        }
        // In the order in which they are leased, however long ago they were prepared.
        lock(&self.index).add(lease.segment().clone());
        self.append_source(&mut lease, source, body);
        Some(lease)
    }

    /// The longest lease that was made ahead and has one of these sizes.
    fn take_prepared(&self, sizes: RangeInclusive<usize>) -> Option<Lease> {
        let (taken, ready) = {
            let mut prepared = lock(&self.prepared);
            let fits = |lease: &Lease| sizes.contains(&lease.segment().len()) && !lease.segment().has_failed();
            let at = (0..prepared.len())
                .filter(|at| fits(&prepared[*at]))
                .max_by_key(|at| prepared[*at].segment().len());
            let taken = at.map(|at| prepared.swap_remove(at));
            (taken, prepared.iter().map(|lease| lease.segment().len()).sum::<usize>())
        };
        if taken.is_some() {
            let warm = lock(&self.allocator).warm_bytes();
            self.check_stock(ready + warm);
        }
        taken
    }

    /// Asks for maintenance when the stock is low.
    fn check_stock(&self, bytes: usize) {
        // Where files are written there is no stock.
        if self.tier() != Tier::Written && bytes < self.low_mark.load(Ordering::Relaxed) {
            if let Some(call) = self.on_low_stock.get() {
                call();
            }
        }
    }

    /// Makes leases ahead, from the stock of warm memory.
    pub(super) fn prepare(&self) {
        let first = stride(self.process_record.len());
        let wanted = self.last_wanted.load(Ordering::Relaxed);
        let target = lock(&self.stock).target();
        let size = wanted.min(target / 8).max(UNIT) / UNIT * UNIT;
        // At most half of the stock; the rest goes to whoever wants another size.
        for (size, count) in [(size, PREPARED.min(target / 2 / size)), (UNIT, target / 8 / UNIT)] {
            loop {
                {
                    let prepared = lock(&self.prepared);
                    let present = prepared.iter().filter(|lease| lease.segment().len() == size).count();
                    if present >= count.min(PREPARED) || prepared.len() >= MOST_PREPARED {
                        break;
                    }
                }
                let Some(range) = lock(&self.allocator).take_warm(size, size) else {
                    return;
                };
                if range.chunk.is_in_memory() && self.settings.directory.is_some() {
                    // It stands in for a file, and only until one can be made.
                    return lock(&self.allocator).add_warm(range);
                }
                let lease = self.start_segment(range, first);
                lock(&self.prepared).push(lease);
            }
        }
    }

    fn start_segment(&self, range: Range, first: usize) -> Lease {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let header = Header {
            generation,
            len: range.len,
            signal: self.settings.signal,
            identities: self.identities,
            destinations: self.destinations,
        };
        let process = record::build(Kind::Process, 0, &self.process_record, generation, HEADER_LEN);
        let own = range.chunk.region().is_none().then(|| self.take_memory(range.len));
        let (segment, own) = Segment::create(range, header, own, &process);
        Lease::new(segment, own, HEADER_LEN + first)
    }

    /// Memory of at least this length.
    fn take_memory(&self, len: usize) -> Region {
        let spare = lock(&self.spare_memory).take_if(|spare| (len..=2 * len).contains(&spare.len()));
        spare.unwrap_or_else(|| Region::heap(len))
    }

    /// Takes back a lease that is not to be written any more.
    pub(crate) fn close(&self, lease: &Lease) {
        self.open_leases.fetch_sub(1, Ordering::Relaxed);
        lease.segment().close(lease.position());
        lock(&self.closed).push(lease.segment().clone());
    }

    /// No thread gets more than a part of the quota, the smaller the more of them there are.
    fn largest_lease(&self) -> usize {
        if self.is_refused.load(Ordering::Relaxed) && self.settings.directory.is_some() {
            // Memory stands in for a file: small ones, so that a file is used as soon as one can be made.
            return UNIT;
        }
        let leases = self.open_leases.load(Ordering::Relaxed) + 1;
        let share = (self.allowance.load(Ordering::Relaxed) / 8) as usize / leases;
        (share / UNIT * UNIT).clamp(UNIT, LARGEST_LEASE)
    }

    fn take_warm(&self, needed: usize, wanted: usize) -> Option<Range> {
        let taken = lock(&self.allocator).take_warm(needed, wanted);
        self.check_stock(self.warm_bytes());
        taken
    }

    /// A cold range of `wanted` bytes if there is one, else the longest that has `needed`.
    pub(super) fn take_cold(&self, needed: usize, wanted: usize) -> Option<Range> {
        self.take_and_cut(wanted, |allocator| allocator.take_cold(needed, wanted))
    }

    /// Any free range of `needed` bytes, cold or warm.
    fn take_any(&self, needed: usize) -> Option<Range> {
        self.take_and_cut(needed, |allocator| allocator.take_any(needed))
    }

    /// One thread at a time, so that nobody misses what another has taken out only to cut it.
    fn take_and_cut(&self, wanted: usize, take: impl FnOnce(&mut Allocator) -> Option<Range>) -> Option<Range> {
        let _cutting = lock(&self.cutting);
        let mut range = take(&mut lock(&self.allocator))?;
        if let Some(rest) = range.cut(wanted, Chunk::write_free_header_to_file) {
            lock(&self.allocator).give_back(rest);
        }
        Some(range)
    }

    /// The stock is used up: takes what is free, makes a file, or evicts.
    #[cold]
    fn take_cold_range(&self, needed: usize, wanted: usize) -> Option<Range> {
        // Whatever the stock seems to hold, it does not serve.
        self.is_used_up.store(true, Ordering::Relaxed);
        self.check_stock(0);
        self.withdraw_failed();
        // Where it is faulted in a small one: it is this thread that has to wait for it.
        let wanted = match self.tier() {
            Tier::Written => wanted,
            Tier::Mapped | Tier::Memory => wanted.min(COLD_LEASE).max(needed),
        };
        let is_busy = stock::is_busy(lock(&self.stock).target());
        let cold = || {
            let range = self.take_cold(needed, wanted)?;
            range.chunk.warm(range.offset, range.len, is_busy);
            Some(range)
        };
        if let Some(range) = cold() {
            return Some(range);
        }
        if self.may_grow() && self.grow(needed) {
            if let Some(range) = cold() {
                return Some(range);
            }
        }
        loop {
            if let Some(range) = self.take_any(needed) {
                return Some(range);
            }
            if !self.could_hold(needed) {
                return None;
            }
            // Files that had failed may have made room; so do those that are free, but too short.
            if self.may_grow() && self.grow(needed) || self.remove_short_file(needed) {
                continue;
            }
            self.seal_closed();
            if needed > UNIT && !self.could_be_had(needed) {
                return None;
            }
            if !self.make_way(needed) {
                return None;
            }
        }
    }
}
