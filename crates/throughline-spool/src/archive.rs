//! The archive: what dead processes leave, in one bounded place for the whole root.
//!
//! An [`Archive`] takes the directories of dead processes in ([`step`](Archive::step)): their segments are copied, trimmed to
//! what they hold, into files that are appended to, and the directories go. It keeps those files within the limits, the
//! oldest going first ([`make_room`](Archive::make_room)). A [`Undelivered`] delivers what somebody is still to get.
//!
//! ```text
//! <root>/ledger                          how far the files are committed, and what became of records, see `ledger`
//! <root>/archive/lock                    held (flock) by whoever changes the ledger or the set of files
//! <root>/archive/deliver-<16 hex>.lock   held by whoever delivers to the destination of that identity
//! <root>/archive/<20 digits>.pending     segments that somebody is still to get
//! <root>/archive/<20 digits>.history     segments that everybody has got, or that were never to be sent
//! ```
//!
//! Whatever is done can be interrupted at any point, and loses and doubles nothing: a segment file is removed after the
//! ledger says that it was copied; a copy that the ledger does not know of is cut off; cursors move before the ledger
//! counts; the ledger counts what is evicted before that goes.

mod candidates;
mod eviction;
pub(crate) mod file;
mod intake;
pub(crate) mod layout;
pub(crate) mod ledger;
mod locked;
mod portion;
mod settled;
pub(crate) mod slots;
mod summary;
#[cfg(test)]
pub(crate) mod testing;
mod trim;
mod undelivered;
pub(crate) mod walk;
mod whose;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::directory::{NEW, ProcessDir, Root};
use crate::files::remove_all;
use crate::store::quota::Limits;

use candidates::Candidates;
use intake::{Intake, Trouble};
use layout::Layout;
use locked::Locked;

pub use ledger::Evicted;
pub use portion::Portion;
pub use summary::{Left, Summary};
pub use undelivered::{Stranger, Undelivered};
pub use whose::Whose;

/// Bytes of segment files that one step reads at most, beyond one file.
const MOST_BYTES: u64 = 32 << 20;
/// Where other processes live, one part in so many of the quota is kept for those that have started since.
const UNSEEN: u64 = 32;
/// A directory that is being made is left over when it is older than this.
const BEING_MADE: Duration = Duration::from_secs(3600);

/// One moment by two clocks: limits of age go by the calendar, pauses by the steady one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The calendar's.
    pub time: SystemTime,
    /// The steady one's.
    pub instant: Instant,
}

impl Moment {
    /// This moment.
    #[must_use]
    pub fn now() -> Self {
        Self {
            time: SystemTime::now(),
            instant: Instant::now(),
        }
    }
}

/// What a step has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Directories of dead processes that are archived and gone.
    pub processes: usize,
    /// Records that somebody was still to get and that were evicted.
    pub evicted: Evicted,
    /// Somebody else has the archive's lock: nothing was done.
    pub is_busy: bool,
    /// There may be more to do at once.
    pub has_more: bool,
    /// One sentence for each thing that stays where it is because it cannot be read, or cannot be removed. Each is said
    /// once by one [`Archive`].
    pub problems: Vec<String>,
}

/// What dead processes have left in a root.
///
/// It has no thread of its own: somebody calls [`step`](Self::step) now and then, never on a caller's thread.
#[derive(Debug)]
pub struct Archive {
    layout: Layout,
    candidates: Candidates,
    /// Problems of files of the archive that were said.
    said: Vec<String>,
    /// What the files of this process take beyond its history, in bytes, as far as it was said.
    live: u64,
}

impl Archive {
    /// The archive of a root. Nothing is read or made yet.
    #[must_use]
    pub fn new(root: &Root, limits: Limits) -> Self {
        Self {
            layout: Layout::new(root, limits),
            candidates: Candidates::default(),
            said: Vec::new(),
            live: 0,
        }
    }

    /// The directory of this process: its files are those whose bytes are told.
    #[must_use]
    pub fn with_own(mut self, directory: &Path) -> Self {
        let name = directory.file_name().and_then(|name| name.to_str());
        self.candidates.set_own(name.unwrap_or_default());
        self
    }

    /// What the files of living processes take beyond the history that each may hold, in bytes, as far as it is known.
    ///
    /// Nobody's history makes what somebody is still to get go.
    fn elsewhere(&self) -> u64 {
        // Others may have started, or grown, since they were looked at.
        let others = self.candidates.bytes();
        let unseen = if others > 0 {
            self.layout.limits.pending / UNSEEN
        } else {
            0
        };
        self.live.saturating_add(others).saturating_add(unseen)
    }

