//! Locks that a forked child never waits for in vain.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use throughline::seam;

/// The fork number of a process that was not forked since tracing was switched on.
const FIRST: u32 = 1;
const PATIENCE: u32 = 1_000;

/// Locks it. `None` in a forked child where a thread of the parent, which is not there, held it at the fork.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if seam::fork_number() > FIRST {
        return lock_in_child(mutex);
    }
    Some(mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// No lock of this crate is held for longer than a span takes to be written.
#[cold]
fn lock_in_child<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..PATIENCE {
        match mutex.try_lock() {
            Ok(guard) => return Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
        }
    }
    None
}
