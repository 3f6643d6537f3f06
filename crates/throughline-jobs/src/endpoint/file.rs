//! The file of an endpoint, which is opened anew after an error of the disk.
//!
//! redb refuses all writes to a database, and reads of what it has not in memory, once an error of the disk has come. Opened anew it has
//! all that was committed. That takes some milliseconds per megabyte, and the error may come again at once: so there is a pause after each
//! error, in which nothing is begun and the file is not opened a second time.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::backoff::Backoff;
use super::clock::Clock;
use super::error::StorageError;

/// Opens what is there already.
pub(super) type Open = Box<dyn Fn() -> std::result::Result<Database, DatabaseError> + Send + Sync>;

pub(super) type Result<T> = std::result::Result<T, StorageError>;
/// Inside of a transaction.
pub(super) type Change<T> = std::result::Result<T, redb::Error>;

pub(super) struct File {
    open: Open,
    clock: Clock,
    /// Shared by the calls that use the database, exclusive for whoever opens it anew.
    state: RwLock<State>,
}

struct State {
    /// `None` from an error in a pause until that is over.
    database: Option<Database>,
    /// Grows with each opening. Who saw an earlier database fail has nothing to do.
    opened: u64,
    backoff: Backoff,
    /// The last one of the disk.
    error: Option<Arc<redb::Error>>,
}

impl File {
    pub(super) fn new(database: Database, open: Open, clock: Clock) -> Self {
        let state = State {
            database: Some(database),
            opened: 0,
            backoff: Backoff::default(),
            error: None,
        };
        Self {
            open,
            clock,
            state: RwLock::new(state),
        }
    }

    /// Looks, a second time if the database had to be opened anew.
    pub(super) fn read<T>(&self, look: impl Fn(&ReadTransaction) -> Change<T>) -> Result<T> {
        let look = |database: &Database| look(&database.begin_read()?);
        self.call(look).or_else(|_| self.call(look))
    }

    /// All of it or nothing, and on the disk when it returns. Refused in a pause.
    pub(super) fn write<T>(&self, change: impl FnOnce(&WriteTransaction) -> Change<T>) -> Result<T> {
        if let Some(refusal) = self.shared().refusal(self.clock.now()) {
            return Err(refusal);
        }
        self.write_in_pause(change)
    }

    /// The same, for the end of what was begun: also in a pause, unless the file is closed.
    pub(super) fn write_in_pause<T>(&self, change: impl FnOnce(&WriteTransaction) -> Change<T>) -> Result<T> {
        self.call(|database| {
            let transaction = database.begin_write()?;
            let result = change(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// What is left of a pause.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.shared().backoff.left(self.clock.now())
    }

    fn call<T>(&self, call: impl FnOnce(&Database) -> Change<T>) -> Result<T> {
        let (opened, result) = loop {
            let state = self.shared();
            if let Some(database) = &state.database {
                break (state.opened, call(database));
            }
            drop(state);
            self.open_closed()?;
        };
        result.map_err(|error| {
            let error = Arc::new(error);
            if is_cured_by_opening(&error) {
                self.open_anew(opened, &error);
            }
            StorageError::new(error)
        })
    }

    /// After an error: closes the database that failed, and opens it, or leaves that to a call after the pause.
    fn open_anew(&self, failed: u64, error: &Arc<redb::Error>) {
        let mut state = self.exclusive();
        if state.opened != failed || state.database.is_none() {
            return;
        }
        let began = self.clock.now();
        // Before another is opened: it holds the lock of the file.
        state.database = None;
        let opened = match state.backoff.left(began) {
            Some(_) => Ok(()),
            None => state.open(&self.open),
        };
        state.fail(opened.as_ref().err().unwrap_or(error), began, self.clock.now());
    }

    fn open_closed(&self) -> Result<()> {
        let mut state = self.exclusive();
        if state.database.is_some() {
            return Ok(());
        }
        let began = self.clock.now();
        if let Some(refusal) = state.refusal(began) {
            return Err(refusal);
        }
        state.open(&self.open).map_err(|error| {
            state.fail(&error, began, self.clock.now());
            StorageError::new(error)
        })
    }

    fn shared(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn open(&mut self, open: &Open) -> std::result::Result<(), Arc<redb::Error>> {
        self.database = Some(open().map_err(|error| Arc::new(error.into()))?);
        self.opened += 1;
        Ok(())
    }

    fn fail(&mut self, error: &Arc<redb::Error>, began: Instant, now: Instant) {
        self.backoff.failed(now, now.saturating_duration_since(began));
        // What came before says more than that something did.
        if self.error.is_none() || !matches!(**error, redb::Error::PreviousIo) {
            self.error = Some(Arc::clone(error));
        }
    }

    /// In a pause, with the error that it is for.
    fn refusal(&self, now: Instant) -> Option<StorageError> {
        let left = self.backoff.left(now)?;
        Some(StorageError::new(Arc::clone(self.error.as_ref()?)).retry_in(left))
    }
}

/// A lock is poisoned where redb has panicked.
fn is_cured_by_opening(error: &redb::Error) -> bool {
    matches!(
        error,
        redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::LockPoisoned(_)
    )
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").finish_non_exhaustive()
    }
}
