//! Archiving one directory of a dead process: its open spans become records, its segments go to the archive, and then it
//! goes itself.
//!
//! Everything is done in steps that a crash may separate. The ledger is committed after a segment file was copied and
//! before it is removed; it names that file, so that it is not copied twice.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::directory::{GONE, LONGEST_FILE, MANIFEST, ProcessDir, SLOTS, kept};
use crate::files::{EntryKind, How, remove_all};
use crate::format::header::{HEADER_LEN, UNIT};
use crate::format::manifest::Manifest;
use crate::format::record::{Kind as RecordKind, read_u32};
use crate::format::recovery::{self, Segments};
use crate::platform;
use crate::store::ledger::{Counts, Dropped};
use crate::store::{LEDGER, SEGMENTS, segments_name};

use super::eviction::Made;
use super::file::Kind;
use super::layout::unix_nano;
use super::ledger::{MOST_STARTED, Started};
use super::locked::{Appending, Locked};
use super::slots::OpenSpans;
use super::trim::{self, Remedies, Trimmed};
use super::walk::process_record;

/// A file that is being written; removed with the directory.
const ASIDE: &str = ".unfinished";
const LOCK: &str = "lock";

/// Why a directory is not archived now.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Something of the directory cannot be read or removed: that stays where it is.
    Directory(String),
    /// Somebody else has archived it meanwhile.
    Gone,
    /// The archive cannot be written, nor anything else be archived: the lock must be given back.
    Archive(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Archive(error)
    }
}

/// The archiving of one directory.
pub(crate) struct Intake<'l, 'a> {
    locked: &'l mut Locked<'a>,
    directory: &'l ProcessDir,
    now: SystemTime,
    contents: Contents,
    manifest: Manifest,
    /// What could not be read.
    problems: Vec<String>,
}

/// The names in a directory.
#[derive(Debug, Default)]
struct Contents {
    /// Segment files by their numbers, in order.
    segments: Vec<(u32, String)>,
    /// No name of a segment file, whatever it is, has this number or a higher one.
    next: u32,
    slots: Vec<String>,
    has_ledger: bool,
    /// What is none of ours, or not what its name says.
    strangers: Vec<String>,
}

impl<'l, 'a> Intake<'l, 'a> {
    /// Looks at what there is, and takes up what was begun.
    pub fn begin(locked: &'l mut Locked<'a>, directory: &'l ProcessDir, now: SystemTime) -> Result<Self, Trouble> {
        let mut intake = Self {
            contents: Contents::list(directory)?,
            manifest: Manifest::default(),
            problems: Vec::new(),
            locked,
            directory,
            now,
        };
        intake.check_place()?;
        // Copied before, and not removed.
        if let Some(number) = intake.started().archived {
            intake.remove_segments(number)?;
        }
        intake.manifest = intake.read_manifest()?;
        Ok(intake)
    }

    /// Makes records of the spans that were open. Comes before all else: the records of the others tell which those are.
    pub fn take_open_spans(&mut self) -> Result<(), Trouble> {
        if self.contents.slots.is_empty() {
            return Ok(());
        }
        if !self.started().has_slots {
            // Those of another boot are what happened to be written back: they are void.
            if platform::is_this_boot(&self.manifest.owner.boot_id) {
                self.close_open_spans()?;
            }
        }
        for name in self.contents.slots.clone() {
            self.remove(&name)?;
        }
        self.contents.slots.clear();
        Ok(())
    }

    fn close_open_spans(&mut self) -> Result<(), Trouble> {
        let mut open = OpenSpans::default();
        let mut readable = Vec::new();
        for name in &self.contents.slots {
            match self.directory.read(name) {
                Ok(bytes) => {
                    open.add(&bytes);
                    readable.push(name.clone());
                }
                Err(error) => self.problems.push(self.problem(name, &error)),
            }
        }
        // Those that cannot be read wait.
        let is_whole = readable.len() == self.contents.slots.len();
        self.contents.slots = readable;
        if open.is_empty() {
            return Ok(());
        }
        let refused = self.leave_only_open(&mut open);
        let (segment, no_spans) = open.close(&self.manifest, unix_nano(self.now));
        if !segment.is_empty() {
            self.write_aside(&segment)?;
        }
        let damaged = refused + no_spans;
        if damaged > 0 {
            let mut ledger = self.locked.ledger.clone();
            ledger.add_dropped(Dropped::Damaged, damaged);
            let mut started = self.started();
            started.has_slots = is_whole;
            ledger.set_started(started);
            self.locked.commit(ledger, self.manifest.synced)?;
        }
        Ok(())
    }

