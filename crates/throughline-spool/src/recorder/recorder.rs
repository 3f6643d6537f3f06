//! The recorder of this process: leases and slots for its threads, and the counts of what became of its spans.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::maintenance::{self, Maintenance};
use super::open::State;
use super::slot_pool::SlotPool;
use super::thread::{Counters, commit, number};
use super::{fork_number, scopes};
use crate::directory::{Owned, Root};
use crate::format::manifest::Manifest;
use crate::format::record::stride;
use crate::format::source::Source;
use crate::store::lease::Lease;
use crate::store::ledger::Dropped;
use crate::store::quota::Limits;
use crate::store::tier::Tier;
use crate::store::{Account, Store, StoreSettings, lock};

/// Threads with a lease of their own; further ones share.
const MOST_LEASES: usize = 256;
const STRIPES: usize = 32;
/// The first lease of a thread, in bytes. Each further one is four times as large, as far as the store allows.
const FIRST_LEASE: usize = 16 << 10;
/// Where files are written, a thread's segment has memory of its own while it is written: small ones are enough.
const LARGEST_WRITTEN_LEASE: usize = 64 << 10;

static CURRENT: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// What a recorder is made with. A forked child makes its own with the same.
#[derive(Clone)]
pub struct Settings {
    /// The user's spool; `None` keeps spans in memory.
    pub root: Option<Root>,
    /// Where the spans are to go; who the process is is filled in.
    pub manifest: Manifest,
    /// The encoded OTLP `Resource` of all spans.
    pub resource: Arc<[u8]>,
    /// That of a forked child, asked in the child; `None`: the same.
    pub resource_of_child: fn() -> Option<Arc<[u8]>>,
    /// Its schema URL, or empty.
    pub schema_url: Arc<str>,
    /// How much may be kept.
    pub limits: Limits,
    /// The tier to use instead of the one that suits the file system.
    pub tier: Option<Tier>,
    /// How often what was recorded is synced, so that it survives a power cut. `None`: never.
    pub sync_every: Option<Duration>,
    /// Called by the maintenance thread whenever it looks after things: once a second in a busy program, once a minute in one
    /// that rests.
    pub tick: fn(),
    /// Called by the maintenance thread before it sleeps for longer than the usual second.
    pub resting: fn(),
    /// Whether there are chores that do not wait for a minute; asked after each tick.
    pub is_busy: fn() -> bool,
    /// Called by a thread that starts or ends a span after [`Recorder::rest`]. It must be quick and take no lock for long.
    pub woken: fn(),
    /// Called in a forked child, once its own recorder is there.
    pub forked: fn(&'static Recorder),
}

impl Settings {
    /// The default settings: no resource, the default limits, nothing synced, nobody called.
    #[must_use]
    pub fn new(root: Option<Root>, manifest: Manifest) -> Self {
        Self {
            root,
            manifest,
            resource: Arc::default(),
            schema_url: Arc::default(),
            limits: Limits::default(),
            tier: None,
            sync_every: None,
            tick: || {},
            resting: || {},
            is_busy: || false,
            woken: || {},
            resource_of_child: || None,
            forked: |_| {},
        }
    }
}

/// The recorder of this process.
pub struct Recorder {
    fork_number: u32,
    settings: Settings,
    directory: Option<Owned>,
    /// Why the spans are in memory, when that was not asked for.
    refusal: Option<String>,
    store: Arc<Store>,
    slots: SlotPool,
    maintenance: Maintenance,
    maintenance_error: OnceLock<io::Error>,
    sync_error: Mutex<Option<io::Error>>,
    /// Leases of threads that ended, with room left.
    spare: Mutex<Vec<Lease>>,
    leases: AtomicUsize,
    stripes: [Mutex<Option<Lease>>; STRIPES],
    /// Where the sources stand that only open spans may name so far.
    sources: Mutex<Option<Lease>>,
    counters: Mutex<AllCounters>,
    without_thread: Counters,
}

#[derive(Default)]
struct AllCounters {
    all: Vec<&'static Counters>,
    /// Of threads that ended; their counts stay and are counted on.
    free: Vec<&'static Counters>,
}

impl Recorder {
    /// Makes the recorder of this process and switches tracing on. It stays for the life of the process.
    ///
    /// Where no directory can be had, spans are kept in memory and [`refusal`](Self::refusal) says why.
    ///
    /// # Errors
    ///
    /// There is one already; it is returned.
    pub fn install(settings: Settings) -> Result<&'static Self, &'static Self> {
        static INSTALL: Mutex<()> = Mutex::new(());
        let _installing = INSTALL.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(recorder) = Self::current() {
            return Err(recorder);
        }
        let fork_number = fork_number::first();
        let recorder = Self::open(settings, fork_number);
        fork_number::begin(fork_number);
        // Only now: the thread ends when the fork number is another.
        recorder.start_maintenance();
        Ok(recorder)
    }

