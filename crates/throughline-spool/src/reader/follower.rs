//! Following a spool: what comes into it, look by look.
//!
//! A look reads what was appended since the last one. It passes over what it knows: of each process the segments that are
//! written, and a bounded number of other places, in turn, where a segment may have begun; of the archive what the root's
//! ledger says was committed since. A segment is known by its process and generation, in either place, so a span is shown
//! once whoever archives it meanwhile.

mod process;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::archive::file::{Kind, Name};
use crate::archive::layout;
use crate::archive::ledger::Ledger;
use crate::archive::walk::{self, Step, Walk};
use crate::directory::ProcessDir;
use crate::files::{self, How, SharedFile, SharedFiles};
use crate::format::manifest::Manifest;
use crate::format::recovery;
use crate::format::source::Source;

use super::{Reader, State};
use process::Followed;

/// File systems note changes this late, at most: what changed just now may change again without a trace.
const CLOCK_STEP: Duration = Duration::from_secs(1);
/// How long a span is open before it is shown as such.
const OPEN_FOR: Duration = Duration::from_secs(1);

/// Reads what comes into a spool. It makes and changes nothing, and the spool need not be there yet.
///
/// ```
/// let mut follower = throughline_spool::Follower::new("/there/is/no/such/spool");
/// assert!(follower.look(&mut |_| unreachable!("there is nothing")).is_empty());
/// ```
#[derive(Debug)]
pub struct Follower {
    root: PathBuf,
    files: SharedFiles,
    /// By the names of their directories.
    processes: BTreeMap<String, Followed>,
    /// When the root had last changed when it was listed last.
    listed: Option<SystemTime>,
    archive: Option<ArchivePosition>,
    sources: Sources,
    /// Whether what is there at the next look is no news.
    skips: bool,
    said: HashSet<String>,
}

/// A span that has come.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct NewSpan<'a> {
    /// An OTLP `Span` message. It is outside input: read it with `throughline_wire::SpanView`.
    pub body: &'a [u8],
    /// Whether it has ended. One that has been open for a second is shown as such once, and again when it ends.
    pub state: State,
    /// Its resource and instrumentation scope; empty ones when they are not known.
    pub source: &'a Arc<Source>,
}

/// How far the archive was read.
#[derive(Debug)]
struct ArchivePosition {
    /// Files from this number on were not read.
    next: u64,
    /// How far the files were read that may grow, in bytes.
    growing: BTreeMap<u64, u64>,
}

/// Sources by their encoded form: many segments have the same.
#[derive(Debug, Default)]
struct Sources(HashMap<Box<[u8]>, Arc<Source>>);

impl Sources {
    fn of(&mut self, body: &[u8]) -> Arc<Source> {
        if let Some(source) = self.0.get(body) {
            return source.clone();
        }
        let source = Arc::new(Source::from_bytes(body).unwrap_or_default());
        self.0.insert(body.into(), source.clone());
        source
    }
}

