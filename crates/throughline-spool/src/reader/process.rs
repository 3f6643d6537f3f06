//! Reading the directory of one process, while it may write on.

use std::collections::HashSet;
use std::io;

use crate::directory::{LONGEST_FILE, Life, ProcessDir, SLOTS};
use crate::files::{How, SharedFile, read_all, read_full};
use crate::format::header::UNIT;
use crate::format::manifest::Manifest;
use crate::format::recovery::{self, Segments};
use crate::format::slot;
use crate::platform;
use crate::store::ledger::Counts;
use crate::store::{LEDGER, SEGMENTS};

use super::reading::Reading;

/// A directory is listed again until nothing new is there, but no more often than this.
const ROUNDS: usize = 16;
/// What looks damaged while its process lives may be in the middle of being written: it is read again.
const TRIES: usize = 3;
/// A slot that changes while it is read is read again.
const LOOKS: usize = 8;

impl Reading<'_> {
    /// Reads what a process has written and what it has open.
    pub fn read_process(&mut self, directory: &ProcessDir) {
        if let Err(error) = self.try_to_read_process(directory) {
            // Somebody may have archived it since it was listed.
            if self.files.look(directory.path()).is_ok() {
                self.report(directory.path(), &error);
            }
        }
    }

    fn try_to_read_process(&mut self, directory: &ProcessDir) -> io::Result<()> {
        let manifest = match directory.manifest() {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Err(error),
            // The spans can be shown all the same.
            Err(error) => {
                self.files.look(directory.path())?;
                self.report(directory.path(), &format_args!("its manifest: {error}"));
                Manifest::default()
            }
        };
        let life = directory.life();
        let name = directory.name();
        self.process(name, directory.path(), life, &manifest);
        if let Some(report) = self.report_of(name) {
            report.dropped = Counts::from_bytes(&directory.read(LEDGER).unwrap_or_default()).dropped();
        }
        // Slots of another boot are what happened to be written back.
        if life == Life::Living || platform::is_this_boot(&manifest.owner.boot_id) {
            self.read_slots(directory, life)?;
        }
        // After the slots: a span that ends meanwhile is seen twice rather than not at all.
        self.read_segments(directory, life)
    }

    fn read_slots(&mut self, directory: &ProcessDir, life: Life) -> io::Result<()> {
        for file_name in directory.numbered(SLOTS)? {
            let path = directory.path().join(&file_name);
            let read = self.files.open(&path, How::Read).and_then(|file| {
                let bytes = read_all(&*file, LONGEST_FILE)?;
                Ok((file, bytes))
            });
            let (file, bytes) = match read {
                Ok(read) => read,
                // Archived since it was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.report(&path, &error);
                    continue;
                }
            };
            for (number, bytes) in bytes.chunks_exact(slot::LEN).enumerate() {
                if slot::read(bytes).is_none() {
                    continue;
                }
                let settled = match life {
                    Life::Dead => bytes.to_vec(),
                    Life::Living => read_until_it_stays(&file, bytes, number)?,
                };
                if let Some(seen) = slot::read(&settled) {
                    if let Some(process) = self.seen(directory.name()) {
                        process.open.add_one(&seen);
                    }
                }
            }
        }
        Ok(())
    }

    fn read_segments(&mut self, directory: &ProcessDir, life: Life) -> io::Result<()> {
        let mut read = HashSet::new();
        let (mut torn, mut bytes) = (0, 0);
        for _ in 0..ROUNDS {
            let mut is_new = false;
            for name in directory.numbered(SEGMENTS)? {
                if !read.insert(name.clone()) {
                    continue;
                }
                is_new = true;
                match read_file(directory, &name, life) {
                    Ok((content, segments)) => {
                        let added = self.add_file(directory, &content, &segments);
                        (torn, bytes) = (torn + added.0, bytes + added.1);
                    }
                    // Evicted, or archived.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => self.report(&directory.path().join(name), &error),
                }
            }
            // A process may go on to a new file while the others are read.
            if !is_new {
                break;
            }
        }
        if torn > 0 {
            let text = format!("damaged: {bytes} bytes in all, places: {torn}; the rest was read");
            self.report(directory.path(), &text);
        }
        if let Some(report) = self.report_of(directory.name()) {
            report.torn += torn;
        }
        Ok(())
    }

    fn add_file(&mut self, directory: &ProcessDir, bytes: &[u8], segments: &Segments) -> (u64, usize) {
        let mut torn = segments.damaged.len() as u64;
        let mut torn_bytes: usize = segments.damaged.iter().map(ExactSizeIterator::len).sum();
        for placed in &segments.placed {
            let added = self.add_segment(directory.name(), &bytes[placed.range.clone()], &placed.header);
            torn += added.0;
            torn_bytes += added.1;
        }
        (torn, torn_bytes)
    }
}

/// Reads a slot of a living process until two looks show the same, so that no half of a change is taken.
pub(super) fn read_until_it_stays(file: &SharedFile, first: &[u8], number: usize) -> io::Result<Vec<u8>> {
    let mut last = first.to_vec();
    for _ in 0..LOOKS {
        let mut again = vec![0; slot::LEN];
        let read = read_full(&**file, &mut again, (number * slot::LEN) as u64)?;
        again.truncate(read);
        if again == last {
            break;
        }
        // One that never rests is shown as it was seen last, as far as its fields are whole.
        last = again;
    }
    Ok(last)
}

fn read_file(directory: &ProcessDir, name: &str, life: Life) -> io::Result<(Vec<u8>, Segments)> {
    let mut tries = if life == Life::Living { TRIES } else { 1 };
    loop {
        let bytes = directory.read(name)?;
        let segments = recovery::segments(&bytes, UNIT);
        tries -= 1;
        let is_whole = || {
            segments.placed.iter().all(|placed| {
                let mut records = recovery::records(&bytes[placed.range.clone()], placed.header.generation, 0);
                records.by_ref().for_each(drop);
                records.torn().is_empty()
            })
        };
        if tries == 0 || segments.damaged.is_empty() && is_whole() {
            return Ok((bytes, segments));
        }
    }
}
