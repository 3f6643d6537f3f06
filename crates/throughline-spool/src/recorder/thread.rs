//! What a thread keeps at hand so that a span costs it no lock: a few free slots, a lease, and the entered span.

use std::cell::{Cell, UnsafeCell};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::open::{Open, State};
use super::recorder::Recorder;
use super::{fork_number, passing};
use crate::format::record::Kind;
use crate::store::lease::{Body, Lease, Place};

/// The most free slots that a thread keeps; half of them move at a time between it and the pool.
const MAGAZINE: usize = 32;

thread_local! {
    // Not `const`: before Rust 1.87 a constant may not refer to atomics. It costs nothing, since what has a destructor is
    // asked for its state either way.
    static THREAD: Thread = Thread::new();
}

/// The counters of a thread that has not started a span yet.
static NOBODY: Counters = Counters {
    started: AtomicU64::new(0),
    ended: AtomicU64::new(0),
};

/// Counts of one thread, written by it alone and read by everybody.
#[derive(Default)]
pub(crate) struct Counters {
    /// Recorded spans that were started.
    pub started: AtomicU64,
    /// Recorded spans that were ended, given up, or dropped at their end.
    pub ended: AtomicU64,
}

struct Thread {
    /// The fork number that all the rest belongs to.
    fork_number: Cell<u32>,
    /// `magazine[..loaded]` are free `Open`s: `0 <= loaded <= MAGAZINE`.
    loaded: Cell<usize>,
    /// How many to fetch when the magazine is empty: grows with use, so that a thread of one span holds one slot.
    refill: Cell<usize>,
    /// The span that `current` writes to; see `entered`.
    entered: Cell<Option<NonNull<Open>>>,
    /// Unlike that of any other thread, living or dead; 0 until it is asked for.
    number: Cell<u32>,
    counters: Cell<&'static Counters>,
    lease: UnsafeCell<Option<Lease>>,
    /// The size of the lease, so that the next one can be larger.
    lease_size: Cell<usize>,
    recorder: Cell<Option<&'static Recorder>>,
    magazine: [Cell<Option<NonNull<Open>>>; MAGAZINE],
}

/// A free `Open`, of which the caller is now the only user. `None` when tracing is off.
#[inline]
pub(crate) fn take(recorded: bool) -> Option<NonNull<Open>> {
    THREAD
        .try_with(|thread| thread.take(recorded))
        .unwrap_or_else(|_| take_without_thread(recorded))
}

/// Commits an open recorded span of this process and frees its slot.
#[inline]
pub(crate) fn end(open: NonNull<Open>) {
    if THREAD.try_with(|thread| thread.end(open)).is_err() {
        end_without_thread(open);
    }
}

/// Frees the slot of a span that leaves no record.
pub(crate) fn give_up(open: NonNull<Open>) {
    if THREAD.try_with(|thread| thread.give_up(open)).is_err() {
        give_up_without_thread(open);
    }
}

/// Frees the slot of a span in whose place this thread has just started another: neither leaves a trace of the exchange.
pub(crate) fn replace(open: NonNull<Open>) {
    if THREAD.try_with(|thread| thread.replace(open)).is_err() {
        give_up_without_thread(open);
    }
}

/// The span that is entered on this thread.
#[inline]
pub(crate) fn entered() -> Option<NonNull<Open>> {
    THREAD.try_with(|thread| thread.entered.get()).ok().flatten()
}

#[inline]
pub(crate) fn set_entered(open: Option<NonNull<Open>>) -> Option<NonNull<Open>> {
    THREAD.try_with(|thread| thread.entered.replace(open)).ok().flatten()
}

/// What [`number`] never is.
pub(crate) const NO_NUMBER: u32 = u32::MAX;

/// A number that no other thread has had; 0 when this thread is being torn down.
#[inline]
pub(crate) fn number() -> u32 {
    static LAST: AtomicU32 = AtomicU32::new(0);

    #[cold]
    fn first(thread: &Thread) -> u32 {
        // Wraps after 4 billion threads, past 0 and `NO_NUMBER`; then two threads 4 billion apart would have to meet.
        let number = LAST.fetch_add(1, Ordering::Relaxed) % (NO_NUMBER - 1) + 1;
        thread.number.set(number);
        number
    }

    THREAD
        .try_with(|thread| match thread.number.get() {
            0 => first(thread),
            number => number,
        })
        .unwrap_or(0)
}

impl Thread {
    fn new() -> Self {
        Self {
            fork_number: Cell::new(fork_number::NEVER),
            loaded: Cell::new(0),
            refill: Cell::new(1),
            entered: Cell::new(None),
            number: Cell::new(0),
            counters: Cell::new(&NOBODY),
            lease: UnsafeCell::new(None),
            lease_size: Cell::new(0),
            recorder: Cell::new(None),
            magazine: [const { Cell::new(None) }; MAGAZINE],
        }
    }

