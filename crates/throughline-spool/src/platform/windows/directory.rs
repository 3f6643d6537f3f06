//! A directory in which files are opened by name and no link is followed. Who may enter it is inherited from the one above.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::windows::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Storage::FileSystem::FILE_FLAG_OPEN_REPARSE_POINT;

use super::{look, look_at};
use crate::files::EntryKind;
use crate::platform::Listed;

/// A directory by its path: the system cannot open files in an open one without calls of its kernel.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Looks at it, and makes it if there is none.
    pub fn make(path: &Path) -> io::Result<Self> {
        let path: PathBuf = path.components().collect();
        match DirBuilder::new().recursive(true).create(&path) {
            // What else has the name is told below.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Self::checked(path),
        }
    }

    /// One below it.
    pub fn make_child(&self, name: &str) -> io::Result<Self> {
        match fs::create_dir(self.path.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => self.child(name),
        }
    }

    /// One below it that is there already.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        Self::checked(self.path.join(name))
    }

    fn checked(path: PathBuf) -> io::Result<Self> {
        match look(&path)?.kind {
            EntryKind::Directory => Ok(Self { path }),
            _ => Err(io::Error::other(
                "it is no directory, or a symbolic link, which is not followed",
            )),
        }
    }

    /// Opens a file to append to, and makes it if there is none.
    pub fn append(&self, name: &str) -> io::Result<File> {
        self.open(name, OpenOptions::new().read(true).append(true).create(true))
    }

    /// Opens a file that is there already.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.open(name, OpenOptions::new().read(true))
    }

    fn open(&self, name: &str, how: &mut OpenOptions) -> io::Result<File> {
        let file = how
            .custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
            .open(self.path.join(name))?;
        match look_at(&file)?.kind {
            EntryKind::File => Ok(file),
            _ => Err(io::Error::other(format!("{name} in it is no file, or a symbolic link"))),
        }
    }

    /// Removes a file in it. Where somebody has it open, an older system lets the name go when they close it.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Removes a directory in it, unless there is something in that.
    pub fn remove_empty(&self, name: &str) {
        let _is_not_empty = fs::remove_dir(self.path.join(name));
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().into_string().ok().map(Ok),
            Err(error) => Some(Err(error)),
        });
        names.collect()
    }

    /// What is known of a file in it; of a link itself.
    pub fn look(&self, name: &str) -> io::Result<Listed> {
        let seen = look(&self.path.join(name))?;
        Ok(Listed {
            len: seen.len,
            modified: seen.modified,
        })
    }
}
