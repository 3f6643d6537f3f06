//! Keeps all files of a directory together below a size: the oldest go first.

use std::io;
use std::time::SystemTime;

use throughline_spool::system::Directory;

use super::append::Lock;
use super::names;

/// What a file takes on the disk at least, and in steps of.
const BLOCK: u64 = 4096;

/// Knows how much lies in the directory, roughly: others write there too.
pub(super) struct Cap {
    most: u64,
    /// When it was last looked.
    found: Option<u64>,
    /// By this process since then.
    written: u64,
}

/// A file that may be removed.
struct Old {
    /// `None`: in the directory itself.
    day: Option<String>,
    name: String,
    bytes: u64,
    changed: SystemTime,
}

impl Cap {
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            found: None,
            written: 0,
        }
    }

    /// So many bytes are about to be written: removes the oldest files if there would be too many, and says how many.
    ///
    /// What others write is seen when this process has written a sixteenth of the most.
    pub(super) fn make_room(&mut self, directory: &Directory, wanted: u64) -> io::Result<u64> {
        // As if it were a file of its own.
        let wanted = wanted.next_multiple_of(BLOCK);
        self.written += wanted;
        let is_known = self.found.is_some_and(|found| found + self.written <= self.most);
        if is_known && self.written < self.most / 16 {
            return Ok(0);
        }
        let mut files = list(directory)?;
        let mut bytes = wanted + files.iter().map(|file| file.bytes).sum::<u64>();
        let mut removed = 0;
        if bytes > self.most {
            // Not for each line again.
            let goal = self.most - self.most / 16;
            files.sort_by_key(|file| file.changed);
            for file in files {
                if bytes <= goal {
                    break;
                }
                if remove(directory, &file) {
                    bytes -= file.bytes;
                    removed += 1;
                }
            }
        }
        (self.found, self.written) = (Some(bytes), 0);
        Ok(removed)
    }
}

/// Everything that is ours by its name.
fn list(directory: &Directory) -> io::Result<Vec<Old>> {
    let mut files = Vec::new();
    for name in directory.names()? {
        if names::is_of_process(&name) {
            files.extend(look(directory, None, name));
        } else if names::is_day(&name) {
            let Ok(day) = directory.child(&name) else { continue };
            for file in day.names()? {
                if names::trace_id(&file).is_some() {
                    files.extend(look(&day, Some(&name), file));
                }
            }
        }
    }
    Ok(files)
}

/// `None`: somebody else has removed it.
fn look(directory: &Directory, day: Option<&str>, name: String) -> Option<Old> {
    let seen = directory.look(&name).ok()?;
    Some(Old {
        day: day.map(str::to_owned),
        name,
        bytes: seen.len.next_multiple_of(BLOCK),
        changed: seen.modified,
    })
}

/// Whether it is gone. One that somebody appends to at this moment stays, and so does what is no file of ours but for its name.
fn remove(directory: &Directory, file: &Old) -> bool {
    let child;
    let parent = match &file.day {
        None => directory,
        Some(day) => match directory.child(day) {
            Ok(found) => {
                child = found;
                &child
            }
            Err(error) => return error.kind() == io::ErrorKind::NotFound,
        },
    };
    let is_gone = match parent.read(&file.name) {
        Ok(open) => Lock::at_once(&open).is_some_and(|_lock| parent.remove_file(&file.name).is_ok()),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if let (Some(day), true) = (&file.day, is_gone) {
        directory.remove_empty(day);
    }
    is_gone
}
