//! Threads of one's own in somebody else's program: signals are not for them.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread that takes none of the program's signals: one that waits for them (`sigwait`, a handler that counts on its
/// own thread) gets all of them, as it would without this thread.
///
/// # Errors
///
/// Those of [`Builder::spawn`].
pub fn spawn_without_signals<T: Send + 'static>(
    builder: Builder,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    // A thread begins with the mask of the one that starts it: there is no moment at which it takes a signal.
    let before = block_all();
    let spawned = builder.spawn(work);
    if let Some(before) = before {
        restore(&before);
    }
    spawned
}

#[cfg(not(miri))]
fn block_all() -> Option<libc::sigset_t> {
    // SAFETY: a `sigset_t` is plain data, which `sigfillset` and `pthread_sigmask` fill; the pointers are valid for the calls.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        // Those of a fault are raised by the thread that makes it, and are the host's to handle.
        for signal in [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV] {
            libc::sigdelset(&raw mut all, signal);
        }
        (libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) == 0).then_some(before)
    }
}

#[cfg(not(miri))]
fn restore(before: &libc::sigset_t) {
    // SAFETY: the pointer is valid for the call; the set was the thread's own before.
    let restored = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
    debug_assert_eq!(restored, 0, "a mask that was in force is valid");
}

/// Miri has no signals.
#[cfg(miri)]
fn block_all() -> Option<()> {
    None
}

#[cfg(miri)]
fn restore((): &()) {}

#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;

    /// The mask of blocked signals of the calling thread, a bit for each.
    fn blocked() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").expect("a Linux system");
        let line = status.lines().find_map(|line| line.strip_prefix("SigBlk:"));
        u64::from_str_radix(line.expect("it tells").trim(), 16).expect("hexadecimal digits")
    }

    #[test]
    fn thread_takes_no_signal_and_the_one_that_starts_it_takes_what_it_took() {
        let before = blocked();
        let its = spawn_without_signals(Builder::new(), blocked).expect("it starts");
        let its = its.join().expect("it ends well");
        assert_eq!(blocked(), before);
        for signal in [
            libc::SIGTERM,
            libc::SIGINT,
            libc::SIGCHLD,
            libc::SIGUSR1,
            libc::SIGPROF,
            libc::SIGPIPE,
        ] {
            assert_ne!(its & 1 << (signal - 1), 0, "signal {signal} of {its:x}");
        }
        assert_eq!(its & 1 << (libc::SIGSEGV - 1), 0, "{its:x}");
    }
}
