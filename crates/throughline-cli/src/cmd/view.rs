//! `throughline view`: one trace.

use std::collections::BTreeMap;
use std::path::PathBuf;

use throughline_wire::terminal::escaped;
use throughline_wire::{TraceId, json};

use crate::exit::{Failure, print};
use crate::store::{self, Stored};
use crate::terminal::Terminal;
use crate::time::ZoneOption;
use crate::trace::{self, Trace};
use crate::waterfall;

/// Candidates that are listed when a prefix is ambiguous.
const CANDIDATES: usize = 8;

/// Show a trace as a waterfall.
///
/// One line per span: the service where it changes and the name, as a tree; a bar to the scale of the whole trace; the
/// duration. A mark in the first column tells of an error (!), a span that its process did not live to end (?), one
/// that is still open (>), and one whose parent is not in this spool (^).
#[derive(clap::Args)]
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
}

/// Which trace.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Last,
    Prefix(String),
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "last" => Ok(Self::Last),
            _ if (1..=32).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                Ok(Self::Prefix(text.to_ascii_lowercase()))
            }
            _ => Err("a trace id is 1 to 32 hexadecimal digits, or `last`".to_owned()),
        }
    }
}

impl View {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let zone = self.zone.zone();
        let traces = trace::group(store::read(&directory, &zone).0);
        let trace = choose(traces, &self.id).map_err(|(message, cure)| {
            let directory = directory.display().to_string();
            Failure::new(format_args!("{message} in {}; {cure}", escaped(&directory)))
        })?;
        if self.json {
            let mut line = String::new();
            json::write_request(&mut line, &trace.to_otlp())
                .map_err(|error| Failure::new(format_args!("the trace cannot be written as JSON: {error}")))?;
            return print(&(line + "\n"));
        }
        print(&waterfall::draw(&trace, Terminal::of_stdout(), &zone, self.attributes))
    }
}

/// The trace that is meant, or why there is none and what to do.
fn choose(mut traces: BTreeMap<TraceId, Vec<Stored>>, wanted: &Wanted) -> Result<Trace, (String, &'static str)> {
    let id = match wanted {
        Wanted::Last => newest(&traces).ok_or(("there are no traces".to_owned(), "`throughline demo` makes one"))?,
        Wanted::Prefix(prefix) => only_one(traces.keys(), prefix)?,
    };
    Ok(Trace::new(id, traces.remove(&id).unwrap_or_default()))
}

fn newest(traces: &BTreeMap<TraceId, Vec<Stored>>) -> Option<TraceId> {
    let start = |spans: &[Stored]| spans.iter().map(|span| span.view().start_time_unix_nano()).min();
    let newest = traces.iter().max_by_key(|(_, spans)| start(spans));
    newest.map(|(id, _)| *id)
}

fn only_one<'a>(ids: impl Iterator<Item = &'a TraceId>, prefix: &str) -> Result<TraceId, (String, &'static str)> {
    let found: Vec<_> = ids.filter(|id| id.to_string().starts_with(prefix)).collect();
    match found[..] {
        [id] => Ok(*id),
        [] => Err((
            format!("no trace id begins with '{prefix}'"),
            "`throughline ls` lists the traces",
        )),
        _ => {
            let mut listed: Vec<_> = found.iter().take(CANDIDATES).map(ToString::to_string).collect();
            if found.len() > CANDIDATES {
                listed.push(format!("and {} more", found.len() - CANDIDATES));
            }
            let message = format!(
                "'{prefix}' is the beginning of {} trace ids ({})",
                found.len(),
                listed.join(", ")
            );
            Err((message, "give more digits"))
        }
    }
}
