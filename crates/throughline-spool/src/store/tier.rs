//! What holds a record.

use crate::files::FileSystem;

/// Where committed records lie. The format is the same in all tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum Tier {
    /// In files mapped into memory: a commit is a store, and survives the death of the process.
    Mapped,
    /// In files written with `write(2)`: a commit is a system call, and survives the death of the process.
    Written,
    /// In memory: nothing survives the process. Only where no directory can be written.
    Memory,
}

impl Tier {
    /// The tier for a file system: mapped where allocation and mapping are known to be sound.
    ///
    /// Copy-on-write file systems (btrfs, zfs) can fail to write a page that was allocated, and network ones (NFS, 9p)
    /// neither keep nor share mappings well; there a store could end the process by SIGBUS. ext2 and ext3, which have
    /// ext4's number but cannot allocate, are noticed when the first chunk is made.
    pub(crate) fn of(file_system: FileSystem) -> Self {
        match file_system {
            FileSystem::Mappable | FileSystem::MemoryBacked => Self::Mapped,
            FileSystem::Local | FileSystem::Other => Self::Written,
        }
    }

    /// The name that `doctor` and notices use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mapped => "mapped",
            Self::Written => "written",
            Self::Memory => "memory",
        }
    }

    pub(crate) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Mapped,
            1 => Self::Written,
            _ => Self::Memory,
        }
    }
}