/// Shows spans to whoever follows.
type Show<'a> = &'a mut dyn FnMut(NewSpan<'_>);

impl Follower {
    /// Follows the spool that lies there: what comes after the first look is new.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::with_files(root, files::os::files(), true)
    }

    /// The same, and what is there already is shown by the first look.
    #[must_use]
    pub fn from_the_beginning(root: impl Into<PathBuf>) -> Self {
        Self::with_files(root, files::os::files(), false)
    }

    pub(crate) fn with_files(root: impl Into<PathBuf>, files: SharedFiles, skips: bool) -> Self {
        Self {
            root: root.into(),
            files,
            processes: BTreeMap::new(),
            listed: None,
            archive: None,
            sources: Sources::default(),
            skips,
            said: HashSet::new(),
        }
    }

    /// Shows what has come since the last look. Returns one sentence for each thing that cannot be read, once.
    pub fn look(&mut self, show: &mut dyn FnMut(NewSpan<'_>)) -> Vec<String> {
        let mut problems = Vec::new();
        let mut report = |path: &Path, problem: &dyn Display| problems.push(format!("{}: {problem}", path.display()));
        // Directories first: what goes from there to the archive meanwhile is found there.
        let gone = self.list_processes().unwrap_or_else(|error| {
            if error.kind() != io::ErrorKind::NotFound {
                report(&self.root, &error);
            }
            Vec::new()
        });
        let now = self.files.now();
        for followed in self.processes.values_mut() {
            match followed.look(self.skips, now, &mut self.sources, show) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => report(followed.path(), &error),
                _ => {}
            }
        }
        if let Err(error) = self.read_archive(show) {
            report(&layout::directory(&self.root), &error);
        }
        // What they had written is in the archive, and was read there.
        for name in gone {
            self.processes.remove(&name);
        }
        self.skips = false;
        problems.retain(|problem| self.said.insert(problem.clone()));
        problems
    }

    /// Takes note of new directories, and returns those that are there no more.
    fn list_processes(&mut self) -> io::Result<Vec<String>> {
        let modified = self.files.look(&self.root)?.modified;
        let is_settled = self
            .files
            .now()
            .duration_since(modified)
            .is_ok_and(|ago| ago > CLOCK_STEP);
        if self.listed == Some(modified) && is_settled {
            return Ok(Vec::new());
        }
        let found = Reader::with_files(&self.root, self.files.clone()).processes()?;
        let gone = {
            let there: HashSet<_> = found.iter().map(ProcessDir::name).collect();
            let gone = self.processes.keys().filter(|name| !there.contains(name.as_str()));
            gone.cloned().collect()
        };
        for directory in found {
            let name = directory.name().to_owned();
            self.processes.entry(name).or_insert_with(|| Followed::new(directory));
        }
        self.listed = Some(modified);
        Ok(gone)
    }

    fn read_archive(&mut self, show: Show<'_>) -> io::Result<()> {
        // One that is being written is read at the next look.
        let Some(ledger) = layout::read_ledger(&self.files, &self.root)? else {
            // There is no archive yet: all that comes there is new.
            let none = || ArchivePosition {
                next: 1,
                growing: BTreeMap::new(),
            };
            let is_there = self.files.look(&self.root.join(crate::store::LEDGER)).is_ok();
            if !is_there {
                self.archive.get_or_insert_with(none);
            }
            return Ok(());
        };
        let current = ledger
            .current
            .iter()
            .flatten()
            .map(|current| (current.number, current.len));
        let mut position = match self.archive.take() {
            Some(position) => position,
            None if self.skips => ArchivePosition {
                next: ledger.next,
                growing: current.clone().collect(),
            },
            None => ArchivePosition {
                next: self.oldest_file()?,
                growing: BTreeMap::new(),
            },
        };
        let growing = std::mem::take(&mut position.growing);
        let new = (position.next..ledger.next).map(|number| (number, 0));
        position.next = position.next.max(ledger.next);
        let mut result = Ok(());
        for (number, from) in growing.into_iter().chain(new) {
            let end = current
                .clone()
                .find(|(current, _)| *current == number)
                .map(|(_, len)| len);
            if let Some(end) = end {
                position.growing.insert(number, end.max(from));
            }
            result = result.and(self.read_archive_file(&ledger, number, from, end, show));
        }
        self.archive = Some(position);
        result
    }

    fn oldest_file(&self) -> io::Result<u64> {
        let (names, _) = crate::archive::file::list(&*self.files, &layout::directory(&self.root))?;
        Ok(names.first().map_or(1, |name| name.number))
    }

    /// Reads a file from one place to another, or to its end.
    fn read_archive_file(
        &mut self,
        ledger: &Ledger,
        number: u64,
        from: u64,
        end: Option<u64>,
        show: Show<'_>,
    ) -> io::Result<()> {
        if end == Some(from) {
            return Ok(());
        }
        let Some(file) = self.open_archive_file(number)? else {
            return Ok(());
        };
        let end = match end {
            Some(end) => end,
            None => file.look()?.len,
        };
        let mut walk = Walk::new(file, from, end);
        while let Some(step) = walk.next()? {
            // What is damaged is told by whoever reads all.
            if let Step::Segment(segment) = step {
                let manifest = walk.manifest(&segment)?.unwrap_or_default();
                self.read_archived_segment(ledger, &manifest, &segment, walk.bytes(&segment)?, show);
            }
        }
        Ok(())
    }

    fn read_archived_segment(
        &mut self,
        ledger: &Ledger,
        manifest: &Manifest,
        segment: &walk::Placed,
        bytes: &[u8],
        show: Show<'_>,
    ) {
        let name = &manifest.directory;
        let is_being_archived = || ledger.started.iter().any(|started| started.directory == *name);
        if !self.processes.contains_key(name) && is_being_archived() {
            // Its directory may still have what was read here.
            let directory = ProcessDir::new(self.root.join(name), self.files.clone());
            self.processes.insert(name.clone(), Followed::new(directory));
        }
        let generation = segment.header.generation;
        let mut records = recovery::records(bytes, generation, 0);
        match self.processes.get_mut(name) {
            Some(followed) => followed.read_archived(&segment.header, &mut records, &mut self.sources, show),
            None => {
                let directory = ProcessDir::new(self.root.join(name), self.files.clone());
                let mut followed = Followed::new(directory);
                followed.read_archived(&segment.header, &mut records, &mut self.sources, show);
            }
        }
    }

    /// `None`: it was evicted meanwhile.
    fn open_archive_file(&self, number: u64) -> io::Result<Option<SharedFile>> {
        // A pending file becomes history under the same number.
        for kind in [Kind::Pending, Kind::History] {
            let name = Name { number, kind };
            match self.files.open(&name.path(&layout::directory(&self.root)), How::Read) {
                Ok(file) => return Ok(Some(file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
