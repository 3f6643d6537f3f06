//! A durable queue of the program's own, in one file.
//!
//! A server that answers at once and works later pushes what it got into an [`Endpoint`], and a worker takes it from there. What was
//! pushed survives a kill and a restart, with the context of the request that brought it. What fails too often goes to the
//! [error queue](Endpoint::errors), from where it can be [put back](Errors::reprocess).
//!
//! ```
//! use throughline_jobs::endpoint::Endpoint;
//! use throughline_jobs::{Request, RequestKey};
//!
//! # let capture = throughline::testing::capture();
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("reports");
//! let endpoint = Endpoint::builder("report.create").max_attempts(3).open(path)?;
//! let key = RequestKey::current();
//! Request::new(key, "report.create").serve().run(|| endpoint.push(key, b"42"))?;
//! // In the worker:
//! while endpoint.process_next(|entry| entry.data() == b"42")?.is_some() {}
//! # capture.assert_tree("report.create\n  process report.create");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits
//!
//! A push writes to the disk and waits for it, and so do the begin and the end of an attempt. In asynchronous code call it by
//! `spawn_blocking`. One process has the file open at a time; its threads may share the endpoint.
//!
//! # Errors of the disk
//!
//! A call that meets an error of the disk, as when it is full, fails with [`EndpointError::Storage`]. Then the endpoint opens its file
//! anew: all that was stored is there, and can be read. What failed to be stored may be there as well, where the disk took it but did not
//! say so. After an error there is a pause, in which nothing new is written: pushes fail at once, and no attempt begins; attempts that had
//! begun may still end. It lasts 100 ms after the first error, and twice as long after each further one within a minute, up to 10 seconds;
//! but as long as the opening took at least. Where the file cannot be opened, reads fail too, and the next call after the pause tries again.
//!
//! Opening reads the whole file, as after a kill, in about 3 ms per megabyte that the system has in memory. Other calls wait for it.

mod backoff;
mod builder;
mod clock;
mod entry;
mod error;
mod errors;
mod file;
mod middleware;
mod process;
mod store;

pub use builder::EndpointBuilder;
pub use entry::Entry;
pub use error::EndpointError;
pub use errors::{Errors, Select};
pub use middleware::{Metadata, Middleware};
pub use process::Processed;

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use throughline::Context;

use crate::{Queue, Record, RequestKey};
use clock::Clock;
use middleware::Middlewares;
use store::Store;

/// A durable queue; made by [`Endpoint::builder`].
#[derive(Debug)]
pub struct Endpoint {
    queue: Queue,
    settings: Settings,
    middlewares: Middlewares,
    store: Store,
    clock: Clock,
    /// Which entries are being processed in this process. Held for a look, never while a handler runs.
    active: Mutex<BTreeSet<u64>>,
    /// Notified after each push and after each attempt.
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    max_attempts: u32,
    capacity: u64,
    error_capacity: u64,
    max_bytes: usize,
}

/// What an endpoint holds, and what it has turned away since its file was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Entries that are to be processed, those being processed included.
    pub pending: u64,
    /// Entries in the error queue.
    pub errors: u64,
    /// Pushes that were refused: the endpoint was full, or they were too large.
    pub refused: u64,
    /// Entries that left a full error queue, or what could not be read of one, for newer ones.
    pub evicted: u64,
    /// Entries that could not be read and were [set aside](Errors::unreadable).
    pub unreadable: u64,
}

impl Endpoint {
    /// An endpoint for what comes by this route, with the defaults.
    #[must_use]
    pub fn builder(route: impl Into<String>) -> EndpointBuilder {
        EndpointBuilder::new(route.into())
    }

    /// Stores what a request brought. Once this has returned, it survives the process.
    ///
    /// The span that is current here becomes the parent of the attempts to process it: that of the request. Where none is, it is the caller's,
    /// which the key names. Middlewares are asked for what else is to be kept.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Full`] and [`EndpointError::TooLarge`], which are counted; [`EndpointError::Storage`].
    pub fn push(&self, key: RequestKey, data: &[u8]) -> Result<u64, EndpointError> {
        if data.len() > self.settings.max_bytes {
            // A disk that does not take even this number is told of by other calls.
            let _ = self.store.refuse();
            let max = self.settings.max_bytes;
            return Err(EndpointError::TooLarge { bytes: data.len(), max });
        }
        let mut entry = Entry::new(key, data, self.middlewares.metadata(key, data));
        let current = Context::current();
        let creator = if current.trace_id().is_some() {
            current
        } else {
            key.context()
        };
        let mut job = entry.metadata().read();
        job.enqueue(&creator, SystemTime::now());
        entry.metadata_mut().write(&job);
        let id = self.store.push(&entry, self.settings.capacity)?;
        let Some(id) = id else {
            let capacity = self.settings.capacity;
            return Err(EndpointError::Full { capacity });
        };
        self.notify();
        Ok(id)
    }

    /// Waits until something is to be processed that is not yet being processed: pushed, put back, or to be tried again. At most this
    /// long; at once when something waits. In the pause after an error of the disk it waits for the end of that.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn wait(&self, timeout: Duration) -> Result<(), EndpointError> {
        let mut active = self.active();
        let start = self.clock.now();
        loop {
            let pause = self.store.pause();
            if pause.is_none() && self.store.counts()?.pending > active.len() as u64 {
                break;
            }
            let waited = self.clock.now().saturating_duration_since(start);
            let Some(left) = timeout.checked_sub(waited).filter(|left| !left.is_zero()) else {
                break;
            };
            let left = pause.map_or(left, |pause| pause.min(left));
            let notified = self.changed.wait_timeout(active, left);
            active = notified.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// How much there is, and what was turned away.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn counts(&self) -> Result<Counts, EndpointError> {
        Ok(self.store.counts()?)
    }

    /// The error queue: what has failed too often.
    #[must_use]
    pub fn errors(&self) -> Errors<'_> {
        Errors::new(self)
    }

    /// The entries that are to be processed, in the order in which they came.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn pending(&self) -> Result<Vec<Entry>, EndpointError> {
        Ok(self.store.pending()?)
    }

    fn active(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the lock, so that nobody who has just looked misses it.
    fn notify(&self) {
        let _active = self.active();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
