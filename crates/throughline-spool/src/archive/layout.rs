//! Where the archive lies, and what it may hold.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::directory::{ARCHIVE, Root};
use crate::files::{FileSystem, How, SharedFile, SharedFiles, read_all};
use crate::store::quota::Limits;

use super::file::{self, Kind, Name};
use super::ledger::{self, Ledger};
use super::settled::Uncounted;

const LEDGER: &str = "ledger";
/// A file that grows slowly is closed when its first segment is older than this part of the age that is kept.
const AGES_OF_A_FILE: u32 = 8;

/// Where the archive lies, and what it may hold.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub files: SharedFiles,
    pub root: Root,
    /// `<root>/archive`.
    pub directory: PathBuf,
    pub limits: Limits,
    /// What the ledger does not say yet.
    pub uncounted: Arc<Uncounted>,
}

impl Layout {
    pub fn new(root: &Root, limits: Limits) -> Self {
        let is_memory = root.files.file_system(root.path()) == FileSystem::MemoryBacked;
        Self {
            files: root.files.clone(),
            root: root.clone(),
            directory: directory(root.path()),
            limits: if is_memory { limits.in_memory() } else { limits },
            uncounted: Arc::default(),
        }
    }

    /// What all files of a kind may take, in bytes.
    pub fn quota(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Pending => self.limits.pending,
            Kind::History => self.limits.history,
        }
    }

    /// For how long they are kept.
    pub fn age(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Pending => self.limits.pending_age,
            Kind::History => self.limits.history_age,
        }
    }

    /// Up to what length a file is appended to.
    pub fn file_size(&self, kind: Kind) -> u64 {
        (self.quota(kind) / 8).clamp(64 << 10, 8 << 20)
    }

    /// For how long a file is appended to.
    pub fn file_age(&self, kind: Kind) -> Duration {
        self.age(kind) / AGES_OF_A_FILE
    }

    pub fn ledger_path(&self) -> PathBuf {
        self.root.path().join(LEDGER)
    }

    pub fn open(&self, name: Name, how: How) -> io::Result<SharedFile> {
        self.files.open(&name.path(&self.directory), how)
    }

    /// The archive's files, oldest first.
    pub fn list(&self) -> io::Result<Vec<Name>> {
        file::list(&*self.files, &self.directory).map(|(found, _)| found)
    }

    /// The ledger, by somebody who does not hold the lock. `None`: there is none, or it is damaged, or being written.
    pub fn read_ledger(&self) -> io::Result<Option<Ledger>> {
        read_ledger(&self.files, self.root.path())
    }
}

/// The archive's directory in a root.
pub(crate) fn directory(root: &Path) -> PathBuf {
    root.join(ARCHIVE)
}

/// A root's ledger; `None` when there is none, or it is damaged.
pub(crate) fn read_ledger(files: &SharedFiles, root: &Path) -> io::Result<Option<Ledger>> {
    match files.open(&root.join(LEDGER), How::Read) {
        Ok(file) => Ledger::from_bytes(&read_all(&*file, ledger::LEN as u64)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nano(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The moment that many nanoseconds after 1970.
pub(crate) fn from_unix_nano(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}