    /// The recorder of this process, if tracing is on. In a forked child the first call makes the child's own.
    #[must_use]
    pub fn current() -> Option<&'static Self> {
        if !fork_number::is_on() {
            return None;
        }
        let fork_number = fork_number::current();
        // SAFETY: what `CURRENT` points to was leaked by `open`.
        let recorder: &'static Self = unsafe { CURRENT.load(Ordering::Acquire).as_ref() }?;
        if recorder.fork_number == fork_number {
            Some(recorder)
        } else {
            recorder.reopen_in_child(fork_number)
        }
    }

    fn open(mut settings: Settings, fork_number: u32) -> &'static Self {
        settings.manifest.synced = settings.sync_every.is_some();
        let made = settings
            .root
            .as_ref()
            .map(|root| root.create_process(&mut settings.manifest));
        let (directory, refusal) = match made {
            Some(Ok(directory)) => (Some(directory), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        let store = StoreSettings {
            directory: directory.as_ref().map(|directory| directory.path().to_owned()),
            manifest: settings.manifest.clone(),
            signal: crate::Signal::Traces,
            limits: settings.limits,
            tier: settings.tier,
            refuse_when_full: false,
        };
        let files = settings.root.as_ref().map(|root| root.files.clone());
        let store = match &files {
            Some(files) => Store::with_files(store, files.clone()),
            None => Store::new(store),
        };
        let slots = store.path().map(Into::into).zip(files);
        let slots = slots.filter(|_| store.tier() == Tier::Mapped);
        let recorder: &'static Self = Box::leak(Box::new(Self {
            fork_number,
            refusal,
            slots: SlotPool::new(slots, fork_number),
            store: Arc::new(store),
            maintenance: Maintenance::new(),
            maintenance_error: OnceLock::new(),
            sync_error: Mutex::default(),
            spare: Mutex::new(Vec::with_capacity(MOST_LEASES)),
            leases: AtomicUsize::new(0),
            stripes: [const { Mutex::new(None) }; STRIPES],
            sources: Mutex::default(),
            counters: Mutex::default(),
            without_thread: Counters::default(),
            directory,
            settings,
        }));
        recorder.store.on_low_stock(|| recorder.maintenance.wake());
        recorder.add_sources();
        CURRENT.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
        recorder
    }

    fn start_maintenance(&'static self) {
        if let Err(error) = maintenance::start(self) {
            let _ = self.maintenance_error.set(error);
        }
    }

    /// Makes the recorder of a forked child. Of several threads that find it missing, one makes it and the others wait.
    #[cold]
    fn reopen_in_child(&self, fork_number: u32) -> Option<&'static Self> {
        static OPENING: AtomicU32 = AtomicU32::new(fork_number::OFF);
        let found = OPENING.load(Ordering::Acquire);
        if found != fork_number
            && OPENING
                .compare_exchange(found, fork_number, Ordering::AcqRel, Ordering::Acquire)
                .is_ok()
        {
            let mut settings = self.settings.clone();
            if let Some(resource) = (settings.resource_of_child)() {
                settings.resource = resource;
            }
            let recorder = Self::open(settings, fork_number);
            recorder.start_maintenance();
            (recorder.settings.forked)(recorder);
            return Some(recorder);
        }
        loop {
            // SAFETY: what `CURRENT` points to was leaked by `open`.
            match unsafe { CURRENT.load(Ordering::Acquire).as_ref() } {
                Some(recorder) if recorder.fork_number == fork_number => return Some(recorder),
                _ => thread::yield_now(),
            }
        }
    }

    /// Where the records of this process lie; `None` when they are in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.store.path()
    }

    /// The segments of this process.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Why the spans are in memory although a directory was named.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.refusal.as_deref()
    }

    /// What the recorder was made with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Why there is no maintenance thread, if there is none.
    #[must_use]
    pub fn maintenance_error(&self) -> Option<&io::Error> {
        self.maintenance_error.get()
    }

    /// Why the last sync in the background has failed, if it has; told once.
    pub fn take_sync_error(&self) -> Option<io::Error> {
        lock(&self.sync_error).take()
    }

    /// Slots that are in memory because no file could be had: their spans are seen only when they have ended.
    #[must_use]
    pub fn invisible_slots(&self) -> usize {
        self.slots.invisible()
    }

    /// Makes the next span to start or end call [`Settings::woken`], once. Whoever rests looks once more after this, a little
    /// later: a span that was ending just now may not call.
    pub fn rest(&self) {
        self.maintenance.rest();
    }

    /// Lets the maintenance thread look after things once, and waits until it has, but no longer than that.
    pub fn maintain_now(&self, within: Duration) {
        self.maintenance.wait_for_look(within);
    }

    /// Waits until the maintenance thread has looked after things for the first time, as it does when tracing is switched on,
    /// but no longer than that.
    pub fn wait_for_first_look(&self, within: Duration) {
        self.maintenance.wait_for_looks(1, within);
    }

    /// What became of the spans so far, for one destination (by its number in the manifest).
    ///
    /// Without such a destination, of the local history.
    #[must_use]
    pub fn account(&self, destination: usize) -> Account {
        let (started, ended) = self.counts();
        Account {
            started,
            live: started.saturating_sub(ended),
            ..self.store.account(destination)
        }
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

    pub(crate) fn fork_number(&self) -> u32 {
        self.fork_number
    }

    pub(crate) fn slots(&self) -> &SlotPool {
        &self.slots
    }

    pub(crate) fn maintenance(&self) -> &Maintenance {
        &self.maintenance
    }

    /// What the maintenance thread does each time.
    pub(crate) fn maintain(&self, now: Instant) {
        self.store.maintain(now);
        self.slots.maintain();
        if let Some(directory) = &self.directory {
            directory.renew_lock();
        }
        (self.settings.tick)();
    }

    pub(crate) fn needs_another_look(&self) -> bool {
        (self.settings.is_busy)()
    }

    pub(crate) fn sync_in_background(&self) {
        if self.store.is_unsynced() {
            if let Err(error) = self.store.sync() {
                *lock(&self.sync_error) = Some(error);
            }
        }
    }

    /// A span starts or ends while somebody waits for that.
    #[cold]
    pub(crate) fn attend(&self) {
        if self.maintenance.attend() {
            (self.settings.woken)();
        }
    }

    // ---- sources ------------------------------------------------------------------------------------------------

    /// The number of a scope, whose source is in the directory before any record or slot can name it.
    pub(crate) fn scope(&self, scope: &[u8], schema_url: &str) -> u32 {
        let number = scopes::number(scope, schema_url);
        self.add_sources();
        number
    }

    /// Makes a source of each scope that has none yet: the numbers are the same.
    fn add_sources(&self) {
        let mut lease = lock(&self.sources);
        loop {
            let number = self.store.source_count();
            let Some((scope, schema_url)) = scopes::get(number) else {
                return;
            };
            self.store.add_source(Source {
                resource: self.settings.resource.clone(),
                schema_url: self.settings.schema_url.clone(),
                scope: scope.into(),
                scope_schema_url: schema_url.into(),
            });
            if let Some(open) = lease.as_mut() {
                if self.store.append_source(open, number, 0) {
                    continue;
                }
            }
            if let Some(full) = lease.take() {
                self.store.close(&full);
            }
            // Without one, slots of this scope are shown and recovered without their scope.
            *lease = self.store.lease(number, 0, FIRST_LEASE);
        }
    }

    // ---- leases -------------------------------------------------------------------------------------------------

    /// A lease with room for a record of a source with `body` bytes, larger than `before`. `None`: the thread has to share.
    pub(crate) fn lease(&self, source: u32, body: usize, before: usize) -> Option<Lease> {
        if self.leases.fetch_add(1, Ordering::Relaxed) >= MOST_LEASES {
            self.leases.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        if before == 0 {
            if let Some(spare) = self.take_spare(source, body) {
                return Some(spare);
            }
        }
        let wanted = match (before, self.store.tier()) {
            (0, _) => FIRST_LEASE,
            (_, Tier::Written) => LARGEST_WRITTEN_LEASE.min(before * 4),
            (_, Tier::Mapped | Tier::Memory) => before * 4,
        };
        let lease = self.store.lease(source, body, wanted);
        if lease.is_none() {
            self.leases.fetch_sub(1, Ordering::Relaxed);
        }
        lease
    }

    /// A lease that another thread has left behind.
    fn take_spare(&self, source: u32, body: usize) -> Option<Lease> {
        let mut spare = lock(&self.spare);
        let at = (0..spare.len()).rev().find(|at| {
            self.store.append_source(&mut spare[*at], source, body) && spare[*at].place(source, body).is_some()
        })?;
        Some(spare.swap_remove(at))
    }

    /// Takes a lease back: one that is full, or that of a thread that ends.
    pub(crate) fn put_back(&self, lease: Lease, is_full: bool) {
        self.leases.fetch_sub(1, Ordering::Relaxed);
        let mut spare = lock(&self.spare);
        if is_full || spare.len() >= MOST_LEASES {
            drop(spare);
            self.store.close(&lease);
        } else {
            spare.push(lease);
        }
    }

    /// Commits a span to a lease that several threads share, under its lock, and frees its slot.
    pub(crate) fn end_shared(&self, open: &State) {
        let (source, body) = (open.source(), open.body());
        let len = body.len();
        let mut stripe = lock(&self.stripes[number() as usize % STRIPES]);
        let has_room =
            |lease: &mut Lease| self.store.append_source(lease, source, len) && lease.place(source, len).is_some();
        if let Some(full) = stripe.take_if(|lease| !has_room(lease)) {
            self.store.close(&full);
        }
        if stripe.is_none() {
            let wanted = FIRST_LEASE.max(stride(len));
            *stripe = self.store.lease(source, len, wanted);
        }
        match stripe
            .as_mut()
            .and_then(|lease| Some((lease.place(source, len)?, lease)))
        {
            Some((place, lease)) => commit(open, body, lease, place),
            None => {
                self.store.ledger.add_dropped(Dropped::NoSpace, 1);
                open.slot.free();
            }
        }
    }

    // ---- counters -----------------------------------------------------------------------------------------------

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

    pub(crate) fn add_filtered(&self) {
        self.store.ledger.add_dropped(Dropped::Filtered, 1);
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder")
            .field("path", &self.path())
            .field("tier", &self.store.tier())
            .finish_non_exhaustive()
    }
}
