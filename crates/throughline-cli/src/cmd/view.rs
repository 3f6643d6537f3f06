//! `throughline view`: one trace.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use throughline_wire::json;
use throughline_wire::terminal::escaped;

use crate::exit::{Failure, print};
use crate::filter::Filter;
use crate::origin::Origins;
use crate::store::{self, Stored};
use crate::terminal::Terminal;
use crate::text::count;
use crate::time::ZoneOption;
use crate::trace::{self, Trace};
use crate::wanted::Wanted;
use crate::waterfall;

/// Show a trace as a waterfall.
///
/// One line per span: the service where it changes and the name, as a tree; a bar to the scale of the whole trace; the
/// duration. A mark in the first column tells of an error (!), a span that its process did not live to end (?), one
/// that is still open (>), and one whose parent is not in this spool (^).
///
/// With filters only spans that pass all of them are shown, and their ancestors; `last` is then the newest trace with such
/// a span.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline view last
  throughline view 4bf92f35 --attributes
  throughline view last --service shop --error
  throughline view last --json > trace.jsonl")]
pub struct View {
    /// The trace's id or the beginning of it, as `throughline ls` shows it; `last` for the newest
    #[arg(value_name = "ID", value_parser = Wanted::parse)]
    id: Wanted,

    /// Attributes, events and links of each span too
    #[arg(short, long)]
    attributes: bool,

    /// The trace as OTLP/JSON: one TracesData on one line
    #[arg(long, conflicts_with = "attributes")]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,

    #[command(flatten)]
    filter: Filter,
}

impl View {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let zone = self.zone.zone();
        let mut traces = trace::group(store::read(&directory, &zone).0);
        let mut chosen = Chosen::new(&self.filter);
        if self.id == Wanted::Last && !self.filter.is_empty() {
            traces.retain(|_, spans| spans.iter().any(|span| chosen.is(span)));
        }
        let trace = self.id.choose(&traces).map_err(|(message, cure)| {
            let (message, cure) = match self.id == Wanted::Last && !self.filter.is_empty() {
                true => (
                    "no trace has a span that passes the filters",
                    "`throughline ls` lists the traces",
                ),
                false => (&*message, cure),
            };
            let directory = directory.display().to_string();
            Failure::new(format_args!("{message} in {}; {cure}", escaped(&directory)))
        })?;
        let all = trace.spans.len();
        let trace = chosen.with_ancestors(trace);
        if self.json {
            let mut line = String::new();
            json::write_request(&mut line, &trace.to_otlp())
                .map_err(|error| Failure::new(format_args!("the trace cannot be written as JSON: {error}")))?;
            return print(&(line + "\n"));
        }
        let mut out = waterfall::draw(&trace, Terminal::of_stdout(), &zone, self.attributes);
        if all > trace.spans.len() {
            let others = count(all - trace.spans.len(), "other span");
            out.push_str(&format!("{others} of the trace did not pass the filters\n"));
        }
        print(&out)
    }
}

/// The spans that a filter chooses.
struct Chosen<'a> {
    filter: &'a Filter,
    origins: Origins,
}

impl<'a> Chosen<'a> {
    fn new(filter: &'a Filter) -> Self {
        Self {
            filter,
            origins: Origins::default(),
        }
    }

    fn is(&mut self, span: &Stored) -> bool {
        self.filter.is_empty() || {
            let origin = self.origins.of(&span.source);
            self.filter.matches(&span.view(), &span.service, &origin)
        }
    }

    /// The trace with the chosen spans and all above them.
    fn with_ancestors(&mut self, trace: Trace) -> Trace {
        if self.filter.is_empty() {
            return trace;
        }
        let by_id: HashMap<_, _> = (0..)
            .zip(&trace.spans)
            .filter_map(|(index, span)| Some((span.view().span_id()?, index)))
            .collect();
        let mut kept = HashSet::new();
        for (index, span) in trace.spans.iter().enumerate() {
            let mut next = self.is(span).then_some(index);
            // Where the parents go in a circle it ends at the first that was kept before.
            while let Some(index) = next.filter(|index| kept.insert(*index)) {
                let parent = trace.spans[index].view().parent_span_id();
                next = parent.and_then(|parent| by_id.get(&parent).copied());
            }
        }
        let spans = (0..).zip(trace.spans).filter(|(index, _)| kept.contains(index));
        Trace::new(trace.id, spans.map(|(_, span)| span).collect())
    }
}
