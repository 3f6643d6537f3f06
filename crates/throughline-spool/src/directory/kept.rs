//! Directories in which the newest of something are kept: refused payloads, and bytes that could not be read.

use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::files::{Files, How, random_name};

/// Bytes that each such directory holds at most.
pub(crate) const MOST_BYTES: u64 = 16 << 20;
/// Files that each such directory holds at most: all of them are looked at for each that is added.
const MOST_FILES: usize = 256;
/// Where the parts go that cannot be read, before what they lie in is removed.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Keeps bytes in a file of this extension, and removes the oldest files until all have `most` bytes. Returns the file's name.
pub(crate) fn keep(
    files: &dyn Files,
    directory: &Path,
    extension: &str,
    bytes: &[u8],
    most: u64,
) -> io::Result<String> {
    match files.create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    make_room(files, directory, bytes.len() as u64, most)?;
    let now = files.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Names sort by time.
    let name = format!("{:020}-{}.{extension}", now.as_nanos(), random_name()?);
    files.open(&directory.join(&name), How::New)?.write_at(bytes, 0)?;
    Ok(name)
}

/// Keeps bytes that nothing can be made of. Zeroes at their end are left out, and what is over the limit.
pub(crate) fn quarantine(files: &dyn Files, root: &Path, bytes: &[u8]) -> io::Result<()> {
    let bytes = without_zeroes(bytes);
    let bytes = &bytes[..bytes.len().min(MOST_BYTES as usize)];
    if bytes.is_empty() {
        return Ok(());
    }
    keep(files, &root.join(QUARANTINE), "bytes", bytes, MOST_BYTES).map(drop)
}

/// The bytes before the zeroes at their end.
pub(crate) fn without_zeroes(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Removes the oldest files until there is room for one more, of `wanted` bytes.
fn make_room(files: &dyn Files, directory: &Path, wanted: u64, most: u64) -> io::Result<()> {
    let mut names = Vec::new();
    files.entries(directory, &mut |name, _| {
        names.push(name.to_owned());
        true
    })?;
    names.sort();
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        // Somebody else may have removed it.
        if let Ok(seen) = files.look(&directory.join(&name)) {
            kept.push((name, seen.len));
        }
    }
    let mut bytes = wanted + kept.iter().map(|(_, len)| len).sum::<u64>();
    let mut count = kept.len() + 1;
    for (name, len) in kept {
        if bytes <= most && count <= MOST_FILES {
            break;
        }
        count -= 1;
        match files.remove_file(&directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => bytes -= len,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::os::files;

    #[test]
    fn newest_files_are_kept_up_to_a_number_and_a_size() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let kept = || {
            let entries = std::fs::read_dir(directory.path()).expect("it is there");
            let mut lens: Vec<_> = entries
                .map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is there").len())
                .collect();
            lens.sort_unstable();
            lens
        };
        for len in 1..=MOST_FILES + 3 {
            keep(&*files(), directory.path(), "bytes", &vec![1; len], MOST_BYTES).expect("there is room");
        }
        let expected: Vec<_> = (4..=MOST_FILES as u64 + 3).collect();
        assert_eq!(kept(), expected, "the oldest were the shortest");
        keep(
            &*files(),
            directory.path(),
            "bytes",
            &vec![1; MOST_BYTES as usize],
            MOST_BYTES,
        )
        .expect("there is room");
        assert_eq!(kept(), [MOST_BYTES]);
    }
}
