//! `throughline diff`: two traces, compared as trees.

mod compared;

use std::path::PathBuf;

use serde_json::{Value, json};
use throughline_wire::terminal::escaped;
use throughline_wire::{AnyValueView, StatusCode};

use self::compared::{Change, Compared, Difference, compare};
use crate::details;
use crate::exit::{Failure, USAGE, print};
use crate::plain_json;
use crate::store::{self, Stored};
use crate::table::Table;
use crate::terminal::{Style, Terminal};
use crate::text::count;
use crate::time::{Zone, ZoneOption, duration};
use crate::trace::{self, Trace};
use crate::wanted::Wanted;

/// Compare two traces.
///
/// Spans are matched from the roots down by their service, their name, and which of their siblings of that name they are.
/// One line per span: a mark where it is only in the first trace (-) or only in the second (+), both durations and their
/// ratio, and what else differs: the status, and attributes.
///
/// The exit code is 0 if both have the same spans, whatever their durations, statuses and attributes; 1 if not; 2 if they
/// cannot be compared.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: change (same, added, removed), depth, service, name; spanId, durationNano, status (unset, ok, error) as \
objects with a and b, either null where it is missing; ratio (of b to a, or null); attributes: key, a and b of each that differs.

Examples:
  throughline diff 4bf92f35 last
  throughline diff 4bf92f35 8a3ce929 --json")]
pub struct Diff {
    /// The first trace: its id or the beginning of it, or `last`
    #[arg(value_name = "A", value_parser = Wanted::parse)]
    a: Wanted,

    /// The second
    #[arg(value_name = "B", value_parser = Wanted::parse)]
    b: Wanted,

    /// One JSON object per span and line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,
}

impl Diff {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let zone = self.zone.zone();
        let traces = trace::group(store::read(&directory, &zone).0);
        let choose = |wanted: &Wanted| {
            let chosen = wanted.choose(&traces);
            chosen.map_err(|(message, cure)| {
                let directory = directory.display().to_string();
                Failure::with_code(USAGE, format_args!("{message} in {}; {cure}", escaped(&directory)))
            })
        };
        let (a, b) = (choose(&self.a)?, choose(&self.b)?);
        let compared = compare(&a, &b);
        let is_same = compared.iter().all(|row| row.change() == Change::Same);
        let lines = compared.iter().map(|row| Line::new(row, &a, &b));
        let out = match self.json {
            true => lines.map(|line| line.json()).collect(),
            false => {
                let mut table = Table::new(["", "span", "a", "b", "ratio", "differences"])
                    .right_aligned(2)
                    .right_aligned(3)
                    .right_aligned(4)
                    .shrinking(1, NAME)
                    .shrinking(5, DIFFERENCES);
                lines.for_each(|line| table.row(line.style(), line.cells()));
                let heading = format!("a {}\nb {}\n\n", heading(&a, &zone), heading(&b, &zone));
                heading + &table.draw(Terminal::of_stdout()) + &summary(&compared)
            }
        };
        print(&out)?;
        Ok(u8::from(!is_same))
    }
}

/// How narrow the columns of spans and differences may become.
const NAME: usize = 24;
const DIFFERENCES: usize = 11;

fn heading(trace: &Trace, zone: &Zone) -> String {
    let took = duration(trace.end - trace.start);
    format!(
        "{}  {} · {} · {took}",
        trace.id,
        escaped(trace.name()),
        zone.moment_with_zone(trace.start)
    )
}

fn summary(compared: &[Compared]) -> String {
    let number = |change: Change| compared.iter().filter(|row| row.change() == change).count();
    let same = count(number(Change::Same), "span");
    format!(
        "\n{same} in both, {} only in a, {} only in b\n",
        number(Change::Removed),
        number(Change::Added)
    )
}

/// A span of either trace, or of both.
struct Line<'a> {
    row: &'a Compared,
    a: Option<&'a Stored>,
    b: Option<&'a Stored>,
    attributes: Vec<Difference<'a>>,
}

