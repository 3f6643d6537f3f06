//! What thousands of processes have left behind that have died, without running as many.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::new_root;
use super::role::{Role, Setting};

/// Directories of processes that really ran, to be copied.
#[derive(Debug)]
pub struct Originals(Vec<PathBuf>);

impl Originals {
    /// Runs so many processes that make one span each, in roots of their own, so that none clears away after another.
    ///
    /// # Errors
    ///
    /// If a process fails or leaves nothing to copy.
    pub fn make(home: &Path, count: usize) -> io::Result<Self> {
        let mut found = Vec::with_capacity(count);
        for number in 0..count {
            let root = new_root(home, &format!("original-{number}"))?;
            Role::OneSpan.ask(&Setting {
                root: Some(root.clone()),
                ..Setting::default()
            })?;
            let names = fs::read_dir(root)?.collect::<io::Result<Vec<_>>>()?;
            found.extend(
                names
                    .into_iter()
                    .map(|entry| entry.path())
                    .filter(|path| renamed(path, 0).is_some()),
            );
        }
        match found.is_empty() {
            true => Err(io::Error::other(
                "a process that ended has left no directory by a name that is known here",
            )),
            false => Ok(Self(found)),
        }
    }

    /// Copies them into a root until there are so many; those that were removed since are copied again.
    ///
    /// # Errors
    ///
    /// If files cannot be copied.
    pub fn fill(&self, root: &Path, count: usize) -> io::Result<()> {
        let present = fs::read_dir(root)?
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<HashSet<OsString>>>()?;
        for (number, original) in (0..count).zip(self.0.iter().cycle()) {
            if let Some(name) = renamed(original, number)
                && !present.contains(&name)
            {
                copy_directory(original, &root.join(name))?;
            }
        }
        Ok(())
    }
}

/// The name of copy `number`; none if this is not a process's directory.
///
/// The only place that knows these names: something, a hyphen, and 16 hexadecimal digits, which are the copy's number.
fn renamed(original: &Path, number: usize) -> Option<OsString> {
    let (something, random) = original.file_name()?.to_str()?.rsplit_once('-')?;
    let is_process = random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_process.then(|| format!("{something}-{number:016x}").into())
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            copy_file(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Copies a file, leaving out the pages that are zero: a spool's files are mostly that.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    const PAGE: usize = 4096;
    let bytes = fs::read(from)?;
    let copy: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    copy.set_len(bytes.len() as u64)?;
    for (number, page) in bytes.chunks(PAGE).enumerate() {
        if page.iter().any(|byte| *byte != 0) {
            copy.write_all_at(page, (number * PAGE) as u64)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_process_directories_have_names_for_copies() {
        let name = |name: &str| renamed(Path::new(name), 26);
        assert_eq!(name("/spool/17-0123456789abcdef"), Some("17-000000000000001a".into()));
        for other in ["/spool/key", "/spool/.new-17", "/spool/17-0123", "/"] {
            assert_eq!(name(other), None, "{other}");
        }
    }

    #[test]
    fn copies_are_equal_and_replaced_when_they_are_gone() {
        let home = tempfile::tempdir().expect("the system's temporary directory is writable");
        let original = home.path().join("17-0123456789abcdef");
        fs::create_dir(&original).expect("writable");
        let bytes = [vec![0; 10_000], vec![7; 100]].concat();
        fs::write(original.join("chunk"), &bytes).expect("writable");
        let root = new_root(home.path(), "root").expect("writable");
        let originals = Originals(vec![original]);

        originals.fill(&root, 3).expect("writable");
        fs::remove_dir_all(root.join("17-0000000000000001")).expect("it is there");
        originals.fill(&root, 3).expect("writable");
        assert_eq!(fs::read_dir(&root).expect("readable").count(), 3);
        for number in 0..3 {
            let copy = root.join(format!("17-{number:016x}")).join("chunk");
            assert_eq!(fs::read(copy).expect("it is there"), bytes);
        }
    }
}
