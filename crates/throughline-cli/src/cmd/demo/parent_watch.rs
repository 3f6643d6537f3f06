//! Ends a process of the demo when the one that started it is gone, or has no more need of it.
//!
//! The starter holds the other end of our stdin. It closes it to end us, and the kernel does so when it dies, however
//! that happens. Whatever goes wrong, nobody lives longer than [`LIMIT`].

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long any process of the demo may live.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Learns when the parent is gone.
pub struct ParentWatch {
    gone: Receiver<()>,
    end: Instant,
}

impl ParentWatch {
    /// Watches stdin from now on.
    pub fn of_stdin() -> io::Result<Self> {
        let (until_end, gone) = channel();
        thread::Builder::new().spawn(move || {
            // Nobody writes there: it returns at the end.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            drop(until_end);
        })?;
        Ok(Self {
            gone,
            end: Instant::now() + LIMIT,
        })
    }

    /// Waits so long; true if the process should end.
    pub fn is_gone_within(&self, wait: Duration) -> bool {
        let left = self.end.saturating_duration_since(Instant::now());
        let waited = self.gone.recv_timeout(wait.min(left));
        waited == Err(RecvTimeoutError::Disconnected) || Instant::now() >= self.end
    }

    /// Waits until the process should end.
    pub fn wait(&self) {
        self.is_gone_within(LIMIT);
    }
}
