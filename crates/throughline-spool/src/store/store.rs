//! The store itself: leases out segments, takes them back, evicts the oldest, and keeps account.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::allocator::{Allocator, Range};
use super::batch::BatchWriter;
use super::chunk::{self, Chunk};
use super::index::Index;
use super::lease::{Lease, SLACK};
use super::ledger::{Dropped, Ledger};
use super::quota::Limits;
use super::segment::Segment;
use super::stock::{self, Stock};
use super::sync::GroupCommit;
use super::tail::Tail;
use super::tier::Tier;
use crate::files::{FileSystem, SharedFiles};
use crate::format::header::{HEADER_LEN, Header, MAX_DESTINATIONS, Signal, UNIT};
use crate::format::manifest::Manifest;
use crate::format::record::{self, Kind, stride};
use crate::format::source::Source;

/// The first file is small, for programs that make a few spans and end: they leave it behind as it is.
const FIRST_CHUNK: usize = 64 << 10;
const CHUNK: usize = 4 << 20;
/// The largest segment that is leased, unless a single record needs more.
const LARGEST_LEASE: usize = 1 << 20;
/// Where files are written, each segment has memory of its own while it is written: small ones are enough.
const LARGEST_WRITTEN_LEASE: usize = 64 << 10;
/// What a thread gets that finds nothing warm.
const COLD_LEASE: usize = 64 << 10;
/// How much is faulted in at a time: what is ready can be used while the rest is prepared.
const WARM_STEP: usize = 256 << 10;
/// Sealed segments keep their memory up to this many bytes in all; the file has what they hold.
const MOST_RESIDENT: usize = 8 << 20;
/// Leases that are made ahead, of the size that is asked for at present, and in all.
const PREPARED: usize = 4;
const MOST_PREPARED: usize = 32;
/// Room for closed segments that wait to be sealed.
const CLOSED: usize = 512;
/// After a file could not be made, how long until the next try.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The names of the files in a store's directory.
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const SEGMENTS: &str = "segments-";

pub(crate) fn segments_name(number: u32) -> String {
    format!("{SEGMENTS}{number:04}")
}

/// What a store is made with.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Where its files lie; a directory that is there and belongs to this store alone. `None` keeps records in memory.
    pub directory: Option<PathBuf>,
    /// Who writes, and where the records are to go; at most 8 destinations.
    pub manifest: Manifest,
    /// What the records are.
    pub signal: Signal,
    /// How much may be kept.
    pub limits: Limits,
    /// The tier to use instead of the one that suits the file system.
    pub tier: Option<Tier>,
    /// What a batch does that finds no room: the oldest records make way (and are counted), or it is refused.
    pub refuse_when_full: bool,
}

/// One writer's segments.
///
/// An ordinary value: there may be many in one process. It has no thread of its own: somebody calls
/// [`maintain`](Self::maintain) now and then, and when [`on_low_stock`](Self::on_low_stock) asks for it.
pub struct Store {
    files: SharedFiles,
    settings: StoreSettings,
    identities: [u64; MAX_DESTINATIONS],
    destinations: usize,
    /// The manifest, as the process record of each segment has it.
    process_record: Vec<u8>,
    tier: AtomicU8,
    is_memory_backed: bool,
    /// Held by whoever makes a file.
    growing: Mutex<()>,
    /// Bytes of files that may be made at present; at most `limits.total()`.
    allowance: AtomicU64,
    allocator: Mutex<Allocator>,
    pub(super) index: Mutex<Index>,
    /// Leases of warm segments, made ahead so that whoever takes one allocates nothing.
    prepared: Mutex<Vec<Lease>>,
    /// The size of lease that was asked for last.
    last_wanted: AtomicUsize,
    /// Segments that no lease writes any more, and that are not sealed yet.
    closed: Mutex<Vec<Arc<Segment>>>,
    /// Sealed segments whose memory has not been released, oldest first, and what it is in bytes.
    resident: Mutex<(std::collections::VecDeque<Arc<Segment>>, usize)>,
    stock: Mutex<Stock>,
    /// Below this the stock is low.
    low_mark: AtomicUsize,
    on_low_stock: OnceLock<Box<dyn Fn() + Send + Sync>>,
    chunks: AtomicU32,
    generation: AtomicU64,
    open_leases: AtomicUsize,
    refusal: Mutex<Refusal>,
    is_refused: AtomicBool,
    pub(super) sources: Mutex<Sources>,
    pub(crate) ledger: Ledger,
    pub(super) totals: Totals,
    claimed: [AtomicBool; MAX_DESTINATIONS],
    pub(super) batch_writer: Mutex<BatchWriter>,
    group_commit: GroupCommit,
    /// Chunks that hold something that was not synced.
    unsynced: Mutex<Vec<Arc<Chunk>>>,
    /// Whether names of files were made that were not synced.
    new_names: AtomicBool,
}

