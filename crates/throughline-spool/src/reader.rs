//! Reading a spool without taking part in it: what `ls`, `view` and `follow` show.
//!
//! A [`Reader`] makes, changes and removes nothing, and keeps no lock. It reads copies of the files, of living processes
//! too, and takes nothing on trust: records and slots are checked as `docs/spool-format.md` describes, and what
//! cannot be read is said beside what can. Spans that were open when their process died are shown as they will be
//! delivered. Delivering is for [`Adoption`](crate::Adoption) and those who hold one.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::directory::{self, LEDGER, Life, ProcessDir, SCOPES};
use crate::ledger::{Dropped, Ledger};
use crate::manifest::{Destination, Identity, Manifest};
use crate::record::Kind;
use crate::scopes;
use crate::segment::MAX_DESTINATIONS;
use crate::survey::{self, Surveyed};
use crate::unfinished;

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
        let mut contents = Contents::default();
        let mut directories = match directory::processes(&self.root) {
            Ok(directories) => directories,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return contents,
            Err(error) => {
                let problem = format!("{} cannot be read: {error}", self.root.display());
                contents.problems.push(problem);
                return contents;
            }
        };
        directories.sort();
        for directory in &directories {
            if let Err(error) = contents.add(directory, &mut keep) {
                // An adopter may have removed it since it was listed.
                if directory.path().exists() {
                    contents.report(directory, &error);
                }
            }
        }
        contents
    }
}

impl Contents {
    fn add(&mut self, directory: &ProcessDir, keep: &mut impl FnMut(&StoredSpan) -> bool) -> io::Result<()> {
        let manifest = match directory.manifest() {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => return Err(error),
            // The spans can be shown all the same.
            Err(error) => {
                self.report(directory, &format_args!("its manifest: {error}"));
                nameless()
            }
        };
        let life = directory.life().unwrap_or_else(|error| {
            self.report(directory, &format_args!("its lock: {error}"));
            Life::Dead
        });
        let mut report = ProcessReport {
            name: directory.name().to_owned(),
            path: directory.path().to_owned(),
            service: manifest.service,
            owner: manifest.owner,
            created: manifest.created,
            life,
            destinations: manifest.destinations,
            pending: 0,
            open: 0,
            dropped: Ledger::read_dropped(&directory.read(LEDGER).unwrap_or_default()),
            torn: 0,
        };
        let destinations = report.destinations.len().min(MAX_DESTINATIONS);
        let mut span = StoredSpan {
            body: Box::default(),
            state: State::Open,
            place: Place::Local,
            scope: Arc::default(),
            resource: manifest.resource.into(),
            schema_url: manifest.schema_url.into(),
            process: self.processes.len(),
        };
        let mut scopes = Scopes::new(directory, life);
        let survey = survey::survey(directory, life, |segment, offset, record| {
            span.place = place(segment, offset, destinations);
            report.pending += u64::from(span.place == Place::Pending);
            span.state = match record.kind {
                Kind::Finished => State::Finished,
                Kind::Unfinished => State::Unfinished,
            };
            span.scope = scopes.number(record.scope);
            span.body = record.body().into();
            if keep(&span) {
                self.spans.push(span.clone());
            }
        })?;
        span.place = if destinations == 0 {
            Place::Local
        } else {
            Place::Pending
        };
        for open in &survey.open {
            let body = match life {
                Life::Living => unfinished::so_far(&open.body).map(Box::from),
                Life::Dead => unfinished::close(&open.body, survey.known_alive).map(Box::from),
            };
            let Some(body) = body else {
                report.torn += 1;
                continue;
            };
            report.open += 1;
            span.body = body;
            span.state = match life {
                Life::Living => State::Open,
                Life::Dead => State::Unfinished,
            };
            span.scope = scopes.number(open.scope);
            if keep(&span) {
                self.spans.push(span.clone());
            }
        }
        for (name, error) in &survey.unreadable {
            self.report(directory, &format_args!("{name}: {error}"));
        }
        report.torn += survey.damaged.len() as u64;
        if report.torn > 0 {
            let bytes: usize = survey.damaged.iter().map(|damage| damage.range.len()).sum();
            let problem = format_args!(
                "{} places are damaged, {bytes} bytes in all; the rest was read",
                report.torn
            );
            self.report(directory, &problem);
        }
        self.processes.push(report);
        Ok(())
    }

    fn report(&mut self, directory: &ProcessDir, problem: &impl std::fmt::Display) {
        let path = directory.path().display();
        self.problems.push(format!("{path}: {problem}"));
    }
}

/// Where a record is on its way.
fn place(segment: &Surveyed, offset: usize, destinations: usize) -> Place {
    let cursors = &segment.cursors[..destinations];
    match cursors.iter().map(|cursor| cursor.offset as usize).min() {
        None => Place::Local,
        Some(cursor) if offset < cursor => Place::Delivered,
        Some(_) => Place::Pending,
    }
}

/// What is shown for a process whose manifest is lost.
fn nameless() -> Manifest {
    Manifest {
        owner: Identity::default(),
        created: UNIX_EPOCH,
        service: String::new(),
        resource: Vec::new(),
        schema_url: String::new(),
        destinations: Vec::new(),
    }
}

/// The scopes of a process, by their numbers.
struct Scopes<'a> {
    directory: &'a ProcessDir,
    known: Vec<Arc<[u8]>>,
    /// How often the file may be read again, since a living process may have added to it meanwhile.
    tries: usize,
}

impl<'a> Scopes<'a> {
    fn new(directory: &'a ProcessDir, life: Life) -> Self {
        let mut scopes = Self {
            directory,
            known: Vec::new(),
            tries: if life == Life::Living { 16 } else { 0 },
        };
        scopes.read();
        scopes
    }

    fn number(&mut self, number: u32) -> Arc<[u8]> {
        let number = number as usize;
        if number >= self.known.len() && self.tries > 0 {
            self.tries -= 1;
            self.read();
        }
        self.known.get(number).cloned().unwrap_or_default()
    }

    fn read(&mut self) {
        let bytes = self.directory.read(SCOPES).unwrap_or_default();
        self.known = scopes::read(&bytes).into_iter().map(Arc::from).collect();
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
