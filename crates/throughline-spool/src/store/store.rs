//! The store itself: what it is made with, and what it is made of.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::account::Totals;
use super::allocator::Allocator;
use super::batch::BatchWriter;
use super::chunk::Chunk;
use super::consumer::Consumer;
use super::index::Index;
use super::lease::Lease;
use super::ledger::Ledger;
use super::maintenance::Resident;
use super::memory::Region;
use super::quota::Limits;
use super::segment::Segment;
use super::segment_files::{FIRST_CHUNK, Refusal};
use super::sources::Sources;
use super::stock::Stock;
use super::sync::GroupCommit;
use super::tier::Tier;
use crate::files::{FileSystem, SharedFiles};
use crate::format::header::{MAX_DESTINATIONS, Signal, UNIT};
use crate::format::manifest::Manifest;

/// The names of the files in a store's directory.
pub(crate) const LEDGER: &str = "ledger";
pub(crate) const SEGMENTS: &str = "segments-";

pub(crate) fn segments_name(number: u32) -> String {
    format!("{SEGMENTS}{number:04}")
}

/// Leases that are made ahead, of whatever size.
pub(super) const MOST_PREPARED: usize = 32;
/// Room for closed segments that wait to be sealed.
const CLOSED: usize = 512;

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
    pub(super) files: SharedFiles,
    pub(super) settings: StoreSettings,
    pub(super) identities: [u64; MAX_DESTINATIONS],
    pub(super) destinations: usize,
    /// The manifest, as the process record of each segment has it.
    pub(super) process_record: Vec<u8>,
    pub(super) tier: AtomicU8,
    pub(super) is_memory_backed: bool,
    /// Held by whoever makes a file.
    pub(super) growing: Mutex<()>,
    /// Bytes of files that may be made at present; at most `limits.total()`.
    pub(super) allowance: AtomicU64,
    pub(super) allocator: Mutex<Allocator>,
    /// Held by whoever cuts a free range that is not warm.
    pub(super) cutting: Mutex<()>,
    pub(super) index: Mutex<Index>,
    /// Leases of warm segments, made ahead so that whoever takes one allocates nothing.
    pub(super) prepared: Mutex<Vec<Lease>>,
    /// The size of lease that was asked for last.
    pub(super) last_wanted: AtomicUsize,
    /// Memory that the last sealed segment of a written file has left.
    pub(super) spare_memory: Mutex<Option<Region>>,
    /// Segments that no lease writes any more, and that are not sealed yet.
    pub(super) closed: Mutex<Vec<Arc<Segment>>>,
    /// Sealed segments whose memory has not been released.
    pub(super) resident: Mutex<Resident>,
    pub(super) stock: Mutex<Stock>,
    /// Below this the stock is low.
    pub(super) low_mark: AtomicUsize,
    /// Whether somebody has found nothing warm since the last [`maintain`](Self::maintain).
    pub(super) is_used_up: AtomicBool,
    pub(super) on_low_stock: OnceLock<Box<dyn Fn() + Send + Sync>>,
    pub(super) chunks: AtomicU32,
    pub(super) generation: AtomicU64,
    pub(super) open_leases: AtomicUsize,
    pub(super) refusal: Mutex<Refusal>,
    pub(super) is_refused: AtomicBool,
    pub(super) sources: Mutex<Sources>,
    pub(crate) ledger: Ledger,
    pub(super) totals: Mutex<Totals>,
    pub(super) claimed: [AtomicBool; MAX_DESTINATIONS],
    pub(super) batch_writer: Mutex<BatchWriter>,
    pub(super) group_commit: GroupCommit,
    /// Chunks that hold something that was not synced.
    pub(super) unsynced: Mutex<Vec<Weak<Chunk>>>,
    /// Whether names of files were made that were not synced.
    pub(super) new_names: AtomicBool,
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
            cutting: Mutex::default(),
            index: Mutex::new(Index::new()),
            prepared: Mutex::new(Vec::with_capacity(MOST_PREPARED)),
            last_wanted: AtomicUsize::new(UNIT),
            spare_memory: Mutex::default(),
            closed: Mutex::new(Vec::with_capacity(CLOSED)),
            resident: Mutex::default(),
            low_mark: AtomicUsize::new(FIRST_CHUNK / 2),
            stock: Mutex::new(stock),
            is_used_up: AtomicBool::new(false),
            on_low_stock: OnceLock::new(),
            chunks: AtomicU32::new(0),
            generation: AtomicU64::new(0),
            open_leases: AtomicUsize::new(0),
            refusal: Mutex::default(),
            is_refused: AtomicBool::new(false),
            sources: Mutex::default(),
            totals: Mutex::default(),
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

    /// Bytes of segments that everybody has got, or that were never to be sent; a part of [`file_bytes`](Self::file_bytes).
    #[must_use]
    pub fn history_bytes(&self) -> u64 {
        lock(&self.index).history_bytes()
    }

    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        lock(&self.allocator).memory_bytes()
    }

    /// How many destinations have a cursor.
    #[must_use]
    pub fn destinations(&self) -> usize {
        self.destinations
    }

    /// The reader for one destination, by its number in the manifest. `None`: there is no such destination, or its reader is
    /// in other hands.
    #[must_use]
    pub fn consumer(self: &Arc<Self>, destination: usize) -> Option<Consumer> {
        let claimed = self
            .claimed
            .get(destination)
            .filter(|_| destination < self.destinations)?;
        (!claimed.swap(true, Ordering::AcqRel)).then(|| Consumer::new(self.clone(), destination))
    }

    pub(super) fn give_consumer_back(&self, destination: usize) {
        self.claimed[destination].store(false, Ordering::Release);
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
