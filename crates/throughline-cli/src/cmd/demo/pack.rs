//! Packing a directory into a tar archive, and telling what is in one.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

/// What is packed at most.
pub const MAX_BYTES: u64 = 64 << 20;
pub const MAX_FILES: usize = 20_000;
/// Directory entries that are looked at, at most: a demo of a home directory ends too.
const MAX_ENTRIES: usize = 100_000;
/// What a build or a version control system makes is not worth the time.
const SKIPPED: [&str; 2] = [".git", "target"];

/// The contents of an archive: a hash for each file.
pub type Contents = BTreeMap<PathBuf, [u8; 32]>;

/// What was packed.
#[derive(Debug, Default)]
pub struct Packed {
    pub contents: Contents,
    pub bytes: u64,
    /// Files beyond the limits, and such as cannot be read.
    pub left_out: usize,
    /// Whether there was more than was looked at.
    pub is_cut_short: bool,
}

/// Writes the regular files below a directory as a tar archive, in the order of their names.
pub fn pack(directory: &Path, out: impl Write) -> io::Result<Packed> {
    let mut archive = tar::Builder::new(out);
    let (files, is_cut_short) = files(directory, MAX_ENTRIES)?;
    let mut packed = Packed {
        is_cut_short,
        ..Packed::default()
    };
    for path in files {
        let Ok(name) = path.strip_prefix(directory) else {
            continue;
        };
        let is_room = packed.contents.len() < MAX_FILES;
        let Some(content) = is_room.then(|| read(&path, MAX_BYTES - packed.bytes)).flatten() else {
            packed.left_out += 1;
            continue;
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, name, content.as_slice())?;
        packed.bytes += content.len() as u64;
        packed.contents.insert(name.to_owned(), hash(&content));
    }
    archive.into_inner()?.flush()?;
    Ok(packed)
}

/// What an archive contains.
pub fn contents(archive: impl Read) -> io::Result<Contents> {
    let mut contents = Contents::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        contents.insert(name, hash(&content));
    }
    Ok(contents)
}

/// The regular files below a directory, sorted, and whether there are more: only so many entries are looked at. Links are
/// not followed.
fn files(directory: &Path, most: usize) -> io::Result<(Vec<PathBuf>, bool)> {
    let mut found = Vec::new();
    let mut waiting = VecDeque::from([directory.to_owned()]);
    let mut looked_at = 0;
    // Breadth first: what lies near the top is packed, whatever is below.
    while let Some(at) = waiting.pop_front() {
        let entries = match fs::read_dir(&at) {
            Err(error) if at == directory => return Err(error),
            Err(_) => continue,
            Ok(entries) => entries,
        };
        for entry in entries.flatten() {
            if looked_at == most {
                found.sort();
                return Ok((found, true));
            }
            looked_at += 1;
            match entry.file_type() {
                Ok(kind) if kind.is_file() => found.push(entry.path()),
                Ok(kind) if kind.is_dir() && !SKIPPED.iter().any(|name| entry.file_name() == *name) => {
                    waiting.push_back(entry.path());
                }
                _ => {}
            }
        }
    }
    found.sort();
    Ok((found, false))
}

/// A file's content, if it can be read and is no longer than that.
fn read(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    if file.metadata().ok()?.len() > limit {
        return None;
    }
    let mut content = Vec::new();
    // It may have grown meanwhile: one byte more than allowed tells.
    file.take(limit + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= limit).then_some(content)
}

fn hash(content: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, content).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archive_contains_what_was_packed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        for folder in ["a/b", "target", "a/.git"] {
            fs::create_dir_all(path.join(folder)).unwrap();
            fs::write(path.join(folder).join("file"), folder).unwrap();
        }
        fs::write(path.join("ünïcode"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
        std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        let mut archive = Vec::new();
        let packed = pack(path, &mut archive).unwrap();
        let names: Vec<_> = packed.contents.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["a/b/file", "ünïcode"]);
        assert_eq!((packed.bytes, packed.left_out), (3, 0));
        assert_eq!(contents(archive.as_slice()).unwrap(), packed.contents);
    }

    #[test]
    fn walk_ends_after_so_many_entries_and_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir_all(path.join("deep/deeper")).unwrap();
        for name in ["deep/deeper/a", "deep/b", "c", "d"] {
            fs::write(path.join(name), "").unwrap();
        }
        for (most, found, is_cut_short) in [(0, 0, true), (5, 3, true), (6, 4, false), (7, 4, false)] {
            let (files, is_cut) = files(path, most).unwrap();
            assert_eq!((files.len(), is_cut), (found, is_cut_short), "{most}: {files:?}");
        }
    }

    #[test]
    fn file_that_is_too_long_is_left_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "1234").unwrap();
        assert_eq!(read(file.path(), 4).unwrap(), b"1234");
        assert_eq!(read(file.path(), 3), None);
        assert_eq!(read(Path::new("/no/such/file"), 3), None);
    }
}