    #[inline]
    fn take(&self, recorded: bool) -> Option<NonNull<Open>> {
        let loaded = self.loaded.get();
        if loaded == 0 || self.fork_number.get() != fork_number::attention() {
            return self.take_slowly(recorded);
        }
        self.loaded.set(loaded - 1);
        if recorded {
            count(&self.counters.get().started);
        }
        self.magazine[loaded - 1].get()
    }

    #[cold]
    #[inline(never)]
    fn take_slowly(&self, recorded: bool) -> Option<NonNull<Open>> {
        let recorder = self.attach()?;
        if fork_number::answer_attention() {
            recorder.attend();
        }
        if self.loaded.get() == 0 {
            let wanted = self.refill.get();
            self.refill.set((wanted * 2).min(MAGAZINE / 2));
            let mut loaded = 0;
            let is_low = recorder.slots().take(wanted, |open| {
                self.magazine[loaded].set(Some(open));
                loaded += 1;
            });
            self.loaded.set(loaded);
            if is_low {
                recorder.maintenance().wake();
            }
        }
        self.take(recorded)
    }

    #[inline]
    fn end(&self, open: NonNull<Open>) {
        // SAFETY: `open` is owned by the `OpenSpan` that is being ended.
        let this = unsafe { Open::state(open) };
        if self.fork_number.get() == fork_number::attention() && self.end_in_lease(this) {
            return self.give(open);
        }
        self.end_slowly(open);
    }

    /// Commits a span to this thread's lease. `false`: there is none, or it has no room.
    #[inline]
    fn end_in_lease(&self, this: &State) -> bool {
        let body = this.body();
        // SAFETY: only this thread uses the cell, and nothing that is called while the reference lives calls anything
        // outside this crate, which could end a span.
        let Some(lease) = (unsafe { &mut *self.lease.get() }) else {
            return false;
        };
        let Some(place) = lease.place(this.source(), body.len()) else {
            return false;
        };
        commit(this, body, lease, place);
        count(&self.counters.get().ended);
        true
    }

    #[cold]
    #[inline(never)]
    fn end_slowly(&self, open: NonNull<Open>) {
        // SAFETY: `open` is owned by the `OpenSpan` that is being ended.
        let this = unsafe { Open::state(open) };
        let Some(recorder) = self.attach() else {
            return this.slot.free();
        };
        if fork_number::answer_attention() {
            recorder.attend();
        }
        let (source, len) = (this.source(), this.body().len());
        if let Some(mut lease) = self.swap_lease(None) {
            // The span's source may be all that is missing.
            if recorder.store().append_source(&mut lease, source, len) && lease.place(source, len).is_some() {
                self.put_lease(recorder, lease);
            } else {
                self.lease_size.set(lease.segment().len());
                recorder.put_back(lease, true);
            }
        }
        if !self.end_in_lease(this) {
            match recorder.lease(source, len, self.lease_size.get()) {
                Some(lease) => {
                    self.put_lease(recorder, lease);
                    if !self.end_in_lease(this) {
                        recorder.end_shared(this);
                        count(&self.counters.get().ended);
                    }
                }
                None => {
                    recorder.end_shared(this);
                    count(&self.counters.get().ended);
                }
            }
        }
        self.give(open);
    }

    fn put_lease(&self, recorder: &Recorder, lease: Lease) {
        // There is one only when what was called before has ended spans: an allocator that traces.
        if let Some(other) = self.swap_lease(Some(lease)) {
            recorder.put_back(other, false);
        }
    }

    fn swap_lease(&self, lease: Option<Lease>) -> Option<Lease> {
        // SAFETY: only this thread uses the cell, and no reference into it is kept.
        unsafe { std::mem::replace(&mut *self.lease.get(), lease) }
    }

    fn give_up(&self, open: NonNull<Open>) {
        // SAFETY: `open` is owned by the `OpenSpan` that is being dropped.
        let this = unsafe { Open::state(open) };
        if !this.is_ours() {
            return give_back_passing(open);
        }
        if this.is_recording() {
            this.slot.free();
            if let Some(recorder) = self.attach() {
                recorder.add_filtered();
            }
            count(&self.counters.get().ended);
        }
        self.give(open);
    }

    fn replace(&self, open: NonNull<Open>) {
        // SAFETY: `open` is owned by the `OpenSpan` that is being replaced.
        let this = unsafe { Open::state(open) };
        let started = &self.counters.get().started;
        let count = started.load(Ordering::Relaxed);
        if !this.is_ours() || !this.is_recording() || count == 0 {
            return self.give_up(open);
        }
        this.slot.free();
        // The other has counted here.
        started.store(count - 1, Ordering::Relaxed);
        self.give(open);
    }

