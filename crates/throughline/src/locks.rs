//! Locks that a forked child never waits for in vain.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

/// The fork number of a process that has switched tracing on itself, and was not forked since.
const FIRST: u32 = 1;
const PATIENCE: u32 = 1_000;

/// Locks it. `None` in a forked child where a thread of the parent, which is not there, held it at the fork. For locks that nobody
/// holds for longer than it takes to write a span.
#[inline]
pub fn lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    if throughline_spool::fork_number() != FIRST {
        return lock_in_child(mutex);
    }
    Some(mutex.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Also where tracing is off: then a child is not known as one.
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
