//! Calling somebody else's code, whose panics are not the host's.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// What it answers; `None` when it panics.
#[inline]
pub(crate) fn caught<R>(call: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(answer) => Some(answer),
        Err(panic) => {
            // What a panic carries may panic when it is dropped.
            std::mem::forget(panic);
            None
        }
    }
}
