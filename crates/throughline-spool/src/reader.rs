//! Reading a spool without taking part in it: what `ls`, `view` and `follow` show.
//!
//! A [`Reader`] makes, changes and removes nothing, and keeps no lock. It reads copies of the files, of living processes
//! too, and takes nothing on trust: records and slots are checked as `docs/spool-format.md` describes, and what cannot be
//! read is said beside what can. Spans that were open when their process died are shown as they will be delivered.
//!
//! A [`Follower`] shows what comes, a look at a time.
//!
//! Directories of processes are read before the archive: what goes from the one to the other meanwhile is seen twice rather
//! than not at all, and is known by its directory and generation.

mod archived;
mod follower;
mod process;
mod reading;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::archive::{Evicted, layout};
use crate::directory::{Life, ProcessDir, is_process_name};
use crate::files::{self, EntryKind, SharedFiles};
use crate::format::manifest::{Destination, Identity};
use crate::format::source::Source;
use crate::store::ledger::Dropped;

pub use follower::{Follower, NewSpan};
use reading::Reading;

/// Reads all spans of a user's spool.
///
/// ```
/// let contents = throughline_spool::Reader::new("/there/is/no/such/spool").read();
/// assert!(contents.spans.is_empty() && contents.problems.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Reader {
    root: PathBuf,
    files: SharedFiles,
}

/// What a spool holds at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// Every span once, in no particular order.
    pub spans: Vec<StoredSpan>,
    /// The processes: those that have a directory in the order of their names, then those that are archived.
    pub processes: Vec<ProcessReport>,
    /// Records that somebody was still to get and that were evicted from the archive, by reason, in the order of
    /// [`Dropped::ALL`].
    pub evicted: [u64; Dropped::ALL.len()],
    /// Spans of archived processes that were lost, by reason, in the order of [`Dropped::ALL`]; those that were evicted are
    /// among them. With several destinations those of the one that lost most.
    pub dropped: [u64; Dropped::ALL.len()],
    /// One sentence for each thing that could not be read: a damaged file, a newer format, a refused directory.
    pub problems: Vec<String>,
}

/// A span as it lies in the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredSpan {
    /// An OTLP `Span` message. It is outside input: read it with `throughline_wire::SpanView`.
    pub body: Box<[u8]>,
    /// Whether the span has ended.
    pub state: State,
    /// Whether it has been delivered.
    pub place: Place,
    /// Its resource and instrumentation scope; empty ones when they are not known.
    pub source: Arc<Source>,
    /// The index of its process in [`Contents::processes`].
    pub process: usize,
}

/// Whether a span has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It is in progress; its process lives.
    Open,
    /// It was ended.
    Finished,
    /// Its process died before it ended. Its end time is the newest that is known of it, its status an error that says so,
    /// and it has the attribute `throughline.unfinished`.
    Unfinished,
}

/// Where a span is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Here for good: its process had no destination.
    Local,
    /// Some destination has not got it yet.
    Pending,
    /// Every destination has got it; it is kept as history.
    Delivered,
}

/// What is known of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProcessReport {
    /// The name of its directory.
    pub name: String,
    /// Where that lies; the archive's directory when it is archived.
    pub path: PathBuf,
    /// `service.name`.
    pub service: String,
    /// `service.namespace`.
    pub namespace: String,
    /// Which process it is or was.
    pub owner: Identity,
    /// When its directory was made.
    pub created: SystemTime,
    /// Whether it lives.
    pub life: Life,
    /// Where its spans are to go. None: they stay local.
    pub destinations: Vec<Destination>,
    /// Records that some destination has not got, whether or not they were kept by [`Reader::read_where`].
    pub pending: u64,
    /// The same for each of the destinations, in their order. All are zero where it is not known which has got what.
    pub waiting: Vec<u64>,
    /// Spans that are open, or were when the process died and are not in a record yet.
    pub open: u64,
    /// Spans that were lost, by reason, in the order of [`Dropped::ALL`]. Of archived processes [`Contents::dropped`] has
    /// the sum.
    pub dropped: [u64; Dropped::ALL.len()],
    /// Places where something stood that is no record, or no record any more.
    pub torn: u64,
}

impl Reader {
    /// A reader of the spool that lies there. Nothing is read yet, and it need not be there.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self::with_files(root, files::os::files())
    }

    pub(crate) fn with_files(root: impl Into<PathBuf>, files: SharedFiles) -> Self {
        Self {
            root: root.into(),
            files,
        }
    }

    /// All spans.
    #[must_use]
    pub fn read(&self) -> Contents {
        self.read_where(|_| true)
    }

    /// Records of ended processes that a backend was still to get and that were evicted, ever, and since when that is counted.
    ///
    /// # Errors
    ///
    /// The root's ledger cannot be read.
    pub fn evicted(&self) -> io::Result<(Evicted, Option<SystemTime>)> {
        let ledger = layout::read_ledger(&self.files, &self.root)?.unwrap_or_default();
        let since = (ledger.since != 0).then(|| layout::from_unix_nano(ledger.since));
        Ok((ledger.evicted, since))
    }

    /// The spans of which `keep` says so; the reports count the others as well.
    #[must_use]
    pub fn read_where(&self, mut keep: impl FnMut(&StoredSpan) -> bool) -> Contents {
        let mut reading = Reading::new(&self.files, &mut keep);
        match self.processes() {
            Ok(directories) => {
                for directory in &directories {
                    reading.read_process(directory);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return reading.finish(),
            Err(error) => reading.report(&self.root, &error),
        }
        reading.read_archive(&layout::directory(&self.root));
        let mut contents = reading.finish();
        match layout::read_ledger(&self.files, &self.root) {
            Ok(ledger) => {
                let ledger = ledger.unwrap_or_default();
                contents.evicted[Dropped::Quota as usize] = ledger.evicted.quota;
                contents.evicted[Dropped::Age as usize] = ledger.evicted.age;
                contents.dropped = ledger.lost;
            }
            Err(error) => contents
                .problems
                .push(format!("{}: its ledger: {error}", self.root.display())),
        }
        contents
    }

    fn processes(&self) -> io::Result<Vec<ProcessDir>> {
        let mut found = Vec::new();
        self.files.entries(&self.root, &mut |name, kind| {
            if kind == EntryKind::Directory && is_process_name(name) {
                found.push(ProcessDir::new(self.root.join(name), self.files.clone()));
            }
            true
        })?;
        found.sort();
        Ok(found)
    }
}

#[cfg(test)]
#[path = "reader/tests.rs"]
mod tests;
