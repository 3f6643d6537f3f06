//! A private directory for the spool and the home of a test's programs.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::{env, io};

use tempfile::TempDir;

/// A fresh directory, open to nobody else, removed with all it holds when this is dropped.
///
/// It lies below `tmp` of Cargo's target directory when a test of Cargo's runs, so on the disk rather
/// than in a memory file system; otherwise (documentation tests) in the system's temporary directory.
///
/// ```
/// let spool = throughline_testkit::Spool::new()?;
/// assert_eq!(std::fs::read_dir(spool.path())?.count(), 0);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Spool {
    directory: TempDir,
}

impl Spool {
    /// Makes the directory, mode 0700.
    ///
    /// # Errors
    ///
    /// Those of making a directory.
    pub fn new() -> io::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder
            .prefix("throughline-")
            .permissions(Permissions::from_mode(0o700));
        let directory = match target_tmp() {
            Some(parent) => {
                fs::create_dir_all(&parent)?;
                builder.tempdir_in(parent)?
            }
            None => builder.tempdir()?,
        };
        let spool = Self { directory };
        for path in [spool.home(), spool.path()] {
            DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        }
        Ok(spool)
    }

    /// The spool's root, empty at first: where a program with [`Spool::state_home`] as its
    /// `XDG_STATE_HOME` keeps its spool by default.
    pub fn path(&self) -> PathBuf {
        self.state_home().join("throughline")
    }

    /// What a [`Program`](crate::Program) gets as `XDG_STATE_HOME`.
    pub fn state_home(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    /// What a [`Program`](crate::Program) gets as `HOME`.
    pub fn home(&self) -> PathBuf {
        self.directory.path().join("home")
    }
}

/// `target/tmp`, found from the running test program `target/<profile>/deps/<test>`, because Cargo
/// tells it (`CARGO_TARGET_TMPDIR`) only to the compiler and only for the crate under test.
fn target_tmp() -> Option<PathBuf> {
    let profile = profile_directory()?;
    Some(profile.parent()?.join("tmp"))
}

/// The directory Cargo builds this test's profile into, such as `target/debug`.
pub(crate) fn profile_directory() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let deps = program.parent()?;
    let in_deps = deps.file_name()? == "deps";
    in_deps.then(|| deps.parent().map(Path::to_path_buf))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spool_is_private_and_gone_after_its_test() {
        let (one, other) = (Spool::new().unwrap(), Spool::new().unwrap());
        assert_ne!(one.path(), other.path());
        let top = one.directory.path().to_owned();
        for path in [&top, &one.path()] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(one.path().join("segment"), b"x").unwrap();
        drop(one);
        assert!(!top.exists());
        assert!(other.path().exists());
    }
}
