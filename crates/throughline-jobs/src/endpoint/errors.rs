//! The error queue.

use super::{Endpoint, EndpointError, Entry};
use crate::RequestKey;

/// The error queue of an endpoint: made by [`Endpoint::errors`].
///
/// Entries keep their data, their metadata and their context, with all attempts, until they are taken out.
///
/// ```
/// use throughline_jobs::RequestKey;
/// use throughline_jobs::endpoint::{Endpoint, Select};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("reports");
/// let endpoint = Endpoint::builder("report.create").open(path)?;
/// endpoint.push(RequestKey::current(), b"42")?;
/// endpoint.process_next(|_| Err::<(), _>("no disk"))?;
/// let failed = endpoint.errors().inspect(Select::All)?;
/// assert_eq!(failed[0].reason(), Some("max attempts reached: no disk"));
/// endpoint.errors().reprocess(Select::Id(failed[0].id()))?;
/// assert_eq!(endpoint.counts()?.pending, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Errors<'e> {
    endpoint: &'e Endpoint,
}

/// Which entries of an error queue are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Select {
    /// All.
    All,
    /// The one with this [number](Entry::id).
    Id(u64),
    /// Those that requests with this key have brought.
    Key(RequestKey),
}

impl Select {
    fn matches(self, entry: &Entry) -> bool {
        match self {
            Self::All => true,
            Self::Id(id) => entry.id() == id,
            Self::Key(key) => entry.key() == key,
        }
    }
}

impl<'e> Errors<'e> {
    pub(super) fn new(endpoint: &'e Endpoint) -> Self {
        Self { endpoint }
    }

    /// The entries, which stay where they are. What failed first comes first.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn inspect(&self, which: Select) -> Result<Vec<Entry>, EndpointError> {
        Ok(self.endpoint.store.errors(|entry| which.matches(entry))?)
    }

    /// Takes the entries out, and gives them.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn pop(&self, which: Select) -> Result<Vec<Entry>, EndpointError> {
        let Endpoint { store, settings, .. } = self.endpoint;
        Ok(store.pop_errors(|entry| which.matches(entry), settings.error_capacity)?)
    }

    /// Throws the entries away, and says how many there were.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn clear(&self, which: Select) -> Result<u64, EndpointError> {
        Ok(self.pop(which)?.len() as u64)
    }

    /// Puts the entries back to be processed, as far as the endpoint has room, and says how many. They get as many attempts as new ones;
    /// their spans go on counting.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn reprocess(&self, which: Select) -> Result<u64, EndpointError> {
        let now = std::time::SystemTime::now();
        let Endpoint { store, settings, .. } = self.endpoint;
        let moved = store.reprocess(
            |entry| which.matches(entry),
            settings.capacity,
            settings.error_capacity,
            |entry| super::process::put_back(entry, now),
        )?;
        self.endpoint.notify();
        Ok(moved)
    }

    /// What stands beside the error queue, as nobody can read it: the bytes of entries that a later version or another program has
    /// written. The oldest first. An entry comes here when it is to be processed, or to be taken out of the error queue.
    ///
    /// This version writes the length of the head in 4 bytes, the lowest first, the head as JSON, and the data.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn unreadable(&self) -> Result<Vec<Vec<u8>>, EndpointError> {
        Ok(self.endpoint.store.unreadable()?)
    }

    /// Throws away what nobody can read, and says how many entries that were.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`].
    pub fn clear_unreadable(&self) -> Result<u64, EndpointError> {
        Ok(self.endpoint.store.clear_unreadable()?)
    }
}