    #[inline]
    fn give(&self, open: NonNull<Open>) {
        // SAFETY: the span is over, so this thread is the only user.
        unsafe { Open::state_mut(open) }.reset();
        let loaded = self.loaded.get();
        if loaded < MAGAZINE && self.fork_number.get() == fork_number::current() {
            self.magazine[loaded].set(Some(open));
            self.loaded.set(loaded + 1);
        } else {
            self.give_slowly(open);
        }
    }

    #[cold]
    #[inline(never)]
    fn give_slowly(&self, open: NonNull<Open>) {
        let Some(recorder) = self.attach() else { return };
        let loaded = self.loaded.get();
        if loaded == MAGAZINE {
            recorder
                .slots()
                .give(self.magazine[MAGAZINE / 2..].iter().filter_map(Cell::take));
            self.loaded.set(MAGAZINE / 2);
        }
        let loaded = self.loaded.get();
        self.magazine[loaded].set(Some(open));
        self.loaded.set(loaded + 1);
    }

    /// Makes this thread one of the current process.
    #[cold]
    fn attach(&self) -> Option<&'static Recorder> {
        let recorder = Recorder::current()?;
        let before = self.fork_number.get();
        if before != recorder.fork_number() {
            // What is at hand belongs to the parent of a fork: forget it, it is not ours to give back. A thread that is new here
            // has nothing at hand, but may have entered a span that was made on another.
            self.loaded.set(0);
            self.refill.set(1);
            if before != fork_number::NEVER {
                self.entered.set(None);
            }
            self.lease_size.set(0);
            // Forgotten, not dropped into the parent's recorder.
            std::mem::forget(self.swap_lease(None));
            self.counters.set(recorder.counters());
            self.recorder.set(Some(recorder));
            self.fork_number.set(recorder.fork_number());
        }
        Some(recorder)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        let Some(recorder) = self.recorder.get() else { return };
        if self.fork_number.get() != fork_number::current() {
            return;
        }
        recorder
            .slots()
            .give(self.magazine[..self.loaded.get()].iter().filter_map(Cell::take));
        if let Some(lease) = self.lease.get_mut().take() {
            recorder.put_back(lease, false);
        }
        recorder.give_counters(self.counters.get());
    }
}

/// Writes the record of a span and frees its slot.
#[inline]
pub(crate) fn commit(open: &State, body: Body<'_>, lease: &mut Lease, place: Place) {
    open.slot
        .closing(open.used, open.len_in_slot(), lease.generation(), place.at as u32);
    lease.append(place, Kind::Finished, open.source(), body);
    open.slot.free();
}

#[inline]
fn count(counter: &AtomicU64) {
    // One writer: a load and a store are enough, and cost no locked instruction.
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}

/// Frees a span that belongs to no process; one of the parent of a fork is left as it is.
#[cold]
fn give_back_passing(open: NonNull<Open>) {
    // SAFETY: `open` is owned by the `OpenSpan` that is being dropped.
    let this = unsafe { Open::state_mut(open) };
    if this.is_passing() {
        this.reset();
        passing::give(open);
    }
}

/// For spans that start in the destructors of other thread-locals, after this thread's state is gone.
#[cold]
fn take_without_thread(recorded: bool) -> Option<NonNull<Open>> {
    let recorder = Recorder::current()?;
    let mut taken = None;
    recorder.slots().take(1, |open| taken = Some(open));
    if recorded {
        recorder
            .counted_without_thread()
            .started
            .fetch_add(1, Ordering::Relaxed);
    }
    taken
}

#[cold]
fn give_up_without_thread(open: NonNull<Open>) {
    // SAFETY: `open` is owned by the `OpenSpan` that is being dropped.
    let this = unsafe { Open::state_mut(open) };
    let Some(recorder) = Recorder::current().filter(|_| this.is_ours()) else {
        return give_back_passing(open);
    };
    if this.is_recording() {
        this.slot.free();
        recorder.add_filtered();
        recorder.counted_without_thread().ended.fetch_add(1, Ordering::Relaxed);
    }
    this.reset();
    recorder.slots().give(std::iter::once(open));
}

#[cold]
fn end_without_thread(open: NonNull<Open>) {
    // SAFETY: `open` is owned by the `OpenSpan` that is being ended.
    let this = unsafe { Open::state_mut(open) };
    let Some(recorder) = Recorder::current().filter(|_| this.is_ours()) else {
        return give_back_passing(open);
    };
    if this.is_recording() {
        recorder.end_shared(this);
        recorder.counted_without_thread().ended.fetch_add(1, Ordering::Relaxed);
    }
    this.reset();
    recorder.slots().give(std::iter::once(open));
}
