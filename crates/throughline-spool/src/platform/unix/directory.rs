//! A directory of this user's, in which files are opened by name and no link is followed.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::platform::Listed;

/// An open directory. What is done in it is done in this one, whatever becomes of its path meanwhile.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

impl Directory {
    /// Opens it, and makes it with mode 0700 if there is none.
    pub fn make(path: &Path) -> io::Result<Self> {
        // A slash at the end would have a link followed.
        let path: PathBuf = path.components().collect();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        match rustix::fs::open(&path, DIRECTORY, Mode::empty()) {
            Ok(fd) => Self::checked(fd),
            Err(Errno::NOENT) => Err(made.err().unwrap_or_else(|| Errno::NOENT.into())),
            Err(error) => Err(refusal(error)),
        }
    }

    /// One below it.
    pub fn make_child(&self, name: &str) -> io::Result<Self> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        self.child(name)
    }

    /// One below it that is there already.
    pub fn child(&self, name: &str) -> io::Result<Self> {
        let opened = rustix::fs::openat(&self.fd, name, DIRECTORY, Mode::empty());
        Self::checked(opened.map_err(refusal)?)
    }

    fn checked(fd: OwnedFd) -> io::Result<Self> {
        let seen = rustix::fs::fstat(&fd)?;
        check_owner(&seen)?;
        if Mode::from_raw_mode(seen.st_mode).contains(Mode::WOTH) {
            return Err(io::Error::other(
                "everybody may write to it: name a directory of your own",
            ));
        }
        Ok(Self { fd })
    }

    /// Opens a file to append to, and makes it with mode 0600 if there is none.
    pub fn append(&self, name: &str) -> io::Result<File> {
        let file = self.open(name, OFlags::RDWR | OFlags::APPEND | OFlags::CREATE)?;
        if file.metadata()?.mode() & 0o077 != 0 {
            rustix::fs::fchmod(&file, Mode::RUSR | Mode::WUSR)?;
        }
        Ok(file)
    }

    /// Opens a file that is there already.
    pub fn read(&self, name: &str) -> io::Result<File> {
        self.open(name, OFlags::RDONLY)
    }

    fn open(&self, name: &str, how: OFlags) -> io::Result<File> {
        // Not to wait for the other end of a pipe that somebody has put there.
        let how = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::openat(&self.fd, name, how, mode).map_err(refusal)?;
        let seen = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(seen.st_mode) != FileType::RegularFile {
            return Err(io::Error::other(format!("{name} in it is no file")));
        }
        check_owner(&seen)?;
        Ok(File::from(fd))
    }

    /// Removes a file in it.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::empty())?)
    }

    /// Removes a directory in it, unless there is something in that.
    pub fn remove_empty(&self, name: &str) {
        let _is_not_empty = rustix::fs::unlinkat(&self.fd, name, rustix::fs::AtFlags::REMOVEDIR);
    }

    /// The names in it.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = rustix::fs::Dir::read_from(&self.fd)?;
        let names = entries.filter_map(|entry| match entry {
            Ok(entry) => entry.file_name().to_str().ok().map(|name| Ok(name.to_owned())),
            Err(error) => Some(Err(error.into())),
        });
        names.collect()
    }

    /// What is known of a file in it; of a link itself.
    pub fn look(&self, name: &str) -> io::Result<Listed> {
        let seen = rustix::fs::statat(&self.fd, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
        let seconds = u64::try_from(seen.st_mtime).unwrap_or(0);
        let nanos = u32::try_from(seen.st_mtime_nsec).unwrap_or(0);
        Ok(Listed {
            len: u64::try_from(seen.st_size).unwrap_or(0),
            modified: UNIX_EPOCH + Duration::new(seconds, nanos),
        })
    }
}

fn check_owner(seen: &Stat) -> io::Result<()> {
    let me = rustix::process::geteuid().as_raw();
    match seen.st_uid {
        user if user == me => Ok(()),
        user => Err(io::Error::other(format!("it belongs to user {user}, not to user {me}"))),
    }
}

/// In the user's words.
fn refusal(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::other("it is a symbolic link, which is not followed"),
        Errno::NOTDIR => io::Error::other("it is no directory, or a symbolic link, which is not followed"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn directory_and_files_are_this_users_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("a/b");
        let directory = Directory::make(&path).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(&temporary.path().join("a"))), (0o700, 0o700));
        fs::write(path.join("open"), "x").unwrap();
        fs::set_permissions(path.join("open"), fs::Permissions::from_mode(0o644)).unwrap();
        for name in ["new", "open"] {
            directory.append(name).unwrap();
            assert_eq!(mode(&path.join(name)), 0o600, "{name}");
        }
        assert_eq!(fs::read(path.join("open")).unwrap(), b"x");
    }

    #[test]
    fn link_pipe_and_what_others_may_write_are_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |name: &str| temporary.path().join(name);
        let directory = Directory::make(&at("real")).unwrap();
        symlink(at("real"), at("link")).unwrap();
        symlink(at("elsewhere"), at("real/link")).unwrap();
        fs::write(at("file"), "").unwrap();
        let no_directory = "it is no directory, or a symbolic link, which is not followed";
        for (path, expected) in [
            (at("link"), no_directory),
            (at("link/"), no_directory),
            (at("file"), no_directory),
        ] {
            let refused = Directory::make(&path).expect_err("it is refused").to_string();
            assert_eq!(refused, expected, "{path:?}");
        }
        let refused = directory.append("link").expect_err("it is a link").to_string();
        assert_eq!(refused, "it is a symbolic link, which is not followed");
        assert!(!at("elsewhere").exists());
        assert!(directory.child("link").is_err());
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("real/pipe"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        let refused = directory.append("pipe").expect_err("it is a pipe").to_string();
        assert_eq!(refused, "pipe in it is no file");
        fs::set_permissions(at("real"), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Directory::make(&at("real")).is_err());
    }
}
