//! The file layer of the operating system.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::mem::ManuallyDrop;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};

use super::{EntryKind, FileHandle, FileSystem, Files, How, Seen, SharedFile, SharedFiles};
use crate::store::memory::Region;

/// The operating system's files.
pub(crate) fn files() -> SharedFiles {
    Arc::new(OsFiles)
}

#[derive(Debug)]
struct OsFiles;

/// A file that was opened here.
///
/// A host that makes itself a daemon closes descriptors that are not its own, and may be given their numbers for files of its
/// own. So each use asks first whether the descriptor still is the file, and one that is not is never closed.
#[derive(Debug)]
struct OsFile {
    file: ManuallyDrop<File>,
    /// Device and inode.
    identity: (u64, u64),
}

impl OsFile {
    fn new(file: File, seen: &fs::Metadata) -> Self {
        Self {
            file: ManuallyDrop::new(file),
            identity: (seen.dev(), seen.ino()),
        }
    }

    /// The file, if the descriptor still is one of it.
    fn file(&self) -> io::Result<&File> {
        let seen = self.file.metadata()?;
        if (seen.dev(), seen.ino()) == self.identity {
            Ok(&self.file)
        } else {
            Err(io::Error::other("somebody has closed the descriptor of this file"))
        }
    }
}

impl Drop for OsFile {
    fn drop(&mut self) {
        if self.file().is_ok() {
            // SAFETY: it is dropped nowhere else, and not used any more.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
}

impl Files for OsFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)
    }

    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_dir() => EntryKind::Directory,
                Ok(kind) if kind.is_file() => EntryKind::File,
                _ => EntryKind::Other,
            };
            // Names of ours are ASCII; others are none of our business.
            if let Some(name) = entry.file_name().to_str() {
                if !visit(name, kind) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        let mut options = OpenOptions::new();
        options.read(true).mode(0o600);
        match how {
            How::Read => &mut options,
            How::Write => options.write(true),
            How::New => options.write(true).create_new(true),
            How::NewOrWrite => options.write(true).create(true).truncate(false),
        };
        // Not blocking: a FIFO of this name would wait for a writer.
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Miri does not know it, and has no FIFOs.
        let flags = if cfg!(miri) { flags } else { flags | OFlags::NONBLOCK };
        let file = options.custom_flags(flags.bits() as i32).open(path)?;
        let seen = file.metadata()?;
        if how != How::New {
            if !seen.is_file() {
                return Err(io::Error::other("it is no regular file"));
            }
            if seen.uid() != rustix::process::geteuid().as_raw() && !cfg!(miri) {
                return Err(io::Error::other(format!("it belongs to user {}", seen.uid())));
            }
        }
        Ok(Arc::new(OsFile::new(file, &seen)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn look(&self, path: &Path) -> io::Result<Seen> {
        Ok(seen(&fs::symlink_metadata(path)?))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn file_system(&self, path: &Path) -> FileSystem {
        #[cfg(all(target_os = "linux", not(miri)))]
        {
            const EXT: u64 = 0xEF53;
            const XFS: u64 = 0x5846_5342;
            const TMPFS: u64 = 0x0102_1994;
            const OVERLAY: u64 = 0x794c_7630;
            match rustix::fs::statfs(path).map(|stat| stat.f_type as u64) {
                Ok(EXT | XFS | OVERLAY) => FileSystem::Mappable,
                Ok(TMPFS) => FileSystem::MemoryBacked,
                _ => FileSystem::Other,
            }
        }
        #[cfg(not(all(target_os = "linux", not(miri))))]
        {
            let _ = path;
            FileSystem::Other
        }
    }
}

impl FileHandle for OsFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.file()?.read_at(buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        check_file_size(at + bytes.len() as u64)?;
        self.file()?.write_all_at(bytes, at)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        check_file_size(len)?;
        if cfg!(miri) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match rustix::fs::fallocate(self.file()?, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
            Err(error) => Err(error.into()),
        }
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check_file_size(len)?;
        self.file()?.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        match rustix::fs::flock(self.file()?, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(rustix::fs::flock(self.file()?, FlockOperation::Unlock)?)
    }

    fn look(&self) -> io::Result<Seen> {
        Ok(seen(&self.file.metadata()?))
    }

    fn map(&self, len: usize) -> io::Result<Region> {
        Region::map(self.file()?, len)
    }
}

fn seen(metadata: &fs::Metadata) -> Seen {
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => EntryKind::Directory,
        kind if kind.is_file() => EntryKind::File,
        _ => EntryKind::Other,
    };
    Seen {
        kind,
        file: (metadata.dev(), metadata.ino()),
        len: metadata.len(),
        occupied: metadata.blocks() * 512,
        user: metadata.uid(),
        mode: metadata.mode() & 0o7777,
        modified: metadata.modified().unwrap_or(std::time::UNIX_EPOCH),
    }
}

/// A file beyond `ulimit -f` would raise SIGXFSZ, which ends the host: the limit is asked first.
fn check_file_size(end: u64) -> io::Result<()> {
    // Miri does not know it.
    if cfg!(miri) {
        return Ok(());
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    match limit {
        Some(limit) if end > limit => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the limit for the size of a file (ulimit -f) is {limit} bytes"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlock_gives_the_lock_back_although_a_copy_of_the_handle_is_left() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("lock");
        let file = File::create(&path).expect("it can be made");
        // As a child has it that was forked while the lock was held.
        let _copy = file.try_clone().expect("it can be copied");
        let seen = file.metadata().expect("it is open");
        let lock = OsFile::new(file, &seen);
        let other = files().open(&path, How::Write).expect("it is there");
        assert!(lock.try_lock().expect("it can be asked"));
        assert!(!other.try_lock().expect("it can be asked"));
        lock.unlock().expect("it is held");
        assert!(other.try_lock().expect("it can be asked"));
    }
}
