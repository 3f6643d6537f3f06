//! The file layer: every system call of store and archive goes through it.
//!
//! Behind [`Files`] stands the operating system ([`os`]) or, in tests, a file system in memory (`fake`) that can fail,
//! fall short or stop at any call, and that knows what a power cut leaves behind.

#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod os;

use std::fmt::Debug;
use std::fs::{FileType, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use crate::store::memory::Region;

/// A shared file layer.
pub(crate) type SharedFiles = Arc<dyn Files>;

/// An open file.
pub(crate) type SharedFile = Arc<dyn FileHandle>;

/// Operations on paths. New directories are 0700, new files 0600; symbolic links are never followed at the end of a
/// path; only regular files of this user are opened.
pub(crate) trait Files: Debug + Send + Sync {
    /// Makes a directory; an error when there is one.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Calls `visit` with the name and kind of each entry, in no particular order, until it returns `false`.
    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()>;

    /// Opens a file.
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile>;

    /// Renames a file or directory, replacing a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file a second name; an error when that name is taken.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Whoever has it mapped keeps it.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;

    /// What is known of a path, itself not followed if it is a link.
    fn look(&self, path: &Path) -> io::Result<Seen>;

    /// Makes new, renamed and removed names in a directory survive a power cut.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// What the directory's file system is.
    fn file_system(&self, path: &Path) -> FileSystem;

    /// The time now.
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Operations on an open file. It is closed, and its lock released, when the last handle is dropped.
pub(crate) trait FileHandle: Debug + Send + Sync {
    /// Reads from a place on; fewer bytes than asked for at the file's end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// Writes all bytes at a place.
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()>;

    /// Makes the file this long, with its blocks allocated. `Unsupported` where that cannot be had; the file is then
    /// unchanged or has the length.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// Cuts the file. Never called for a file that anybody may have mapped.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes what was written so far survive a power cut.
    fn sync(&self) -> io::Result<()>;

    /// Takes the exclusive lock, without waiting. `false`: somebody else has it.
    fn try_lock(&self) -> io::Result<bool>;

    /// Gives the lock back, also where a child that was forked meanwhile holds copies of the handle.
    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    /// What is known of the file.
    fn look(&self) -> io::Result<Seen>;

    /// Maps the first `len` bytes, which are allocated.
    fn map(&self, len: usize) -> io::Result<Region>;
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// For reading.
    Read,
    /// For reading and writing.
    Write,
    /// A new file for reading and writing; an error when there is one.
    New,
    /// For reading and writing, made if there is none.
    NewOrWrite,
}

impl How {
    /// Sets what is to be done with the file.
    pub(crate) fn set(self, options: &mut OpenOptions) -> &mut OpenOptions {
        options.read(true);
        match self {
            Self::Read => options,
            Self::Write => options.write(true),
            Self::New => options.write(true).create_new(true),
            Self::NewOrWrite => options.write(true).create(true).truncate(false),
        }
    }
}

/// What a directory's entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    Directory,
    File,
    Other,
}

impl From<FileType> for EntryKind {
    fn from(kind: FileType) -> Self {
        match kind {
            kind if kind.is_dir() => Self::Directory,
            kind if kind.is_file() => Self::File,
            _ => Self::Other,
        }
    }
}

/// What is known of a file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub kind: EntryKind,
    /// What tells the file from all others of the machine.
    pub file: (u64, u64),
    /// In bytes.
    pub len: u64,
    /// What it takes on disk, in bytes.
    pub occupied: u64,
    /// Its owner's number; on a system without such numbers that of this process.
    pub user: u32,
    /// Permission bits; on a system without them those of what is private.
    pub mode: u32,
    pub modified: SystemTime,
}

/// What a file system can do, as far as its kind tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, reason = "no operating system has all of them")]
pub(crate) enum FileSystem {
    /// Allocation and shared mappings are sound (ext4, xfs, overlay).
    Mappable,
    /// The same, in memory (tmpfs).
    MemoryBacked,
    /// Of this machine alone, but not one to map (btrfs, zfs, APFS).
    Local,
    /// Anything else.
    Other,
}

/// Reads a whole file, but no more than `most` bytes.
pub(crate) fn read_all(file: &dyn FileHandle, most: u64) -> io::Result<Vec<u8>> {
    let len = file.look()?.len.min(most) as usize;
    let mut bytes = vec![0; len];
    let read = read_full(file, &mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Fills the buffer as far as the file goes; returns how far that is.
pub(crate) fn read_full(file: &dyn FileHandle, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], at + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Removes a directory with the files in it; it has no directories.
pub(crate) fn remove_all(files: &dyn Files, directory: &Path) -> io::Result<()> {
    let mut names = Vec::new();
    files.entries(directory, &mut |name, _| {
        names.push(name.to_owned());
        true
    })?;
    for name in names {
        match files.remove_file(&directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    files.remove_dir(directory)
}

/// 16 random hexadecimal digits.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::getrandom(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}