    /// Takes out the spans that are in records. Returns how many were being committed to a place that cannot be looked at.
    fn leave_only_open(&self, open: &mut OpenSpans) -> u64 {
        let mut is_whole = true;
        let mut generations = HashSet::new();
        for (_, name) in &self.contents.segments {
            // It is said when its turn comes.
            let Ok(bytes) = self.read_segments(name) else {
                is_whole = false;
                continue;
            };
            for placed in recovery::segments(&bytes, UNIT).placed {
                generations.insert(placed.header.generation);
                open.note_segment(&placed.header);
                let segment = &bytes[placed.range.clone()];
                for (offset, record) in recovery::records(segment, placed.header.generation, 0) {
                    open.note(&placed.header, offset, &record);
                }
            }
        }
        if is_whole && !generations.is_empty() {
            return 0;
        }
        // The record may stand where nobody can look now: to be delivered as unfinished it would be a twin.
        let before = open.spans.len();
        open.spans.retain(|_, span| {
            span.closing
                .is_none_or(|(generation, _)| generations.contains(&generation))
        });
        // What is read later must not have the generation of these.
        open.generation += if is_whole { 0 } else { 1 << 32 };
        (before - open.spans.len()) as u64
    }

    /// Adds a segment file to the directory, whole or not at all.
    fn write_aside(&mut self, segment: &[u8]) -> Result<(), Trouble> {
        let files = &*self.locked.layout.files;
        let aside = self.directory.path().join(ASIDE);
        let number = self.contents.next;
        let name = segments_name(number);
        let write = || -> io::Result<()> {
            match files.remove_file(&aside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = files.open(&aside, How::New)?;
            file.write_at(segment, 0)?;
            if self.manifest.synced {
                file.sync()?;
            }
            files.rename(&aside, &self.directory.path().join(&name))
        };
        write().map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Trouble::Archive(error),
            _ => Trouble::Directory(self.problem(&name, &error)),
        })?;
        self.contents.segments.push((number, name));
        Ok(())
    }

    /// The numbers of the segment files that are left, in order.
    pub fn segments(&self) -> Vec<u32> {
        self.contents.segments.iter().map(|(number, _)| *number).collect()
    }

    /// Copies one segment file to the archive, commits that, and removes it. Returns how many bytes were read.
    pub fn take_segments(&mut self, number: u32) -> Result<u64, Trouble> {
        let name = segments_name(number);
        let bytes = match self.read_segments(&name) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.problems.push(self.problem(&name, &error));
                return Ok(0);
            }
        };
        let found = recovery::segments(&bytes, UNIT);
        if let Some(problem) = newer_format(&bytes, &found) {
            self.problems.push(self.problem(&name, &problem));
            return Ok(bytes.len() as u64);
        }
        let segments = self.trim_all(&bytes, &found);
        self.quarantine(&bytes, &found, &segments)?;
        let mut appending = Appending::begin(self.locked, self.now);
        let keeps_history = appending.keeps_history();
        for trimmed in segments.iter().filter(|trimmed| !trimmed.bytes.is_empty()) {
            match trimmed.is_pending {
                true => appending.append(Kind::Pending, &trimmed.bytes)?,
                false if keeps_history => appending.append(Kind::History, &trimmed.bytes)?,
                false => {}
            }
        }
        let damaged = found.damaged.len() as u64 + segments.iter().map(|trimmed| trimmed.damaged).sum::<u64>();
        appending.ledger.add_dropped(Dropped::Damaged, damaged);
        let mut started = appending.ledger.started(self.directory.name());
        started.archived = Some(number);
        appending.ledger.set_started(started);
        appending.commit(self.manifest.synced)?;
        self.remove_segments(number)?;
        Ok(bytes.len() as u64)
    }

    /// Keeps the limits, so that what is copied overshoots them by one segment file at most.
    pub fn make_room(&mut self, live: u64) -> Result<Made, Trouble> {
        let layout = self.locked.layout;
        let [pending, history] = self.locked.ledger.bytes;
        let is_over = pending.saturating_add(live) > layout.limits.pending || history > layout.limits.history;
        Ok(match is_over {
            true => self.locked.make_room(live, self.now)?,
            false => Made::default(),
        })
    }

    fn trim_all(&self, bytes: &[u8], found: &Segments) -> Vec<Trimmed> {
        let process = self.manifest.to_bytes();
        let trim = |sources: &HashMap<u32, Box<[u8]>>| -> Vec<Trimmed> {
            let remedies = Remedies {
                directory: self.directory.name(),
                process: &process,
                sources,
            };
            let placed = found.placed.iter();
            placed
                .map(|placed| trim::trim(&bytes[placed.range.clone()], &placed.header, &remedies))
                .collect()
        };
        let trimmed = trim(&HashMap::new());
        let lacks: HashSet<u32> = trimmed
            .iter()
            .flat_map(|trimmed| trimmed.lacks.iter().copied())
            .collect();
        if lacks.is_empty() {
            return trimmed;
        }
        // Numbers of sources are those of the whole store: another segment may have what is damaged here.
        let mut sources = HashMap::new();
        for (_, name) in &self.contents.segments {
            let Ok(bytes) = self.read_segments(name) else { continue };
            for placed in recovery::segments(&bytes, UNIT).placed {
                let records = recovery::records(&bytes[placed.range.clone()], placed.header.generation, 0);
                for (_, record) in records.filter(|(_, record)| record.kind == RecordKind::Source) {
                    if lacks.contains(&record.source) {
                        sources.entry(record.source).or_insert_with(|| record.body().into());
                    }
                }
            }
        }
        trim(&sources)
    }

    /// Keeps what nothing can be made of, all of one file in one.
    fn quarantine(&self, bytes: &[u8], found: &Segments, segments: &[Trimmed]) -> Result<(), Trouble> {
        let torn = found.placed.iter().zip(segments).flat_map(|(placed, trimmed)| {
            let start = placed.range.start;
            trimmed
                .torn
                .iter()
                .map(move |torn| start + torn.start..start + torn.end)
        });
        let parts = found.damaged.iter().cloned().chain(torn);
        let parts = parts.map(|range| kept::without_zeroes(&bytes[range]));
        let layout = self.locked.layout;
        kept::quarantine(&*layout.files, layout.root.path(), &parts.collect::<Vec<_>>().concat())?;
        Ok(())
    }

    /// Adds the directory's ledger to that of the root and removes the directory, unless something has to stay.
    pub fn finish(mut self) -> Result<(), Trouble> {
        let strangers = std::mem::take(&mut self.contents.strangers);
        self.problems.extend(strangers);
        if !self.problems.is_empty() {
            return Err(Trouble::Directory(self.problems.join("; ")));
        }
        if !self.started().has_ledger {
            self.add_ledger()?;
        }
        let name = self.directory.name();
        let files = &*self.locked.layout.files;
        let gone = self.locked.layout.root.path().join(format!("{GONE}{name}"));
        files
            .rename(self.directory.path(), &gone)
            .map_err(|error| Trouble::Directory(self.problem("", &error)))?;
        // Committed with whatever comes next: a name that is gone does not come again.
        self.locked.ledger.forget_started(name);
        // What cannot be removed now is found by its name later.
        remove_all(files, &gone).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(Trouble::Directory(format!("{}: {error}", gone.display()))),
        })
    }

    fn add_ledger(&mut self) -> Result<(), Trouble> {
        let counts = match self.contents.has_ledger {
            true => {
                let read = self.directory.read(LEDGER);
                Counts::from_bytes(&read.map_err(|error| Trouble::Directory(self.problem(LEDGER, &error)))?)
            }
            false => Counts::default(),
        };
        if counts == Counts::default() {
            return Ok(());
        }
        let mut ledger = self.locked.ledger.clone();
        ledger.add_counts(&counts);
        let mut started = self.started();
        started.has_ledger = true;
        ledger.set_started(started);
        self.locked.commit(ledger, self.manifest.synced)?;
        Ok(())
    }

    // ---- the directory's files ----------------------------------------------------------------------------------

    fn started(&self) -> Started {
        self.locked.ledger.started(self.directory.name())
    }

    /// There is a place for one more directory in the ledger.
    fn check_place(&self) -> Result<(), Trouble> {
        let others = self.locked.ledger.started.iter();
        let others = others
            .filter(|started| started.directory != self.directory.name())
            .count();
        if others >= MOST_STARTED {
            let text = "nothing more is archived until what is archived can be removed from other directories";
            return Err(Trouble::Directory(self.problem("", &text)));
        }
        Ok(())
    }

    /// The manifest, or the process record of a segment where it is damaged or lost.
    fn read_manifest(&mut self) -> Result<Manifest, Trouble> {
        let lost = match self.directory.manifest() {
            Ok(manifest) => return Ok(self.named(manifest)),
            Err(error) => error,
        };
        if !matches!(lost.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) {
            return Err(Trouble::Directory(self.problem(MANIFEST, &lost)));
        }
        for (_, name) in &self.contents.segments {
            let bytes = self
                .read_segments(name)
                .map_err(|error| Trouble::Directory(self.problem(name, &error)))?;
            for placed in recovery::segments(&bytes, UNIT).placed {
                let record = process_record(&bytes[placed.range.clone()], placed.header.generation);
                match record.map(Manifest::from_bytes) {
                    Some(Ok(manifest)) => return Ok(self.named(manifest)),
                    Some(Err(error)) if error.kind() == io::ErrorKind::Unsupported => {
                        return Err(Trouble::Directory(self.problem(name, &error)));
                    }
                    _ => {}
                }
            }
        }
        // What is left can be shown, and is for nobody that is known.
        Ok(self.named(Manifest::default()))
    }

    fn named(&self, manifest: Manifest) -> Manifest {
        Manifest {
            directory: self.directory.name().to_owned(),
            ..manifest
        }
    }

    fn read_segments(&self, name: &str) -> io::Result<Vec<u8>> {
        let path = self.directory.path().join(name);
        if self.locked.layout.files.look(&path)?.len > LONGEST_FILE {
            return Err(io::Error::other(format!("it is longer than {LONGEST_FILE} bytes")));
        }
        self.directory.read(name)
    }

    /// Removes a segment file of which the ledger says that it is archived.
    fn remove_segments(&mut self, number: u32) -> Result<(), Trouble> {
        self.remove(&segments_name(number))?;
        self.contents.segments.retain(|(other, _)| *other != number);
        // Committed with whatever comes next: a file that is gone does not come again.
        let mut started = self.started();
        started.archived = None;
        self.locked.ledger.forget_started(self.directory.name());
        if started.has_ledger || started.has_slots && !self.contents.slots.is_empty() {
            self.locked.ledger.set_started(started);
        }
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), Trouble> {
        match self.locked.layout.files.remove_file(&self.directory.path().join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Trouble::Directory(self.problem(name, &error)))
            }
            _ => Ok(()),
        }
    }

    fn problem(&self, name: &str, what: &dyn Display) -> String {
        let path: PathBuf = self.directory.path().join(name);
        format!("{}: {what}", path.display())
    }
}

