//! Appends one line to a file that other processes append to as well.

use std::fs::File;
use std::io::{self, Write};
use std::time::Duration;

use throughline_spool::system::{is_removed, read_at, try_lock, unlock};

/// A line with its end, and a line break in front for where somebody has left half a line.
pub(super) struct Line<'a>(&'a [u8]);

impl<'a> Line<'a> {
    /// `bytes` begins and ends with a line break, and holds no other.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        debug_assert!(bytes.len() >= 2 && bytes.starts_with(b"\n") && bytes.ends_with(b"\n"));
        Self(bytes)
    }

    pub(super) fn len(&self) -> u64 {
        self.0.len() as u64 - 1
    }
}

/// What became of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Appended {
    Written,
    /// The file has no room for it below `limit`.
    Full,
    /// Somebody has removed the file since it was opened.
    Removed,
}

/// Appends `line` by one write, unless the file would then be longer than `limit`; an empty one takes any.
///
/// A process that was killed, or a disk that was full, may have left half a line: what is appended begins on a line of its own.
pub(super) fn append(file: &File, line: &Line<'_>, limit: u64) -> io::Result<Appended> {
    let lock = Lock::of(file);
    if is_removed(file)? {
        return Ok(Appended::Removed);
    }
    let size = file.metadata()?.len();
    if size > 0 && size + line.len() > limit {
        return Ok(Appended::Full);
    }
    // Without the lock somebody may be writing the rest of that line at this moment.
    let is_torn = lock.is_some() && size > 0 && {
        let mut last = [0];
        read_at(file, &mut last, size - 1)?;
        last != *b"\n"
    };
    let bytes = if is_torn { line.0 } else { &line.0[1..] };
    let mut written = 0;
    while written < bytes.len() {
        match (&*file).write(&bytes[written..]) {
            Ok(more) if more > 0 => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                take_back(file, lock.is_some(), size, written as u64);
                return Err(failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
            }
        }
    }
    Ok(Appended::Written)
}

/// Removes the half of a line that this process has just written behind `size`, so that each line is whole, where it is certain that
/// nobody else has appended to it. Else the next one that appends begins with a line break.
fn take_back(file: &File, is_locked: bool, size: u64, written: u64) {
    let is_last = || file.metadata().is_ok_and(|seen| seen.len() == size + written);
    if written > 0 && is_locked && is_last() {
        let _stays_torn = file.set_len(size);
    }
}

/// Held while one process appends to a file, or removes it.
pub(super) struct Lock<'a>(&'a File);

impl<'a> Lock<'a> {
    /// `None` where there are no locks, or somebody does not let go: lines are appended all the same, each by one write.
    pub(super) fn of(file: &'a File) -> Option<Self> {
        const ATTEMPTS: u32 = 100;
        for _ in 0..ATTEMPTS {
            match try_lock(file) {
                Ok(true) => return Some(Self(file)),
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return None,
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
        None
    }

    /// Without waiting for anybody.
    pub(super) fn at_once(file: &'a File) -> Option<Self> {
        try_lock(file).is_ok_and(|is_ours| is_ours).then(|| Self(file))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Not by closing the file: a child that was forked meanwhile has it open too.
        let _ = unlock(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};

    use super::*;

    fn appended_to(before: &str, line: &str, limit: u64) -> (Appended, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, before).unwrap();
        let file = OpenOptions::new().read(true).append(true).open(&path).unwrap();
        let bytes = format!("\n{line}\n");
        let appended = append(&file, &Line::new(bytes.as_bytes()), limit).unwrap();
        (appended, fs::read_to_string(&path).unwrap())
    }

    #[test]
    fn line_is_appended_whole_and_on_a_line_of_its_own() {
        for (before, limit, expected) in [
            ("", 100, (Appended::Written, "new\n")),
            ("old\n", 100, (Appended::Written, "old\nnew\n")),
            ("torn", 100, (Appended::Written, "torn\nnew\n")),
            ("old\n", 8, (Appended::Written, "old\nnew\n")),
            ("old\n", 7, (Appended::Full, "old\n")),
            ("", 1, (Appended::Written, "new\n")),
        ] {
            let (appended, text) = appended_to(before, "new", limit);
            assert_eq!((appended, &*text), expected, "{before:?} {limit}");
        }
    }

    #[test]
    fn removed_file_takes_no_line() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(append(&file, &Line::new(b"\nx\n"), 10).unwrap(), Appended::Removed);
    }

    #[test]
    fn lock_that_is_never_given_back_holds_nobody_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let open = || {
            OpenOptions::new()
                .read(true)
                .append(true)
                .create(true)
                .open(&path)
                .unwrap()
        };
        let (stopped, file) = (open(), open());
        let lock = Lock::of(&stopped).expect("nobody has it");
        assert_eq!(append(&file, &Line::new(b"\nx\n"), 10).unwrap(), Appended::Written);
        drop(lock);
        assert!(Lock::at_once(&file).is_some());
    }
}
