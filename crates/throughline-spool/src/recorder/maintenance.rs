//! The maintenance thread: keeps memory warm, seals and syncs, and calls its user's chores. It never writes into a segment.
//!
//! It sleeps until it is needed. In a busy program it looks once a second; in one that rests it is woken by the next span,
//! see [`fork_number::request_attention`].

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::fork_number;
use super::own_thread::spawn_without_signals;
use super::recorder::Recorder;
use crate::store::lock;

/// How often a busy program is looked after.
const BUSY: Duration = Duration::from_secs(1);
/// How often one that rests is. A lost lock is taken again within this time, too.
const RESTING: Duration = Duration::from_secs(60);
/// How often when there are chores left.
const CHORES: Duration = Duration::from_millis(50);
/// When first: by then the rate of the processor's counter is known.
const FIRST: Duration = Duration::from_millis(210);

/// The maintenance thread, as others see it.
pub(crate) struct Maintenance {
    state: Mutex<State>,
    changed: Condvar,
    /// Whether it was asked to look and has not done so yet.
    is_asked: AtomicBool,
    /// Whether a span has started or ended since this was last asked.
    is_active: AtomicBool,
    /// Who sleeps until the next span: see `MAINTENANCE` and `USER`.
    resting: AtomicU32,
}

#[derive(Default)]
struct State {
    wake: bool,
    /// How many times the thread has looked.
    looks: u64,
    /// Whether there is a thread.
    runs: bool,
    /// Whether it sleeps: otherwise it is in the middle of a look.
    sleeps: bool,
}

const MAINTENANCE: u32 = 1;
const USER: u32 = 2;

impl Maintenance {
    pub fn new() -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            is_asked: AtomicBool::new(false),
            is_active: AtomicBool::new(true),
            resting: AtomicU32::new(0),
        }
    }

    /// Makes the thread look soon. Cheap when it was asked already.
    pub fn wake(&self) {
        if !self.is_asked.swap(true, Ordering::AcqRel) {
            lock(&self.state).wake = true;
            self.changed.notify_all();
        }
    }

    /// Waits until the thread has looked once more, but no longer than that. Returns at once when there is no thread.
    pub fn wait_for_look(&self, within: Duration) {
        let mut state = lock(&self.state);
        // One that is under way may be past what the caller wants looked at.
        let wanted = state.looks + if state.sleeps { 1 } else { 2 };
        state.wake = true;
        drop(state);
        self.changed.notify_all();
        self.wait_for_looks(wanted, within);
    }

    /// Waits until the thread has looked so many times, but no longer than that. Returns at once when there is no thread.
    pub fn wait_for_looks(&self, wanted: u64, within: Duration) {
        let deadline = Instant::now() + within;
        let mut state = lock(&self.state);
        while state.runs && state.looks < wanted {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Whoever delivers is about to rest: the next span calls `Settings::woken`.
    pub fn rest(&self) {
        self.resting.fetch_or(USER, Ordering::AcqRel);
        fork_number::request_attention();
    }

    /// A span has started or ended while somebody waited for that. Returns whether the user is to be woken.
    pub fn attend(&self) -> bool {
        self.is_active.store(true, Ordering::Release);
        let resting = self.resting.swap(0, Ordering::AcqRel);
        if resting & MAINTENANCE != 0 {
            self.wake();
        }
        resting & USER != 0
    }

    /// Sleeps until it is asked to look, or so long.
    fn sleep(&self, pause: Duration) {
        let deadline = Instant::now() + pause;
        let mut state = lock(&self.state);
        state.looks += 1;
        state.sleeps = true;
        self.changed.notify_all();
        while !state.wake {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = match self.changed.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        state.wake = false;
        state.sleeps = false;
        self.is_asked.swap(false, Ordering::AcqRel);
    }
}

/// Starts the thread of this recorder, whose fork number is the current one. It ends with the process, or when that forks, in the child.
///
/// # Errors
///
/// The system gives no thread: everything still works, with more page faults in the threads that end spans, and what
/// dead processes left stays where it is.
pub(crate) fn start(recorder: &'static Recorder) -> io::Result<()> {
    // Miri has no clock to sleep by that other threads would wait for.
    if cfg!(miri) {
        return Ok(());
    }
    lock(&recorder.maintenance().state).runs = true;
    let thread = thread::Builder::new()
        .name("throughline-maintenance".into())
        .stack_size(256 << 10);
    let started = spawn_without_signals(thread, move || run(recorder));
    if started.is_err() {
        lock(&recorder.maintenance().state).runs = false;
    }
    started.map(drop)
}

/// How long until what has ended meanwhile is to be synced, so long after it was last.
fn until_sync(every: Duration, since_last: Duration) -> Duration {
    // Never at once again, should a sync fail.
    every.saturating_sub(since_last).max(every.min(CHORES))
}

fn run(recorder: &'static Recorder) {
    let maintenance = recorder.maintenance();
    let mut synced = Instant::now();
    // Whether a span has ended since, as far as is known.
    let mut needs_sync = false;
    let mut pause = FIRST;
    while fork_number::current() == recorder.fork_number() {
        let now = Instant::now();
        recorder.maintain(now);
        let sync_every = recorder.settings().sync_every;
        if let Some(every) = sync_every {
            if now.saturating_duration_since(synced) >= every {
                synced = now;
                needs_sync = false;
                recorder.sync_in_background();
            }
        }
        // One look without a span since the last one, and the program rests.
        fork_number::request_attention();
        let is_active = maintenance.is_active.swap(false, Ordering::AcqRel);
        needs_sync |= is_active;
        let is_due = recorder.needs_another_look();
        let mut next = match (is_due, is_active) {
            (true, _) => CHORES,
            (false, true) => pause.min(BUSY),
            (false, false) => {
                maintenance.resting.fetch_or(MAINTENANCE, Ordering::AcqRel);
                // What came between the swap and this is seen here.
                if maintenance.is_active.load(Ordering::Acquire) {
                    BUSY
                } else {
                    (recorder.settings().resting)();
                    RESTING
                }
            }
        };
        if let Some(every) = sync_every.filter(|_| needs_sync) {
            next = next.min(until_sync(every, now.saturating_duration_since(synced)));
        }
        // A file that could not be made is tried again.
        if let Some(retry_at) = recorder.store().retry_at() {
            next = next.min(retry_at.saturating_duration_since(now).max(CHORES));
        }
        maintenance.sleep(next);
        maintenance.resting.fetch_and(!MAINTENANCE, Ordering::AcqRel);
        pause = BUSY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_is_due_when_the_period_is_over_and_not_all_the_time_when_it_fails() {
        let millis = Duration::from_millis;
        for (every, since_last, expected) in [
            (5000, 0, 5000),
            (5000, 3000, 2000),
            (5000, 5000, 50),
            (5000, 9000, 50),
            (20, 0, 20),
            (20, 30, 20),
        ] {
            assert_eq!(until_sync(millis(every), millis(since_last)), millis(expected));
        }
    }
}