/// Why no file can be made.
#[derive(Debug, Default)]
struct Refusal {
    error: Option<String>,
    retry_at: Option<Instant>,
    pause: Duration,
}

/// The sources that records of this store name.
#[derive(Default)]
pub(super) struct Sources {
    /// Each with its encoded form.
    by_number: Vec<(Arc<Source>, Arc<[u8]>)>,
    numbers: HashMap<Arc<Source>, u32>,
}

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
    /// Those that were lost, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

/// Where the records of a destination that are not settled ended at one moment: by segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub(super) segments: Vec<(u64, u32)>,
}

impl Store {
    /// Makes a store in an empty directory, or in memory. It never fails: what cannot be written is kept in memory, and
    /// [`refusal`](Self::refusal) says why.
    #[must_use]
    pub fn new(settings: StoreSettings) -> Self {
        Self::with_files(settings, crate::files::os::files())
    }

    pub(crate) fn with_files(mut settings: StoreSettings, files: SharedFiles) -> Self {
        settings.manifest.destinations.truncate(MAX_DESTINATIONS);
        // Memory has no files.
        settings.directory.take_if(|_| settings.tier == Some(Tier::Memory));
        let file_system = settings
            .directory
            .as_ref()
            .map_or(FileSystem::MemoryBacked, |path| files.file_system(path));
        let is_memory_backed = file_system == FileSystem::MemoryBacked;
        if is_memory_backed {
            settings.limits = settings.limits.in_memory();
        }
        let tier = match &settings.directory {
            Some(_) => settings.tier.unwrap_or_else(|| Tier::of(file_system)),
            None => Tier::Memory,
        };
        let destinations = settings.manifest.destinations.len();
        let mut identities = [0; MAX_DESTINATIONS];
        for (identity, destination) in identities.iter_mut().zip(&settings.manifest.destinations) {
            *identity = destination.short_identity();
        }
        let ledger_path = settings.directory.as_ref().map(|path| path.join(LEDGER));
        let total = settings.limits.total();
        let stock = Stock::new(total);
        let store = Self {
            ledger: Ledger::create(&*files, ledger_path.as_deref(), tier, &identities[..destinations]),
            process_record: settings.manifest.to_bytes(),
            identities,
            destinations,
            tier: AtomicU8::new(tier as u8),
            is_memory_backed,
            growing: Mutex::default(),
            allowance: AtomicU64::new(total),
            allocator: Mutex::default(),
            index: Mutex::new(Index::new()),
            prepared: Mutex::new(Vec::with_capacity(MOST_PREPARED)),
            last_wanted: AtomicUsize::new(UNIT),
            closed: Mutex::new(Vec::with_capacity(CLOSED)),
            resident: Mutex::default(),
            low_mark: AtomicUsize::new(stock.target() / 2),
            stock: Mutex::new(stock),
            on_low_stock: OnceLock::new(),
            chunks: AtomicU32::new(0),
            generation: AtomicU64::new(0),
            open_leases: AtomicUsize::new(0),
            refusal: Mutex::default(),
            is_refused: AtomicBool::new(false),
            sources: Mutex::default(),
            totals: Totals::default(),
            claimed: Default::default(),
            batch_writer: Mutex::default(),
            group_commit: GroupCommit::default(),
            unsynced: Mutex::default(),
            new_names: AtomicBool::new(true),
            settings,
            files,
        };
        if store.grow(FIRST_CHUNK) {
            store.warm(FIRST_CHUNK);
        }
        store
    }

