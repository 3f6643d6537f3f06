//! Reading the archive: what processes have left whose directories are gone.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use crate::archive::file::{self, Kind, Name};
use crate::archive::walk::{Step, Walk};
use crate::directory::Life;
use crate::files::{How, SharedFile};
use crate::format::manifest::Manifest;

use super::reading::Reading;

/// The archive is listed again until nothing new is there, but no more often than this.
const ROUNDS: usize = 16;

impl Reading<'_> {
    /// Reads all files of an archive.
    pub fn read_archive(&mut self, archive: &Path) {
        let mut read = HashSet::new();
        for _ in 0..ROUNDS {
            let (names, others) = match file::list(&**self.files, archive) {
                Ok(listed) => listed,
                Err(error) => return self.report(archive, &error),
            };
            let mut is_new = false;
            for name in others {
                if read.insert(name.number) {
                    self.report(&name.path(archive), &"it is no regular file");
                }
            }
            for name in names {
                if read.insert(name.number) {
                    is_new = true;
                    let result = self.read_archive_file(archive, name);
                    if let Err(error) = result {
                        self.report(&name.path(archive), &error);
                    }
                }
            }
            if !is_new {
                return;
            }
        }
    }

    fn read_archive_file(&mut self, archive: &Path, name: Name) -> io::Result<()> {
        let Some(file) = self.open_archive_file(archive, name)? else {
            return Ok(());
        };
        let (mut torn, mut torn_bytes) = (0, 0);
        let mut walk = Walk::whole(file)?;
        while let Some(step) = walk.next()? {
            let segment = match step {
                Step::Segment(segment) => segment,
                Step::Damaged(range) => {
                    torn += 1;
                    torn_bytes += (range.end - range.start) as usize;
                    continue;
                }
            };
            // One whose process record is damaged is like no other.
            let unknown = || Manifest {
                directory: format!("unknown process at {} of {}", segment.at, name.number),
                ..Manifest::default()
            };
            let manifest = walk.manifest(&segment)?.unwrap_or_else(unknown);
            let process = &manifest.directory;
            if self.knows(process, segment.header.generation) {
                continue;
            }
            self.process(process, archive, Life::Dead, &manifest);
            let added = self.add_segment(process, walk.bytes(&segment)?, &segment.header);
            if let Some(report) = self.report_of(process) {
                report.torn += added.0;
            }
            torn += added.0;
            torn_bytes += added.1;
        }
        if torn > 0 {
            let text = format!("damaged: {torn_bytes} bytes in all, places: {torn}; the rest was read");
            self.report(&name.path(archive), &text);
        }
        Ok(())
    }

    /// `None`: it was evicted meanwhile.
    fn open_archive_file(&self, archive: &Path, name: Name) -> io::Result<Option<SharedFile>> {
        // A pending file may have become history since it was listed.
        for kind in [name.kind, Kind::History] {
            let name = Name { kind, ..name };
            match self.files.open(&name.path(archive), How::Read) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
