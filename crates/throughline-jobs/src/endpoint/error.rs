//! What can go wrong with an endpoint.

use std::error::Error;
use std::fmt;

/// Why an endpoint did not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum EndpointError {
    /// As many entries wait as may: the caller's to answer "busy", or to try again later.
    Full {
        /// The setting of [`EndpointBuilder::capacity`](super::EndpointBuilder::capacity).
        capacity: u64,
    },
    /// The file cannot be read or written, or another process has it open.
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
pub struct StorageError(Box<redb::Error>);

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
        write!(f, "the endpoint's file: {}", self.0)
    }
}

impl Error for StorageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

impl StorageError {
    pub(super) fn new(error: redb::Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<StorageError> for EndpointError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}