impl<'a> Line<'a> {
    fn new(row: &'a Compared, a: &'a Trace, b: &'a Trace) -> Self {
        let a = row.a.map(|at| &a.spans[at]);
        let b = row.b.map(|at| &b.spans[at]);
        let attributes = match (a, b) {
            (Some(a), Some(b)) => compared::attributes(a, b),
            _ => Vec::new(),
        };
        Self { row, a, b, attributes }
    }

    fn either(&self) -> Option<&'a Stored> {
        self.a.or(self.b)
    }

    fn durations(&self) -> [Option<u64>; 2] {
        [self.a, self.b].map(|span| {
            let view = span?.view();
            view.end_time_unix_nano().checked_sub(view.start_time_unix_nano())
        })
    }

    fn ratio(&self) -> Option<f64> {
        match self.durations() {
            [Some(a), Some(b)] if a > 0 => Some(b as f64 / a as f64),
            _ => None,
        }
    }

    fn statuses(&self) -> [Option<&'static str>; 2] {
        [self.a, self.b].map(|span| {
            Some(match span?.view().status().0 {
                StatusCode::Error => "error",
                StatusCode::Ok => "ok",
                _ => "unset",
            })
        })
    }

    fn style(&self) -> Style {
        let [a, b] = self.statuses();
        match self.row.change() {
            Change::Added => Style::Strong,
            Change::Removed => Style::Faint,
            Change::Same if a != b && b == Some("error") => Style::Error,
            Change::Same => Style::Plain,
        }
    }

    fn cells(&self) -> [String; 6] {
        let mark = match self.row.change() {
            Change::Added => "+",
            Change::Removed => "-",
            Change::Same => "",
        };
        let service = self.either().map_or("", |span| &*span.service);
        let name = self.either().map_or("", |span| span.view().name());
        // However deep it is, the name is to be seen.
        let indent = "  ".repeat(self.row.depth.min(16));
        let [a, b] = self.durations().map(|took| took.map_or(String::new(), duration));
        let ratio = self.ratio().map_or(String::new(), |ratio| format!("×{ratio:.2}"));
        let span = format!("{indent}{}: {}", escaped(service), escaped(name));
        [
            mark.to_owned(),
            span,
            a,
            b,
            ratio,
            escaped(&self.differences()).into_owned(),
        ]
    }

    fn differences(&self) -> String {
        let mut all = Vec::new();
        if let [Some(a), Some(b)] = self.statuses() {
            if a != b {
                all.push(format!("status {a} → {b}"));
            }
        }
        let text = |value: &AnyValueView<'_>| details::text(value, 0);
        all.extend(
            self.attributes
                .iter()
                .map(|difference| match (&difference.a, &difference.b) {
                    (Some(a), Some(b)) => format!("{} {} → {}", difference.key, text(a), text(b)),
                    (Some(a), None) => format!("-{}={}", difference.key, text(a)),
                    (None, Some(b)) => format!("+{}={}", difference.key, text(b)),
                    (None, None) => String::new(),
                }),
        );
        all.join(", ")
    }

    fn json(&self) -> String {
        let change = match self.row.change() {
            Change::Added => "added",
            Change::Removed => "removed",
            Change::Same => "same",
        };
        let pair = |[a, b]: [Value; 2]| json!({"a": a, "b": b});
        let id = |span: Option<&Stored>| {
            span.and_then(|span| span.view().span_id())
                .map(|id| id.to_string())
                .into()
        };
        let attributes: Vec<_> = self
            .attributes
            .iter()
            .map(|difference| json!({"key": difference.key, "a": value(&difference.a), "b": value(&difference.b)}))
            .collect();
        let line = json!({
            "change": change,
            "depth": self.row.depth,
            "service": self.either().map(|span| &*span.service),
            "name": self.either().map(|span| span.view().name()),
            "spanId": pair([id(self.a), id(self.b)]),
            "durationNano": pair(self.durations().map(|took| took.map(|took| took.to_string()).into())),
            "ratio": self.ratio(),
            "status": pair(self.statuses().map(Value::from)),
            "attributes": attributes,
        });
        format!("{line}\n")
    }
}

fn value(any: &Option<AnyValueView<'_>>) -> Value {
    let mut text = Vec::new();
    if let Some(any) = any {
        plain_json::value(&mut text, any);
    }
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}