    /// Takes up to `budget` directories of dead processes in, the oldest of those it finds first, and keeps the limits. It
    /// looks at no more than some 64 directories of living processes, and reads no more than some 32 MiB.
    ///
    /// # Errors
    ///
    /// The root cannot be listed, or the archive not be written (a full disk). What is not archived stays where it is.
    pub fn step(&mut self, now: Moment, budget: usize) -> io::Result<Progress> {
        let mut progress = Progress::default();
        let found = self
            .candidates
            .find(&self.layout.root, now.instant, budget, self.layout.limits.history)?;
        if found.dead.is_empty() && found.left_over.is_empty() && !self.is_there()? {
            return Ok(progress);
        }
        let Some(mut locked) = Locked::take(&self.layout)? else {
            // The other one takes care, or whoever looks next: asking again and again would keep a processor busy for as long as
            // the other one is stopped, or waits for a slow disk.
            progress.is_busy = true;
            return Ok(progress);
        };
        progress.has_more = self.candidates.has_more();
        let mut room = MOST_BYTES;
        for directory in &found.dead {
            let live = self.elsewhere();
            match take_in(&mut locked, directory, now.time, live, &mut room, &mut progress) {
                Ok(true) => {
                    progress.processes += 1;
                    self.candidates.forget(directory.name());
                }
                Ok(false) => {
                    progress.has_more = true;
                    break;
                }
                Err(Trouble::Gone) => self.candidates.forget(directory.name()),
                Err(Trouble::Directory(problem)) => {
                    let problem = self.candidates.put_off(directory.name(), now.instant, problem);
                    progress.problems.extend(problem);
                }
                Err(Trouble::Archive(error)) => {
                    drop(locked);
                    return make_way_on_disk(&self.layout, now, error, progress);
                }
            }
        }
        locked.count_settled()?;
        let mut made = locked.make_room(self.elsewhere(), now.time)?;
        drop(locked);
        for name in &found.left_over {
            let problem = remove_left_over(&self.layout, name, now.time).err();
            made.problems.extend(problem.map(|error| format!("{name}: {error}")));
        }
        self.add(made, &mut progress);
        Ok(progress)
    }

    /// Removes the oldest files that are over the limits. `live_bytes` is what the files of this process take beyond its
    /// history; it is kept in mind for the steps that follow. Those of other processes are counted as the steps find them.
    ///
    /// # Errors
    ///
    /// The archive cannot be listed or written.
    pub fn make_room(&mut self, now: Moment, live_bytes: u64) -> io::Result<Progress> {
        self.live = live_bytes;
        let mut progress = Progress::default();
        if !self.is_there()? {
            return Ok(progress);
        }
        let Some(mut locked) = Locked::take(&self.layout)? else {
            progress.is_busy = true;
            return Ok(progress);
        };
        let made = locked.make_room(self.elsewhere(), now.time)?;
        drop(locked);
        self.add(made, &mut progress);
        Ok(progress)
    }

    /// Records that somebody was still to get and that were evicted, ever, and since when.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn evicted(&self) -> io::Result<(Evicted, Option<SystemTime>)> {
        let ledger = self.layout.read_ledger()?.unwrap_or_default();
        let since = (ledger.since != 0).then(|| layout::from_unix_nano(ledger.since));
        Ok((ledger.evicted, since))
    }

    /// What the archive's files take, in bytes: those that somebody is still to get something of, and history.
    ///
    /// # Errors
    ///
    /// The ledger cannot be read.
    pub fn bytes(&self) -> io::Result<(u64, u64)> {
        let [pending, history] = self.layout.read_ledger()?.unwrap_or_default().bytes;
        Ok((pending, history))
    }

    /// The reader of what somebody is still to get. `None`: somebody else delivers to that destination.
    ///
    /// # Errors
    ///
    /// The lock can neither be made nor asked.
    pub fn undelivered(&self, whose: Whose) -> io::Result<Option<Undelivered>> {
        Undelivered::open(self.layout.clone(), whose)
    }

    /// Whether there is an archive.
    fn is_there(&self) -> io::Result<bool> {
        match self.layout.files.look(&self.layout.directory) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, made: eviction::Made, progress: &mut Progress) {
        progress.evicted.quota += made.evicted.quota;
        progress.evicted.age += made.evicted.age;
        for problem in made.problems {
            if !self.said.contains(&problem) {
                self.said.truncate(64);
                self.said.insert(0, problem.clone());
                progress.problems.push(problem);
            }
        }
    }
}

/// Takes one directory in. `false`: there is no room left in this step.
fn take_in(
    locked: &mut Locked<'_>,
    directory: &ProcessDir,
    now: SystemTime,
    live: u64,
    room: &mut u64,
    progress: &mut Progress,
) -> Result<bool, Trouble> {
    let mut intake = Intake::begin(locked, directory, now)?;
    intake.take_open_spans()?;
    for number in intake.segments() {
        if *room == 0 {
            return Ok(false);
        }
        let bytes = intake.take_segments(number)?;
        *room = room.saturating_sub(bytes);
        let made = intake.make_room(live)?;
        progress.evicted.quota += made.evicted.quota;
        progress.evicted.age += made.evicted.age;
    }
    intake.finish()?;
    Ok(true)
}

/// The archive could not be written. Where the disk is full, history makes way for what somebody is still to get.
fn make_way_on_disk(layout: &Layout, now: Moment, error: io::Error, mut progress: Progress) -> io::Result<Progress> {
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    if is_full {
        if let Some(mut locked) = Locked::take(layout)? {
            if locked.evict_history(now.time)? {
                progress
                    .problems
                    .push(format!("history makes way in {}: {error}", layout.directory.display()));
                progress.has_more = true;
                return Ok(progress);
            }
        }
    }
    Err(error)
}

/// Removes what a crash has left of the making or removing of a directory.
fn remove_left_over(layout: &Layout, name: &str, now: SystemTime) -> io::Result<()> {
    let path = layout.root.path().join(name);
    let removed = layout.files.look(&path).and_then(|seen| {
        let is_young = now.duration_since(seen.modified).is_ok_and(|age| age < BEING_MADE);
        match name.starts_with(NEW) && (is_young || now < seen.modified) {
            true => Ok(()),
            false => remove_all(&*layout.files, &path),
        }
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "archive/tests.rs"]
mod tests;
