//! Spans of a program whose tracing is off: nothing is recorded, but what came in is passed on, so each holds the context it
//! was started in.
//!
//! Their [`Open`]s lie in no file and belong to no recorder. Like all others they are pooled and never freed.

use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::thread;

use super::fork_number;
use super::open::Open;
use super::slot::Slot;
use crate::format::slot::LEN;
use crate::store::memory::Region;

#[derive(Default)]
struct Free(Vec<NonNull<Open>>);

// SAFETY: the `Open`s in the pool are owned by the pool; they belong to no thread.
unsafe impl Send for Free {}

static FREE: Mutex<Free> = Mutex::new(Free(Vec::new()));

/// An `Open` of which the caller is now the only user.
pub(crate) fn take() -> NonNull<Open> {
    free().and_then(|mut free| free.0.pop()).unwrap_or_else(|| {
        let memory = Region::heap(LEN);
        // SAFETY: a page-aligned range of this length, leaked below, and given to this slot only.
        let slot = unsafe { Slot::new(memory.base()) };
        std::mem::forget(memory);
        NonNull::from(Box::leak(Box::new(Open::new(slot, fork_number::NEVER))))
    })
}

/// Gives back what [`take`] returned; the caller uses it no more.
pub(crate) fn give(open: NonNull<Open>) {
    if let Some(mut free) = free() {
        free.0.push(open);
    }
}

/// `None` where the lock is not to be had: another thread may have held it when this process was forked, and will never let
/// go. No fork is watched while tracing is off.
fn free() -> Option<MutexGuard<'static, Free>> {
    for _ in 0..1000 {
        match FREE.try_lock() {
            Ok(free) => return Some(free),
            Err(TryLockError::Poisoned(free)) => return Some(free.into_inner()),
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    None
}
