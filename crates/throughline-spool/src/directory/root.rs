//! The user's spool: the directory that all processes share.

use std::io;
use std::path::{Path, PathBuf};

use super::process::Owned;
use super::{ARCHIVE, ProcessDir, is_process_name};
use crate::files::{self, EntryKind, How, SharedFiles};
use crate::format::manifest::Manifest;
use crate::platform;
use crate::store::tier::Tier;

const KEY: &str = "key";

/// The user's spool: a directory of process directories, and of what dead processes left.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
    pub(crate) files: SharedFiles,
}

impl Root {
    /// Opens the user's spool, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be made, is no directory, is a symbolic link, or belongs to somebody else. One that others may enter is made
    /// private first, when it is empty or a spool; else that is an error.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let made = platform::create_dir(&path, true);
        // A file of that name: what it is says more than that it exists.
        made.or_else(|error| match path.exists() {
            true => Ok(()),
            false => Err(error),
        })?;
        let root = Self::with_files(&path, files::os::files())?;
        if root.files.look(&path)?.mode & 0o077 != 0 {
            if !root.is_empty_or_spool()? {
                return Err(io::Error::other(
                    "others may enter it, and it holds what is no spool's: name a directory of its own, or make it private",
                ));
            }
            platform::make_private(&path)?;
        }
        Ok(root)
    }

    /// Whether it is empty, or a spool.
    fn is_empty_or_spool(&self) -> io::Result<bool> {
        let (mut is_spool, mut is_empty) = (false, true);
        self.files.entries(&self.path, &mut |name, _| {
            is_empty = false;
            is_spool = name == KEY || name == ARCHIVE || is_process_name(name);
            !is_spool
        })?;
        Ok(is_spool || is_empty)
    }

    /// The root that lies there.
    pub(crate) fn with_files(path: &Path, files: SharedFiles) -> io::Result<Self> {
        let seen = files.look(path)?;
        if seen.kind != EntryKind::Directory {
            return Err(io::Error::other("it is no directory"));
        }
        let me = platform::user();
        // Miri says that it is another user than that of the files.
        if seen.user != me && !cfg!(miri) {
            return Err(io::Error::other(format!(
                "it belongs to user {}, not to user {me}",
                seen.user
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    /// Where the spool lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a process that starts now keeps its records in.
    #[must_use]
    pub fn tier(&self) -> Tier {
        Tier::of(self.files.file_system(&self.path))
    }

    /// 32 random bytes of this spool, the same for all its processes; what identities of destinations are keyed with.
    ///
    /// # Errors
    ///
    /// The key can neither be read nor made.
    pub fn key(&self) -> io::Result<[u8; 32]> {
        let path = self.path.join(KEY);
        for _ in 0..3 {
            match self
                .files
                .open(&path, How::Read)
                .and_then(|file| files::read_all(&*file, 64))
            {
                Ok(bytes) => {
                    if let Ok(key) = bytes.try_into() {
                        return Ok(key);
                    }
                    self.files.remove_file(&path)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let mut key = [0; 32];
            getrandom::getrandom(&mut key).map_err(io::Error::other)?;
            // Made aside and linked, so that it is whole when it is seen and the first of two processes wins. Synced, since
            // with another key nobody would know the destinations of what lies here.
            let aside = self.path.join(format!(".key-{}", files::random_name()?));
            let file = self.files.open(&aside, How::New)?;
            let linked = file
                .write_at(&key, 0)
                .and_then(|()| file.sync())
                .and_then(|()| self.files.link(&aside, &path))
                .and_then(|()| self.files.sync_dir(&self.path));
            self.files.remove_file(&aside)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::other("the spool's key cannot be made"))
    }

    /// Makes the directory of this process, locked; fills in the manifest's `directory`, `owner` and time.
    pub(crate) fn create_process(&self, manifest: &mut Manifest) -> io::Result<Owned> {
        Owned::create(&self.path, &self.files, manifest)
    }

    /// Calls `visit` with each process directory, those of living processes among them, in no particular order, until it
    /// returns `false`.
    ///
    /// # Errors
    ///
    /// The spool cannot be listed.
    pub(crate) fn visit_processes(&self, visit: &mut dyn FnMut(ProcessDir) -> bool) -> io::Result<()> {
        self.files.entries(&self.path, &mut |name, kind| {
            if kind == EntryKind::Directory && is_process_name(name) {
                return visit(ProcessDir::new(self.path.join(name), self.files.clone()));
            }
            true
        })
    }

    /// The process directories, those of living processes among them, oldest first.
    ///
    /// # Errors
    ///
    /// The spool cannot be listed.
    pub fn processes(&self) -> io::Result<Vec<ProcessDir>> {
        let mut found = Vec::new();
        self.visit_processes(&mut |directory| {
            found.push(directory);
            true
        })?;
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn key_is_made_once_and_read_ever_after() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        let key = root.key().expect("it can be made");
        assert_ne!(key, [0; 32]);
        assert_eq!(root.key().expect("it can be read"), key);
        assert_eq!(fs::metadata(root.path()).expect("it is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn root_that_is_a_link_is_refused_and_one_that_others_may_enter_is_closed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).expect("a link can be made");
        assert!(Root::open(&link).is_err());
        let file = directory.path().join("file");
        fs::write(&file, "").expect("it can be written");
        let refused = Root::open(&file).expect_err("it is a file");
        assert_eq!(refused.to_string(), "it is no directory");
        let open = directory.path().join("open");
        fs::create_dir(&open).expect("it can be made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
        Root::open(&open).expect("it is ours");
        assert_eq!(fs::metadata(&open).expect("it is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn directory_that_holds_something_else_is_left_as_it_is() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let open = directory.path().join("open");
        fs::create_dir(&open).expect("it can be made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o755)).expect("it is ours");
        fs::write(open.join("a file"), "of the user").expect("it can be written");
        let refused = Root::open(&open).expect_err("it holds something else");
        assert!(refused.to_string().contains("a directory of its own"), "{refused}");
        assert_eq!(fs::metadata(&open).expect("it is there").mode() & 0o777, 0o755);
        // A spool is closed all the same.
        fs::write(open.join(KEY), [1; 32]).expect("it can be written");
        Root::open(&open).expect("it is a spool");
        assert_eq!(fs::metadata(&open).expect("it is there").mode() & 0o777, 0o700);
    }
}