    /// Where the records lie; `None` when they are in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.settings.directory.as_deref()
    }

    /// What holds the records.
    #[must_use]
    pub fn tier(&self) -> Tier {
        Tier::from_number(self.tier.load(Ordering::Relaxed))
    }

    /// What the store was made with.
    #[must_use]
    pub fn settings(&self) -> &StoreSettings {
        &self.settings
    }

    /// Whether the files lie in memory themselves (tmpfs), or there are none.
    #[must_use]
    pub fn is_memory_backed(&self) -> bool {
        self.is_memory_backed
    }

    /// Why no file can be made at present (a full disk, a limit); records are kept in memory meanwhile, up to 16 MiB.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        if self.is_refused.load(Ordering::Relaxed) {
            lock(&self.refusal).error.clone()
        } else {
            None
        }
    }

    /// Whether files have stopped taking what is written (tier [`Written`](Tier::Written)): the records are in memory, and are
    /// delivered only if the process lives that long.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.tier() == Tier::Written
            && lock(&self.index)
                .active_from(0)
                .take(64)
                .any(|segment| segment.has_failed())
    }

    /// Calls this when the stock of warm memory is below half; at most once until the next [`maintain`](Self::maintain).
    pub fn on_low_stock(&self, call: impl Fn() + Send + Sync + 'static) {
        let _ = self.on_low_stock.set(Box::new(call));
    }

    /// Sets how many bytes of files may be made, where other stores share a quota with this one.
    pub fn set_allowance(&self, bytes: u64) {
        self.allowance
            .store(bytes.min(self.settings.limits.total()), Ordering::Relaxed);
    }

    /// Bytes of the files that hold segments.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        lock(&self.allocator).file_bytes() as u64
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        lock(&self.allocator).memory_bytes()
    }

    // ---- sources ------------------------------------------------------------------------------------------------

    /// The number of a source in the records of this store.
    pub fn source(&self, source: &Source) -> u32 {
        let mut sources = lock(&self.sources);
        if let Some(number) = sources.numbers.get(source) {
            return *number;
        }
        sources.add(source.clone())
    }

    /// The source of this number.
    #[must_use]
    pub fn source_of(&self, number: u32) -> Option<Arc<Source>> {
        let sources = lock(&self.sources);
        sources.by_number.get(number as usize).map(|(source, _)| source.clone())
    }

    /// How many sources are known.
    pub(crate) fn source_count(&self) -> u32 {
        lock(&self.sources).by_number.len() as u32
    }

    /// Makes a source known under the next number, also when it is known already.
    pub(crate) fn add_source(&self, source: Source) -> u32 {
        lock(&self.sources).add(source)
    }

    /// Appends a source's record to a lease that does not know it, if there is room for a body of `room` bytes behind it.
    pub(crate) fn append_source(&self, lease: &mut Lease, number: u32, room: usize) -> bool {
        let bytes = {
            let sources = lock(&self.sources);
            sources.by_number.get(number as usize).map(|(_, bytes)| bytes.clone())
        };
        // Nobody hands out other numbers; a record without a source is delivered without one.
        lease.append_source(number, bytes.as_deref().unwrap_or(&[]), room)
    }

    // ---- leases -------------------------------------------------------------------------------------------------

    /// A lease with room for the record of a source with a body of `body` bytes, of `wanted` bytes if that can be had.
    /// `None`: there is no room, and nothing can make way.
    pub(crate) fn lease(&self, source: u32, body: usize, wanted: usize) -> Option<Lease> {
        let source_len = {
            let sources = lock(&self.sources);
            sources
                .by_number
                .get(source as usize)
                .map_or(0, |(_, bytes)| bytes.len())
        };
        let first = stride(self.process_record.len());
        let needed = HEADER_LEN + first + stride(source_len) + stride(body) + SLACK;
        let needed = needed.next_multiple_of(UNIT);
        let wanted = wanted
            .clamp(UNIT, self.largest_lease())
            .next_multiple_of(UNIT)
            .max(needed);
        let mut lease = match self.take_prepared(needed, wanted) {
            Some(lease) => lease,
            None => self.start_segment(self.take_range(needed, wanted)?, first),
        };
        self.open_leases.fetch_add(1, Ordering::Relaxed);
        let chunk = &lease.segment().range().chunk;
        if chunk::mark_open(chunk) {
            lock(&self.unsynced).push(chunk.clone());
        }
        // In the order in which they are leased, however long ago they were prepared.
        lock(&self.index).add(lease.segment().clone());
        self.append_source(&mut lease, source, body);
        Some(lease)
    }

    /// A lease that was made ahead, of about the size that is wanted.
    fn take_prepared(&self, needed: usize, wanted: usize) -> Option<Lease> {
        self.last_wanted.store(wanted, Ordering::Relaxed);
        let (taken, ready) = {
            let mut prepared = lock(&self.prepared);
            let sizes = needed.max(wanted / 4)..=wanted;
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
        if self.tier() != Tier::Written
            && bytes < self.low_mark.load(Ordering::Relaxed)
            && let Some(call) = self.on_low_stock.get()
        {
            call();
        }
    }

    /// Makes leases ahead, from the stock of warm memory.
    fn prepare(&self) {
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
        let (segment, own) = Segment::create(range, header, &process);
        Lease::new(segment, own, HEADER_LEN + first)
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
        let largest = match self.tier() {
            Tier::Written => LARGEST_WRITTEN_LEASE,
            Tier::Mapped | Tier::Memory => LARGEST_LEASE,
        };
        (share / UNIT * UNIT).clamp(UNIT, largest)
    }

    fn take_range(&self, needed: usize, wanted: usize) -> Option<Range> {
        let taken = lock(&self.allocator).take_warm(needed, wanted);
        self.check_stock(self.warm_bytes());
        match taken {
            Some(range) => Some(range),
            None => self.take_cold_range(needed, wanted),
        }
    }

    /// The stock is used up: takes what is free, makes a file, or evicts.
    #[cold]
    fn take_cold_range(&self, needed: usize, wanted: usize) -> Option<Range> {
        self.withdraw_failed();
        // A small one: it is this thread that has to wait for it.
        let cold = || {
            let range = lock(&self.allocator).take_cold(needed, wanted.min(COLD_LEASE).max(needed))?;
            range.chunk.warm(range.offset, range.len);
            Some(range)
        };
        if let Some(range) = cold() {
            return Some(range);
        }
        if self.may_grow()
            && self.grow(needed)
            && let Some(range) = cold()
        {
            return Some(range);
        }
        loop {
            if let Some(range) = lock(&self.allocator).take_any(needed) {
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

    /// Whether so much would be in one piece if all that is sealed made way: leases that are written may stand between.
    fn could_be_had(&self, needed: usize) -> bool {
        if self.may_use_memory() {
            return true;
        }
        // Those that were made ahead and that nobody has asked for make way first.
        let prepared: Vec<_> = lock(&self.prepared).drain(..).collect();
        prepared.iter().for_each(|lease| self.recycle(lease.segment()));
        let mut taken: Vec<_> = lock(&self.index)
            .active_from(0)
            .filter(|segment| !segment.is_sealed())
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
    fn could_hold(&self, needed: usize) -> bool {
        if self.may_use_memory() {
            return true;
        }
        lock(&self.allocator).could_hold(needed) || self.may_make_files() && needed <= self.room_beside(0)
    }

    /// Removes a free file where none is long enough, so that a longer one can be made.
    fn remove_short_file(&self, needed: usize) -> bool {
        let chunk = {
            let mut allocator = lock(&self.allocator);
            if allocator.could_hold(needed) || !self.may_make_files() {
                return false;
            }
            allocator.remove_free_chunk()
        };
        // One that cannot be removed is removed with the directory.
        chunk.is_some_and(|chunk| {
            let _ = chunk.remove(&*self.files);
            true
        })
    }

    /// Makes room by one step, the least harmful first. `false`: there is nothing more to be done.
    fn make_way(&self, needed: usize) -> bool {
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

    fn evict_history(&self) -> bool {
        let evicted = lock(&self.index).evict_history();
        evicted.is_some_and(|segment| {
            if self.destinations == 0 {
                self.count_evicted_history(&segment);
            }
            self.recycle(&segment);
            true
        })
    }

    fn evict_pending(&self) -> bool {
        let evicted = lock(&self.index).evict_pending();
        evicted.is_some_and(|segment| {
            let counted = segment.counted();
            for (number, totals) in self.totals.by_destination[..self.destinations].iter().enumerate() {
                let left = u64::from(counted.records.saturating_sub(segment.cursor(number).settled));
                self.ledger.add_dropped_for(number, Dropped::Quota, left);
                totals.evicted.fetch_add(left, Ordering::Relaxed);
                let bytes = counted.bytes.saturating_sub(segment.settled_bytes(number));
                totals.evicted_bytes.fetch_add(bytes.into(), Ordering::Relaxed);
            }
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
        let totals = &self.totals.by_destination[0];
        self.ledger.add_delivered(0, counted.records.into());
        totals.evicted.fetch_add(counted.records.into(), Ordering::Relaxed);
        totals.evicted_bytes.fetch_add(counted.bytes.into(), Ordering::Relaxed);
        segment.range().chunk.wanted_segments.fetch_sub(1, Ordering::AcqRel);
    }

    /// Gives the range of an evicted segment back.
    fn recycle(&self, segment: &Segment) {
        // The file says so before anybody else writes there.
        segment.write_free_header();
        lock(&self.allocator).give_back(segment.range().clone());
        self.remove_retired();
    }

    /// Removes what is not to be leased any more and holds nothing.
    fn remove_retired(&self) {
        loop {
            let Some(chunk) = lock(&self.allocator).remove_retired_chunk() else {
                return;
            };
            // One that cannot be removed is removed with the directory.
            let _ = chunk.remove(&*self.files);
        }
    }

    // ---- files --------------------------------------------------------------------------------------------------

    fn may_make_files(&self) -> bool {
        self.settings.directory.is_some() && !self.is_refused.load(Ordering::Relaxed)
    }

    fn may_grow(&self) -> bool {
        let present = lock(&self.allocator).file_bytes();
        self.may_make_files() && self.room_beside(present) >= UNIT
    }

    /// How many bytes of files may be made beside those. There may be a small one in any case.
    fn room_beside(&self, present: usize) -> usize {
        let room = (self.allowance.load(Ordering::Relaxed) as usize).saturating_sub(present) / UNIT * UNIT;
        if present == 0 { room.max(FIRST_CHUNK) } else { room }
    }

    /// Adds a file with room for `needed` bytes. `false`: there is no room for it, or it cannot be made; then nobody tries
    /// again for a while.
    fn grow(&self, needed: usize) -> bool {
        let Some(directory) = &self.settings.directory else {
            return false;
        };
        // One at a time: threads that find the stock used up together need one file, not one each.
        let _growing = lock(&self.growing);
        if needed > 0 && lock(&self.allocator).has_cold(needed) {
            return true;
        }
        let present = lock(&self.allocator).file_bytes();
        let room = self.room_beside(present);
        if needed.max(UNIT) > room {
            return false;
        }
        let wanted = match present {
            0 => FIRST_CHUNK
                .min(self.allowance.load(Ordering::Relaxed) as usize / UNIT * UNIT)
                .max(UNIT),
            _ if present < stock::FIRST => stock::FIRST - present,
            // The busier, the larger: each costs the threads that write a wait for the map of the process's memory.
            _ => lock(&self.stock).target().max(CHUNK),
        };
        let wanted = wanted.min(room).max(needed);
        let mut last = None;
        // A disk that is nearly full may have room for a smaller one.
        for len in [wanted, needed.max(UNIT).next_multiple_of(FIRST_CHUNK).min(wanted)] {
            let number = self.chunks.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(segments_name(number));
            let made = match Chunk::create(&*self.files, &path, number, len, self.tier()) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported && self.tier() == Tier::Mapped => {
                    self.tier.store(Tier::Written as u8, Ordering::Relaxed);
                    Chunk::create(&*self.files, &path, number, len, Tier::Written)
                }
                made => made,
            };
            match made {
                Ok(chunk) => {
                    self.new_names.store(true, Ordering::Relaxed);
                    lock(&self.allocator).add_chunk(Arc::new(chunk));
                    return true;
                }
                Err(error) => last = Some(error),
            }
        }
        let mut refusal = lock(&self.refusal);
        refusal.error = last.map(|error| error.to_string());
        refusal.pause = (refusal.pause * 2).clamp(RETRY, LONGEST_RETRY);
        refusal.retry_at = Some(Instant::now() + refusal.pause);
        drop(refusal);
        self.is_refused.store(true, Ordering::Relaxed);
        // There is something to say.
        if let Some(call) = self.on_low_stock.get() {
            call();
        }
        false
    }

    // ---- maintenance --------------------------------------------------------------------------------------------

    /// Seals what was closed, refills the stock of warm memory, and lets go of what is not needed. Not for a caller's thread.
    pub fn maintain(&self, now: Instant) {
        self.seal_closed();
        self.withdraw_failed();
        self.retry_files(now);
        let (target, is_low) = {
            let mut stock = lock(&self.stock);
            let is_low = self.tier() != Tier::Written && self.warm_bytes() < stock.target() / 2;
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
            (stock.target(), is_low)
        };
        self.low_mark.store(target / 2, Ordering::Relaxed);
        // Not for every lease: a program that makes a few spans needs no other file.
        if is_low {
            self.warm(target);
        }
        self.prepare();
        self.grow_ahead(target);
        self.release_sealed();
        self.remove_free_files(target);
        self.ledger.write();
    }

    /// In busy times there is a file ahead of need, so that no thread has to make one.
    fn grow_ahead(&self, target: usize) {
        let is_busy = target > stock::FIRST;
        if is_busy && lock(&self.allocator).cold_bytes() < target / 2 && self.may_grow() {
            self.grow(0);
        }
    }

    /// Bytes that are ready to be written to.
    fn warm_bytes(&self) -> usize {
        let prepared: usize = lock(&self.prepared).iter().map(|lease| lease.segment().len()).sum();
        prepared + lock(&self.allocator).warm_bytes()
    }

    /// Nothing more is written to files that have failed; those that hold nothing go.
    fn withdraw_failed(&self) {
        lock(&self.allocator).sort_out();
        self.remove_retired();
    }

    /// A file that could not be made is tried again.
    fn retry_files(&self, now: Instant) {
        if !self.is_refused.load(Ordering::Relaxed) {
            return;
        }
        if lock(&self.refusal).retry_at.is_some_and(|at| now >= at) {
            self.is_refused.store(false, Ordering::Relaxed);
            if self.grow(0) {
                *lock(&self.refusal) = Refusal::default();
            }
            if !self.is_refused.load(Ordering::Relaxed) {
                lock(&self.allocator).set_uses_memory(false);
                self.remove_retired();
            } else {
                let mut refusal = lock(&self.refusal);
                refusal.retry_at = Some(now + refusal.pause);
            }
        }
    }

    /// When the next try of a file is due.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        let is_refused = self.is_refused.load(Ordering::Relaxed);
        lock(&self.refusal).retry_at.filter(|_| is_refused)
    }

    /// Counts and seals the segments that no lease writes any more.
    pub(crate) fn seal_closed(&self) {
        let closed: Vec<_> = lock(&self.closed).drain(..).collect();
        for segment in closed {
            self.count_segment(&segment);
            segment.seal();
            self.settle_segment(&segment);
            if !segment.range().chunk.is_in_memory() && segment.range().chunk.region().is_some() {
                let mut resident = lock(&self.resident);
                resident.1 += segment.len();
                resident.0.push_back(segment);
            }
        }
    }

    /// Makes history of a segment that is sealed and that everybody has got.
    pub(super) fn settle_segment(&self, segment: &Segment) {
        let is_settled = segment.is_sealed() && (0..self.destinations).all(|n| segment.is_settled_for(n));
        if is_settled && lock(&self.index).settle(segment.order()) && self.destinations > 0 {
            segment.range().chunk.wanted_segments.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Faults in free ranges until so many bytes are warm.
    fn warm(&self, target: usize) {
        if self.tier() == Tier::Written {
            return;
        }
        loop {
            let missing = target.saturating_sub(self.warm_bytes());
            if missing < UNIT {
                return;
            }
            let step = missing.min(WARM_STEP) / UNIT * UNIT;
            let taken = lock(&self.allocator).take_cold(UNIT, step);
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
            range.chunk.warm(range.offset, range.len);
            range.chunk.write_free_header(range.offset, range.len);
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
                if resident.1 <= MOST_RESIDENT {
                    return;
                }
                let Some(oldest) = resident.0.pop_front() else { return };
                resident.1 -= oldest.len();
                oldest
            };
            // Pinned, so that the range is still this segment's; one that was evicted is in use again, or in stock.
            if let Some(pin) = oldest.pin() {
                pin.segment().release_memory();
            }
        }
    }

    /// After an outage much is free: whole files of it go, but for a reserve.
    fn remove_free_files(&self, target: usize) {
        loop {
            let chunk = {
                let mut allocator = lock(&self.allocator);
                if allocator.cold_bytes() < 2 * target.max(CHUNK) {
                    return;
                }
                allocator.remove_free_chunk()
            };
            let Some(chunk) = chunk else { return };
            // One that cannot be removed is removed with the directory.
            let _ = chunk.remove(&*self.files);
        }
    }

    // ---- counts -------------------------------------------------------------------------------------------------

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
            dropped: Dropped::ALL.map(|reason| self.ledger.dropped((!is_local).then_some(row), reason)),
        }
    }

    /// How many destinations have a cursor.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// The reader for one destination, by its number in the manifest. `None`: there is no such destination, or its reader is
    /// in other hands.
    #[must_use]
    pub fn tail(self: &Arc<Self>, destination: usize) -> Option<Tail> {
        let claimed = self
            .claimed
            .get(destination)
            .filter(|_| destination < self.destinations)?;
        (!claimed.swap(true, Ordering::AcqRel)).then(|| Tail::new(self.clone(), destination))
    }

    pub(super) fn give_tail_back(&self, destination: usize) {
        self.claimed[destination].store(false, Ordering::Release);
    }

    // ---- sync ---------------------------------------------------------------------------------------------------

    /// Makes everything that was committed before this call survive a power cut. Several callers share one sync.
    ///
    /// # Errors
    ///
    /// A file cannot be synced, or the records are in memory. What a file has lost once it will not get back: as long as it
    /// has records that some destination is to get, every further call fails too.
    pub fn sync(&self) -> io::Result<()> {
        self.group_commit.run(|| self.sync_all())
    }

    fn sync_all(&self) -> io::Result<()> {
        let Some(directory) = &self.settings.directory else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the records are in memory, and no sync makes them durable",
            ));
        };
        let chunks = std::mem::take(&mut *lock(&self.unsynced));
        let mut result = Ok(());
        for chunk in chunks {
            if chunk.is_given_up() {
                chunk.is_unsynced.swap(false, Ordering::AcqRel);
                // Whoever leases a part of it (of memory; failed files are not leased) asks for a sync again.
                if chunk.is_given_up() {
                    continue;
                }
            }
            // Cleared first: what is written from here on needs another sync.
            // By an exchange: whoever leases a part of it adds to `open_segments` and then exchanges, so that one of the two sees
            // the other.
            chunk.is_unsynced.swap(false, Ordering::AcqRel);
            // Asked before the sync: a segment that is closed while it runs may have got records behind it.
            let is_open = chunk.open_segments.load(Ordering::Acquire) > 0;
            let synced = chunk.sync();
            if (synced.is_err() || is_open) && !chunk.is_unsynced.swap(true, Ordering::AcqRel) {
                lock(&self.unsynced).push(chunk);
            }
            result = result.and(synced);
        }
        if self.new_names.swap(false, Ordering::AcqRel) {
            let synced = self.files.sync_dir(directory);
            if synced.is_err() {
                self.new_names.store(true, Ordering::Release);
            }
            result = result.and(synced);
        }
        result
    }

    /// Whether anything was written since the last sync, as far as can be told without looking at records.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        !lock(&self.unsynced).is_empty()
    }
}

impl Sources {
    fn add(&mut self, source: Source) -> u32 {
        let number = self.by_number.len() as u32;
        let source = Arc::new(source);
        self.by_number.push((source.clone(), source.to_bytes().into()));
        self.numbers.entry(source).or_insert(number);
        number
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("path", &self.path())
            .field("tier", &self.tier())
            .finish_non_exhaustive()
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
