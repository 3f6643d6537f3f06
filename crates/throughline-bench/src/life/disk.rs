//! What short processes leave on disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::case::Figure;
use super::new_root;
use super::role::{Role, Setting};

const PROCESSES: u32 = 300;

/// What each process after the first has added.
pub const PER_PROCESS: &str = "disk, KiB that a further one-span process adds";

/// Runs processes of one span, one after another in one root.
///
/// # Errors
///
/// If a process fails or the root cannot be read.
pub fn run(home: &Path) -> io::Result<Vec<Figure>> {
    let root = new_root(home, "disk")?;
    let setting = Setting {
        root: Some(root.clone()),
        ..Setting::default()
    };
    Role::OneSpan.ask(&setting)?;
    let one = kib_of(&root)?;
    for _ in 1..PROCESSES {
        Role::OneSpan.ask(&setting)?;
    }
    let all = kib_of(&root)?;
    let figure = |what, value| Figure { what, value };
    Ok(vec![
        figure("disk, KiB of the root after 1 one-span process", one),
        figure("disk, KiB of the root after 300 one-span processes", all),
        figure(PER_PROCESS, (all - one) / f64::from(PROCESSES - 1)),
    ])
}

/// What a directory with all that is in it takes on disk.
pub(super) fn kib_of(directory: &Path) -> io::Result<f64> {
    Ok(blocks_of(directory)? as f64 / 2.0)
}

/// In blocks of 512 bytes, which is what the system counts in, whatever the file system does.
fn blocks_of(path: &Path) -> io::Result<u64> {
    let metadata = fs::symlink_metadata(path)?;
    let mut blocks = metadata.blocks();
    if metadata.is_dir() {
        for entry in fs::read_dir(path)? {
            blocks += blocks_of(&entry?.path())?;
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_takes_what_its_files_take_and_holes_nothing() {
        let home = tempfile::tempdir().expect("the system's temporary directory is writable");
        fs::create_dir(home.path().join("inner")).expect("writable");
        let before = kib_of(home.path()).expect("readable");
        let written = fs::File::create(home.path().join("inner/written")).expect("writable");
        io::Write::write_all(&mut &written, &[7; 64 << 10]).expect("writable");
        // Some file systems give a file its blocks only on the way to the disk.
        written.sync_all().expect("writable");
        let sparse = fs::File::create(home.path().join("sparse")).expect("writable");
        sparse.set_len(1 << 30).expect("writable");
        let taken = kib_of(home.path()).expect("readable") - before;
        assert!((64.0..1024.0).contains(&taken), "{taken}");
    }
}
