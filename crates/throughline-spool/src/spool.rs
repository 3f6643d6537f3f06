//! The spool of this process: segments and slots for its threads, and the counts of what became of its spans.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::catalog::Catalog;
use crate::chunk::Chunk;
use crate::depot::Depot;
use crate::directory::{self, Owned, Root};
use crate::epoch;
use crate::keeper;
use crate::lease::Lease;
use crate::ledger::{Dropped, Ledger};
use crate::manifest::{Identity, Manifest};
use crate::open::Open;
use crate::quota::Limits;
use crate::scopes::{self, ScopesFile};
use crate::thread::{Counters, commit, number};
use crate::tier::Tier;

/// Threads with a lease of their own; further ones share.
const MOST_LEASES: usize = 256;
const STRIPES: usize = 32;
/// The first chunk is small, for programs that make a few spans and end: they leave it behind as it is.
const FIRST_CHUNK: usize = 128 << 10;
const CHUNK: usize = 4 << 20;

static CURRENT: AtomicPtr<Spool> = AtomicPtr::new(std::ptr::null_mut());

/// What a spool is opened with. A forked child opens its own with the same.
#[derive(Clone)]
pub struct Settings {
    /// The user's spool; `None` keeps spans in memory.
    pub root: Option<Root>,
    /// What stands beside the records; its owner is filled in.
    pub manifest: Manifest,
    /// How much may be kept.
    pub limits: Limits,
    /// The tier to use instead of the one that suits the file system.
    pub tier: Option<Tier>,
    /// Called now and then by the helper thread: every 10 ms to 1 s.
    pub tick: fn(),
    /// Called in a forked child, once its own spool is there.
    pub forked: fn(&'static Spool),
}

/// The spool of this process.
pub struct Spool {
    epoch: u32,
    settings: Settings,
    directory: Option<Owned>,
    tier: Tier,
    /// Why the tier is `Memory`, when that was not asked for.
    refusal: Option<String>,
    catalog: Mutex<Catalog>,
    chunks: AtomicU32,
    depot: Depot,
    /// Leases of threads that ended, with room left.
    spare: Mutex<Vec<Lease>>,
    leases: AtomicUsize,
    stripes: [Mutex<Option<Lease>>; STRIPES],
    counters: Mutex<AllCounters>,
    without_thread: Counters,
    pub(crate) ledger: Ledger,
    scopes: ScopesFile,
}

#[derive(Default)]
struct AllCounters {
    all: Vec<&'static Counters>,
    /// Of threads that ended; their counts stay and are counted on.
    free: Vec<&'static Counters>,
}

/// What became of the spans of this process, for one destination.
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

impl Spool {
    /// Opens the spool of this process and switches tracing on. It stays for the life of the process.
    ///
    /// Where no directory can be had, spans are kept in memory and [`refusal`](Self::refusal) says why.
    ///
    /// # Errors
    ///
    /// There is one already; it is returned.
    pub fn install(settings: Settings) -> Result<&'static Self, &'static Self> {
        static INSTALL: Mutex<()> = Mutex::new(());
        let _installing = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spool) = Self::current() {
            return Err(spool);
        }
        let epoch = epoch::first();
        let spool = Self::open(settings, epoch);
        epoch::begin(epoch);
        Ok(spool)
    }

