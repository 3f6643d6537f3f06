//! What the spool's file system can do, and what therefore holds a record.

use std::path::Path;

/// Where committed records lie. The format is the same in all tiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tier {
    /// In files mapped into memory: a commit is a store, and survives the death of the process.
    Mapped,
    /// In files written with `write(2)`: a commit is a system call, and survives the death of the process.
    Written,
    /// In memory: nothing survives the process. Only where no directory can be written.
    Memory,
}

impl Tier {
    /// The tier for a directory: mapped where allocation and mapping are known to be sound.
    ///
    /// Copy-on-write file systems (btrfs, zfs) can fail to write a page that was allocated, and network ones (NFS, 9p)
    /// neither keep nor share mappings well; there a store could end the process by SIGBUS.
    pub fn of(directory: &Path) -> Self {
        #[cfg(target_os = "linux")]
        {
            const EXT: u64 = 0xEF53;
            const XFS: u64 = 0x5846_5342;
            const TMPFS: u64 = 0x0102_1994;
            const OVERLAY: u64 = 0x794c_7630;
            match rustix::fs::statfs(directory).map(|stat| stat.f_type as u64) {
                Ok(EXT | XFS | TMPFS | OVERLAY) => Self::Mapped,
                _ => Self::Written,
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = directory;
            Self::Written
        }
    }

    /// Whether a directory lies in memory (tmpfs), so that its quota must be small.
    pub fn is_memory_backed(directory: &Path) -> bool {
        #[cfg(target_os = "linux")]
        {
            const TMPFS: u64 = 0x0102_1994;
            rustix::fs::statfs(directory).is_ok_and(|stat| stat.f_type as u64 == TMPFS)
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = directory;
            false
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
}
