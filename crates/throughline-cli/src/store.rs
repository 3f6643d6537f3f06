//! Reading the spool, for the commands that show what is in it.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use throughline_spool::system::NO_STATE_DIRECTORY;
use throughline_spool::{Contents, Dropped, ProcessReport, Reader, Source, StoredSpan};
pub use throughline_spool::{Place, State};
use throughline_wire::{SpanView, TraceId};

use crate::exit::{Failure, say};
use crate::text::count;
use crate::time::Zone;

/// A span as it lies in the spool.
#[derive(Clone, Debug)]
pub struct Stored {
    /// An encoded OTLP `Span`.
    pub body: Arc<[u8]>,
    /// Its resource and scope.
    pub source: Arc<Source>,
    /// The service's name, also in the resource.
    pub service: Arc<str>,
    pub state: State,
    pub place: Place,
}

impl Stored {
    /// Its fields.
    pub fn view(&self) -> SpanView<'_> {
        SpanView::new(&self.body)
    }

    /// The latest time it tells of, in nanoseconds since 1970: its end, if it has one.
    pub fn last_known(&self) -> u64 {
        let view = self.view();
        let events = view.events().map(|event| event.time_unix_nano());
        [view.start_time_unix_nano(), view.end_time_unix_nano()]
            .into_iter()
            .chain(events)
            .max()
            .unwrap_or(0)
    }
}

/// Where the spool lies: the option, the variable, or the default, in that order.
pub fn directory(option: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let variable = || {
        env::var_os("THROUGHLINE_SPOOL_DIR")
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    option
        .or_else(variable)
        .or_else(throughline::default_spool_dir)
        .ok_or_else(|| {
            Failure::new(format_args!(
                "no spool is named, and {NO_STATE_DIRECTORY}: give --spool DIR, or set THROUGHLINE_SPOOL_DIR"
            ))
        })
}

/// All spans of a spool, and a line on those that were lost; what cannot be read of it is said on stderr.
pub fn read(spool: &Path, zone: &Zone) -> (Vec<Stored>, String) {
    let contents = Reader::new(spool).read();
    let lost = lost(spool, &contents, zone);
    (stored(contents), lost)
}

/// The spans of one trace.
pub fn read_trace(spool: &Path, id: TraceId) -> Vec<Stored> {
    stored(Reader::new(spool).read_where(|span| SpanView::new(&span.body).trace_id() == Some(id)))
}

/// Shows each span of a spool, and keeps none.
pub fn visit(spool: &Path, mut visit: impl FnMut(&StoredSpan)) {
    let contents = Reader::new(spool).read_where(|span| {
        visit(span);
        false
    });
    contents.problems.iter().for_each(|problem| say(problem));
}

/// What there is in a spool, but for its spans.
pub fn contents(spool: &Path) -> Contents {
    let contents = Reader::new(spool).read_where(|_| false);
    contents.problems.iter().for_each(|problem| say(problem));
    contents
}

/// Looks at a spool again and again, and says each problem once.
pub struct Watcher<'a> {
    spool: &'a Path,
    said: BTreeSet<String>,
}

impl<'a> Watcher<'a> {
    pub fn of(spool: &'a Path) -> Self {
        Self {
            spool,
            said: BTreeSet::new(),
        }
    }

    /// The processes that are there now.
    pub fn processes(&mut self) -> Vec<ProcessReport> {
        let contents = Reader::new(self.spool).read_where(|_| false);
        for problem in contents.problems {
            if !self.said.contains(&problem) {
                say(&problem);
                self.said.insert(problem);
            }
        }
        contents.processes
    }
}

/// A line on spans that were lost, with the reasons; empty when there are none.
pub fn lost(spool: &Path, contents: &Contents, zone: &Zone) -> String {
    let processes = contents.processes.iter().map(|process| &process.dropped);
    let reasons = Dropped::ALL.map(|reason| {
        let counts = processes.clone().chain([&contents.dropped]);
        (reason, counts.map(|counts| counts[reason as usize]).sum::<u64>())
    });
    let lost = || {
        reasons
            .iter()
            .filter(|(reason, count)| *count > 0 && *reason != Dropped::Filtered)
    };
    let all: u64 = lost().map(|(_, count)| count).sum();
    if all == 0 {
        return String::new();
    }
    let words: Vec<_> = lost()
        .map(|(reason, count)| format!("{count} {}", explained(*reason)))
        .collect();
    let since = match Reader::new(spool).evicted() {
        Ok((_, since)) => since.and_then(|since| since.duration_since(UNIX_EPOCH).ok()),
        // That the ledger cannot be read was said by whoever read the spool.
        Err(_) => None,
    };
    let since = since.map_or(String::new(), |since| {
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        format!(" since {}", zone.moment_with_zone(nanos))
    });
    let what = count(usize::try_from(all).unwrap_or(usize::MAX), "span");
    let were = if all == 1 { "was" } else { "were" };
    format!("{what} {were} lost{since}: {}.\n", words.join(", "))
}

fn explained(reason: Dropped) -> &'static str {
    match reason {
        Dropped::Quota => "to keep the spool within its size",
        Dropped::Rejected => "refused by a backend (`throughline recover --rejected` lists what is kept of them)",
        Dropped::NoSpace => "because the disk was full",
        Dropped::Damaged => "damaged",
        Dropped::Age => "because of their age",
        _ => "for other reasons",
    }
}

fn stored(contents: Contents) -> Vec<Stored> {
    contents.problems.iter().for_each(|problem| say(problem));
    let services: Vec<Arc<str>> = contents
        .processes
        .iter()
        .map(|process| process.service.as_str().into())
        .collect();
    let stored = contents.spans.into_iter().map(|span| Stored {
        body: span.body.into(),
        source: span.source,
        service: services.get(span.process).cloned().unwrap_or_default(),
        state: span.state,
        place: span.place,
    });
    stored.collect()
}
