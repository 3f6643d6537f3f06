//! What can go wrong with an endpoint.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why an endpoint did not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointError {
    /// As many entries wait as may: the caller's to answer "busy", or to try again later.
    Full {
        /// The setting of [`EndpointBuilder::capacity`](super::EndpointBuilder::capacity).
        capacity: u64,
    },
    /// The file cannot be read or written, or another process has it open. After an error of the disk it is opened anew by itself; see
    /// [errors of the disk](super#errors-of-the-disk).
    Storage(StorageError),
    /// The data has more bytes than an entry may.
    TooLarge {
        /// What the data has.
        bytes: usize,
        /// The setting of [`EndpointBuilder::max_bytes`](super::EndpointBuilder::max_bytes).
        max: usize,
    },
}

/// What the storage says; see its `source`.
#[derive(Debug)]
pub struct StorageError {
    error: Arc<redb::Error>,
    /// Of what was refused in the pause after an error: how long that lasts.
    retry_in: Option<Duration>,
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { capacity } => write!(f, "the endpoint is full: {capacity} entries wait; raise `capacity`"),
            Self::Storage(error) => error.fmt(f),
            Self::TooLarge { bytes, max } => {
                write!(f, "the entry has {bytes} bytes, and may have {max}; raise `max_bytes`")
            }
        }
    }
}

impl Error for EndpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Storage(error) => Some(error),
            Self::Full { .. } | Self::TooLarge { .. } => None,
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_in {
            None => write!(f, "the endpoint's file: {}", self.error),
            Some(left) => write!(
                f,
                "the endpoint's file is not used for {left:?} after an error: {}",
                self.error
            ),
        }
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.error)
    }
}

impl StorageError {
    pub(super) fn new(error: Arc<redb::Error>) -> Self {
        Self { error, retry_in: None }
    }

    pub(super) fn retry_in(mut self, left: Duration) -> Self {
        self.retry_in = Some(left);
        self
    }
}

impl From<StorageError> for EndpointError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
