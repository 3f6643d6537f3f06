//! Where the parts of a directory go that cannot be read, before the directory is removed.
//!
//! `<root>/quarantine/` holds the newest 16 MiB of them, in files named by time, process, file and place.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::directory::{self, ProcessDir};

const DIRECTORY: &str = "quarantine";
/// Bytes that are kept at most.
pub(crate) const MOST_BYTES: u64 = 16 << 20;

/// Keeps the bytes that stand at `offset` of a file. Zeroes at their end are left out, and what is over the limit.
pub(crate) fn keep(process: &ProcessDir, file: &str, offset: usize, bytes: &[u8]) -> io::Result<()> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let bytes = &bytes[..end.min(MOST_BYTES as usize)];
    if bytes.is_empty() {
        return Ok(());
    }
    let root = process.path().parent().unwrap_or_else(|| Path::new("."));
    let directory = root.join(DIRECTORY);
    DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
    make_room(&directory, bytes.len() as u64)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let name = format!("{:020}-{}-{file}-{offset}", now.as_nanos(), process.name());
    directory::write_file(&directory.join(name), bytes)?;
    Ok(())
}

/// Removes the oldest files until there is room for `wanted` bytes more.
fn make_room(directory: &Path, wanted: u64) -> io::Result<()> {
    let mut kept = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        kept.push((entry.file_name(), entry.metadata()?.len()));
    }
    // Names sort by time.
    kept.sort();
    let mut bytes = wanted + kept.iter().map(|(_, len)| len).sum::<u64>();
    for (name, len) in kept {
        if bytes <= MOST_BYTES {
            break;
        }
        fs::remove_file(directory.join(name))?;
        bytes -= len;
    }
    Ok(())
}