impl Contents {
    fn list(directory: &ProcessDir) -> Result<Self, Trouble> {
        let mut contents = Self::default();
        let listed = directory.files.entries(directory.path(), &mut |name, kind| {
            let number = |prefix: &str| {
                let number = name.strip_prefix(prefix).filter(|number| number.len() >= 4)?;
                let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
                number.parse::<u32>().ok().filter(|_| is_number)
            };
            let is_file = kind == EntryKind::File;
            // A name with zeroes in front would not be found again by its number.
            let next = number(SEGMENTS).map_or(0, |number| number.saturating_add(1));
            contents.next = contents.next.max(next);
            let segments = number(SEGMENTS).filter(|number| segments_name(*number) == name);
            match (segments, number(SLOTS)) {
                (Some(number), _) if is_file => contents.segments.push((number, name.to_owned())),
                (_, Some(_)) if is_file => contents.slots.push(name.to_owned()),
                _ if is_file && name == LEDGER => contents.has_ledger = true,
                _ if is_file && matches!(name, MANIFEST | LOCK | ASIDE) => {}
                _ => contents.strangers.push(format!(
                    "{}: it is not what its name says, or none of this program's files",
                    directory.path().join(name).display()
                )),
            }
            true
        });
        listed.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Trouble::Gone,
            _ => Trouble::Directory(format!("{}: {error}", directory.path().display())),
        })?;
        contents.segments.sort();
        contents.slots.sort();
        Ok(contents)
    }
}

/// What is to be said of a file that another version of this program has written.
fn newer_format(bytes: &[u8], found: &Segments) -> Option<String> {
    let is_newer = |start: usize| {
        let head = bytes.get(start..start + HEADER_LEN)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..28]), &head[64..128]);
        let is_ours = head[..3] == *b"TLS" && head[3] != b'2' && read_u32(head, 28) == Some(crc);
        is_ours.then(|| format!("its segments have format {}", char::from(head[3])))
    };
    let segment = found.damaged.iter().find_map(|range| is_newer(range.start));
    segment.or_else(|| {
        found.placed.iter().find_map(|placed| {
            let record = process_record(&bytes[placed.range.clone()], placed.header.generation)?;
            let error = Manifest::from_bytes(record).err()?;
            (error.kind() == io::ErrorKind::Unsupported).then(|| error.to_string())
        })
    })
}
