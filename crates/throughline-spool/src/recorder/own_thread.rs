//! Threads of one's own in somebody else's program: signals are not for them.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::platform;

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
    platform::without_signals(|| builder.spawn(work))
}

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