    /// The spool of this process, if tracing is on. In a forked child the first call opens the child's own.
    #[must_use]
    pub fn current() -> Option<&'static Self> {
        let epoch = epoch::current();
        if epoch == epoch::OFF {
            return None;
        }
        // SAFETY: what `CURRENT` points to was leaked by `open`.
        let spool: &'static Self = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }?;
        if spool.epoch == epoch {
            Some(spool)
        } else {
            spool.reopen_in_child(epoch)
        }
    }

    fn open(mut settings: Settings, epoch: u32) -> &'static Self {
        settings.manifest.owner = Identity::of_this_process().unwrap_or_default();
        settings.manifest.created = std::time::SystemTime::now();
        let (directory, refusal) = match settings
            .root
            .as_ref()
            .map(|root| root.create_process(&settings.manifest))
        {
            Some(Ok(directory)) => (Some(directory), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let path = directory.as_ref().map(|directory| directory.path.clone());
        let tier = match &path {
            Some(path) => settings.tier.unwrap_or_else(|| Tier::of(path)),
            None => Tier::Memory,
        };
        let mut limits = settings.limits;
        if path.as_deref().is_none_or(Tier::is_memory_backed) {
            limits = limits.in_memory();
        }
        let slots = path.clone().filter(|_| tier == Tier::Mapped);
        let spool = Box::leak(Box::new(Self {
            epoch,
            tier,
            refusal,
            catalog: Mutex::new(Catalog::new(limits, settings.manifest.destinations.len())),
            chunks: AtomicU32::new(0),
            depot: Depot::new(slots, epoch),
            spare: Mutex::default(),
            leases: AtomicUsize::new(0),
            stripes: [const { Mutex::new(None) }; STRIPES],
            counters: Mutex::default(),
            without_thread: Counters::default(),
            ledger: Ledger::create(path.as_deref()),
            scopes: ScopesFile::create(path.as_deref()),
            directory,
            settings,
        }));
        if let Some(chunk) = spool.make_chunk(FIRST_CHUNK) {
            spool.catalog().add_chunk(chunk);
        }
        CURRENT.store(spool, Ordering::Release);
        keeper::start(spool);
        spool
    }

    /// Opens the spool of a forked child. Of several threads that find it missing, one opens it and the others wait.
    #[cold]
    fn reopen_in_child(&self, epoch: u32) -> Option<&'static Self> {
        static OPENING: AtomicU32 = AtomicU32::new(epoch::OFF);
        let found = OPENING.load(Ordering::Acquire);
        if found != epoch
            && OPENING
                .compare_exchange(found, epoch, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            let spool = Self::open(self.settings.clone(), epoch);
            (spool.settings.forked)(spool);
            return Some(spool);
        }
        loop {
            // SAFETY: what `CURRENT` points to was leaked by `open`.
            match unsafe { CURRENT.load(Ordering::Acquire).as_ref() } {
                Some(spool) if spool.epoch == epoch => return Some(spool),
                _ => thread::yield_now(),
            }
        }
    }

    /// Where the records of this process lie; `None` when they are in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.directory.as_ref().map(|directory| directory.path.as_path())
    }

    /// What holds the records.
    #[must_use]
    pub fn tier(&self) -> Tier {
        self.tier
    }

    /// Why the records are in memory although a directory was named.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// What the spool was opened with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether files have stopped taking what is written (tier [`Written`](Tier::Written), a full or broken disk): the
    /// records are in memory, and are delivered only if the process lives that long.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.tier == Tier::Written && self.catalog().is_failing()
    }

    /// Slots that are in memory because no file could be had: their spans are seen only when they have ended.
    #[must_use]
    pub fn invisible_slots(&self) -> usize {
        self.depot.invisible()
    }

    /// What became of the spans so far, for one destination (by its number in the manifest).
    ///
    /// Without such a destination, of the local history.
    #[must_use]
    pub fn account(&self, destination: usize) -> Account {
        let (started, ended) = self.counts();
        let dropped = Dropped::ALL.map(|reason| self.ledger.dropped(reason));
        let live = started.saturating_sub(ended);
        let is_local = destination >= self.settings.manifest.destinations.len();
        // Without destinations no cursor ever moves, the first one neither.
        let pending = self.count_pending(if is_local { 0 } else { destination });
        let delivered = if is_local {
            ended.saturating_sub(dropped.iter().sum::<u64>() + pending)
        } else {
            self.ledger.delivered(destination)
        };
        Account {
            started,
            live,
            delivered,
            pending,
            dropped,
        }
    }

    fn count_pending(&self, destination: usize) -> u64 {
        let segments: Vec<_> = {
            let catalog = self.catalog();
            catalog
                .segments()
                .iter()
                .inspect(|segment| segment.pin())
                .cloned()
                .collect()
        };
        let count = |segment: &Arc<crate::segment::Segment>| segment.committed(segment.cursor(destination)).count();
        let pending = segments.iter().map(|segment| count(segment) as u64).sum();
        segments.iter().for_each(|segment| segment.unpin());
        pending
    }

    fn counts(&self) -> (u64, u64) {
        let counters = lock(&self.counters);
        let all = counters.all.iter().copied().chain([&self.without_thread]);
        all.fold((0, 0), |(started, ended), counters| {
            // Ended first: a span that ends between the two loads must not make `live` negative.
            let ended = ended + counters.ended.load(Ordering::Acquire);
            (started + counters.started.load(Ordering::Acquire), ended)
        })
    }

    /// The scopes that records name, by their numbers: encoded OTLP `InstrumentationScope`s.
    #[must_use]
    pub fn scopes(&self) -> Vec<Vec<u8>> {
        scopes::all()
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) fn depot(&self) -> &Depot {
        &self.depot
    }

    pub(crate) fn catalog(&self) -> MutexGuard<'_, Catalog> {
        lock(&self.catalog)
    }

    /// The number of a scope, which is in the directory before any record can name it.
    pub(crate) fn scope(&self, scope: &[u8]) -> u32 {
        let number = scopes::number(scope);
        self.scopes.catch_up();
        number
    }

    /// A lease with room for a record of `body` bytes, larger than `before`. `None`: the thread has to share.
    pub(crate) fn lease(&self, body: usize, before: usize) -> Option<Lease> {
        if self.leases.fetch_add(1, Ordering::Relaxed) >= MOST_LEASES {
            self.leases.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let spare = before == 0;
        if spare {
            let mut spare = lock(&self.spare);
            if let Some(at) = spare.iter().rposition(|lease| lease.place(body).is_some()) {
                return Some(spare.swap_remove(at));
            }
        }
        let lease = self.new_lease(body, before);
        if lease.is_none() {
            self.leases.fetch_sub(1, Ordering::Relaxed);
        }
        lease
    }

    /// Takes a lease back: one that is full, or that of a thread that ends.
    pub(crate) fn put_back(&self, lease: Lease, is_full: bool) {
        self.leases.fetch_sub(1, Ordering::Relaxed);
        let mut spare = lock(&self.spare);
        if is_full || spare.len() >= MOST_LEASES {
            lease.segment().seal(lease.position());
        } else {
            spare.push(lease);
        }
    }

    /// Commits a span to a lease that several threads share, under its lock, and frees its slot.
    pub(crate) fn end_shared(&self, open: &Open) {
        let body = open.body();
        let mut lease = lock(&self.stripes[number() as usize % STRIPES]);
        if let Some(full) = lease.take_if(|lease| lease.place(body.len()).is_none()) {
            full.segment().seal(full.position());
        }
        if lease.is_none() {
            *lease = self.new_lease(body.len(), 0);
        }
        match lease.as_mut().and_then(|lease| Some((lease.place(body.len())?, lease))) {
            Some((place, lease)) => commit(open, body, lease, place),
            None => {
                self.ledger.add_dropped(Dropped::NoSpace, 1);
                open.slot.free();
            }
        }
    }

    fn new_lease(&self, body: usize, before: usize) -> Option<Lease> {
        let mut catalog = self.catalog();
        let dropped = catalog.evict(Catalog::size_for(body, before));
        if dropped > 0 {
            self.ledger.add_dropped(Dropped::Quota, dropped);
        }
        if let Some(segment) = catalog.lease(body, before) {
            return Some(Lease::new(segment));
        }
        if let Some(len) = catalog.growth(CHUNK)
            && let Some(chunk) = catalog.take_prepared().or_else(|| self.make_chunk_up_to(len))
        {
            catalog.add_chunk(chunk);
            if let Some(segment) = catalog.lease(body, before) {
                return Some(Lease::new(segment));
            }
        }
        if let Some(segment) = catalog.lease_any(body) {
            return Some(Lease::new(segment));
        }
        self.ledger.add_dropped(Dropped::Quota, catalog.make_room(body));
        catalog.lease_any(body).map(Lease::new)
    }

    /// A new chunk of this length, or of what a disk that is nearly full has left.
    fn make_chunk_up_to(&self, len: usize) -> Option<Arc<Chunk>> {
        [len, len.min(CHUNK / 8), len.min(FIRST_CHUNK)]
            .into_iter()
            .find_map(|len| self.make_chunk(len))
    }

    /// A new chunk in the directory or in memory. `None`: the file system has no room.
    pub(crate) fn make_chunk(&self, len: usize) -> Option<Arc<Chunk>> {
        let Some(directory) = &self.directory else {
            return Some(Arc::new(Chunk::in_memory(len)));
        };
        let number = self.chunks.fetch_add(1, Ordering::Relaxed);
        let path = directory.path.join(directory::chunk_name(number));
        match make_file_chunk(&path, len, self.tier) {
            Ok(chunk) => Some(Arc::new(chunk)),
            Err(_) => None,
        }
    }

    pub(crate) fn prepare_chunk(&self) {
        if !self.catalog().wants_chunk(CHUNK) {
            return;
        }
        if let Some(chunk) = self.make_chunk(CHUNK) {
            chunk.populate(0, chunk.len());
            self.catalog().set_prepared(chunk);
        }
    }

    pub(crate) fn tick(&self) {
        (self.settings.tick)();
    }

    pub(crate) fn counters(&self) -> &'static Counters {
        let mut counters = lock(&self.counters);
        counters.free.pop().unwrap_or_else(|| {
            let new: &'static Counters = Box::leak(Box::default());
            counters.all.push(new);
            new
        })
    }

    pub(crate) fn give_counters(&self, free: &'static Counters) {
        lock(&self.counters).free.push(free);
    }

    pub(crate) fn counted_without_thread(&self) -> &Counters {
        &self.without_thread
    }
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path: Option<PathBuf> = self.path().map(Into::into);
        f.debug_struct("Spool")
            .field("path", &path)
            .field("tier", &self.tier)
            .finish_non_exhaustive()
    }
}

fn make_file_chunk(path: &Path, len: usize, tier: Tier) -> io::Result<Chunk> {
    let file = match directory::create_file(path, len) {
        // What cannot be allocated ahead cannot be mapped safely, but it can be written.
        Err(error) if error.kind() == io::ErrorKind::Unsupported && tier != Tier::Mapped => directory::open_file(path)?,
        made => made?,
    };
    Chunk::in_file(file, len, tier)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
