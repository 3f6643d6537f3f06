//! Whether tracing is on, and whether this is still the process that switched it on.
//!
//! One number answers both on the hot path: 0 is off, and a forked child counts it up, so that everything that was made
//! before the fork (thread states, open spans, the spool itself) is recognised as the parent's.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static EPOCH: AtomicU32 = AtomicU32::new(OFF);

/// Tracing is off.
pub(crate) const OFF: u32 = 0;

#[inline]
pub(crate) fn current() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// The epoch that the first spool of this process will have.
pub(crate) fn first() -> u32 {
    watch_forks();
    1
}

/// Switches tracing on; everything the epoch stands for must be in place.
pub(crate) fn begin(epoch: u32) {
    EPOCH.store(epoch, Ordering::Release);
}

/// Counts the epoch up in the child of every `fork` from now on.
fn watch_forks() {
    extern "C" fn in_child() {
        // Nothing but an atomic store may be done here: other threads' locks are as the fork found them.
        let epoch = EPOCH.load(Ordering::Relaxed);
        if epoch != OFF {
            EPOCH.store(epoch.wrapping_add(1).max(1), Ordering::Relaxed);
        }
    }

    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // Miri has no fork.
        #[cfg(all(unix, not(miri)))]
        // SAFETY: `in_child` is async-signal-safe and lives as long as the program.
        unsafe {
            libc::pthread_atfork(None, None, Some(in_child));
        }
        #[cfg(any(not(unix), miri))]
        let _ = in_child;
    });
}
