//! The file layer of the operating system.

use std::fs::{self, File};
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

use super::{EntryKind, FileHandle, FileSystem, Files, How, Seen, SharedFile, SharedFiles};
use crate::platform;
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
    /// What tells it from all others of the machine.
    identity: (u64, u64),
}

impl OsFile {
    fn new(file: File, seen: &Seen) -> Self {
        Self {
            file: ManuallyDrop::new(file),
            identity: seen.file,
        }
    }

    /// The file, if the descriptor still is one of it.
    fn file(&self) -> io::Result<&File> {
        if platform::identity_of(&self.file)? == self.identity {
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
        platform::create_dir(path, false)
    }

    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let kind = entry.file_type().map_or(EntryKind::Other, EntryKind::from);
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
        let file = platform::open(path, how)?;
        let seen = platform::look_at(&file)?;
        if how != How::New {
            if seen.kind != EntryKind::File {
                return Err(io::Error::other("it is no regular file"));
            }
            if seen.user != platform::user() && !cfg!(miri) {
                return Err(io::Error::other(format!("it belongs to user {}", seen.user)));
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
        platform::look(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        platform::sync_dir(path)
    }

    fn file_system(&self, path: &Path) -> FileSystem {
        platform::file_system(path)
    }
}

impl FileHandle for OsFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        platform::read_at(self.file()?, buffer, at)
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        check_file_size(at + bytes.len() as u64)?;
        platform::write_all_at(self.file()?, bytes, at)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        check_file_size(len)?;
        platform::allocate(self.file()?, len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check_file_size(len)?;
        self.file()?.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn try_lock(&self) -> io::Result<bool> {
        platform::try_lock(self.file()?)
    }

    fn unlock(&self) -> io::Result<()> {
        platform::unlock(self.file()?)
    }

    fn look(&self) -> io::Result<Seen> {
        platform::look_at(&self.file)
    }

    fn map(&self, len: usize) -> io::Result<Region> {
        Region::map(self.file()?, len)
    }
}

/// A file beyond `ulimit -f` would raise SIGXFSZ, which ends the host: the limit is asked first.
fn check_file_size(end: u64) -> io::Result<()> {
    match platform::file_size_limit() {
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
        let seen = platform::look_at(&file).expect("it is open");
        let lock = OsFile::new(file, &seen);
        let other = files().open(&path, How::Write).expect("it is there");
        assert!(lock.try_lock().expect("it can be asked"));
        assert!(!other.try_lock().expect("it can be asked"));
        lock.unlock().expect("it is held");
        assert!(other.try_lock().expect("it can be asked"));
    }
}
