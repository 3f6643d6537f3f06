//! `throughline stats`: how long spans take and how often they fail, by service and name.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::json;
use throughline_wire::terminal::escaped;
use throughline_wire::{SpanView, StatusCode};

use crate::exit::{Failure, print};
use crate::histogram::Histogram;
use crate::input::{Input, Visitor};
use crate::origin::Origin;
use crate::table::Table;
use crate::terminal::{Style, Terminal};
use crate::text::count;
use crate::time::duration;

/// Show latency percentiles and error rates by service and span name.
///
/// Counts the spans of the spool, or of files, that have ended; those that their process did not live to end count as
/// errors. Percentiles are within 0.4 % of the exact ones; count, max and total are exact.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: service, name, count, errors, p50Nano, p90Nano, p99Nano, maxNano, totalNano.

Examples:
  throughline stats
  throughline stats --since 1h --sort p99 -n 10
  throughline stats --service shop --json
  throughline stats traces.jsonl")]
pub struct Stats {
    /// By what the rows are sorted, the largest first
    #[arg(long, value_name = "COLUMN", default_value = "total")]
    sort: Column,

    /// How many rows at most [default: all]
    #[arg(short, long, value_name = "N")]
    number: Option<usize>,

    /// One JSON object per line; durations in nanoseconds
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    input: Input,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Column {
    Count,
    /// The share of errors
    Errors,
    Max,
    /// By service and name, from A to Z
    Name,
    P50,
    P90,
    P99,
    Total,
}

impl Stats {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let mut counted = Counted::default();
        let read = self.input.read(spool, &mut counted)?;
        let bad = read.map_err(|error| Failure::new(format_args!("the spans cannot be counted: {error}")))?;
        let mut rows = counted.rows();
        rows.sort_by(|a, b| (&a.service, &a.name).cmp(&(&b.service, &b.name)));
        rows.sort_by_cached_key(|row| Reverse(row.key(self.sort)));
        let all = rows.len();
        rows.truncate(self.number.unwrap_or(all));
        let out = match self.json {
            true => rows.iter().map(Row::json_line).collect(),
            false if all == 0 => "No spans that have ended, or none that pass the filters.\n".to_owned(),
            false => {
                let more = all - rows.len();
                let more = match more {
                    0 => String::new(),
                    _ => format!("… and {}; -n {all} shows them all\n", count(more, "more row")),
                };
                table(&rows, Terminal::of_stdout()) + &more
            }
        };
        print(&out)?;
        bad.into_result()
    }
}

/// What was counted so far.
#[derive(Default)]
struct Counted {
    /// By service, then by name.
    services: HashMap<Arc<str>, HashMap<Box<str>, Figures>>,
}

#[derive(Default)]
struct Figures {
    durations: Histogram,
    errors: u64,
}

struct Row {
    service: Arc<str>,
    name: Box<str>,
    figures: Figures,
}

impl Visitor for Counted {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        let span = span.fields();
        let end = span.end_time_unix_nano();
        if end == 0 {
            return Ok(());
        }
        let took = end.saturating_sub(span.start_time_unix_nano());
        let is_error = span.status().0 == StatusCode::Error;
        let service = &origin.service;
        // Looked for before it is put there: most names were seen before, and cost nothing.
        match self
            .services
            .get_mut(service)
            .and_then(|names| names.get_mut(span.name()))
        {
            Some(figures) => figures.add(took, is_error),
            None => {
                let names = self.services.entry(service.clone()).or_default();
                names.entry(span.name().into()).or_default().add(took, is_error);
            }
        }
        Ok(())
    }
}

impl Figures {
    fn add(&mut self, took: u64, is_error: bool) {
        self.durations.add(took);
        self.errors += u64::from(is_error);
    }
}

impl Counted {
    fn rows(self) -> Vec<Row> {
        let rows = self.services.into_iter().flat_map(|(service, names)| {
            names.into_iter().map(move |(name, figures)| Row {
                service: service.clone(),
                name,
                figures,
            })
        });
        rows.collect()
    }
}

impl Row {
    fn key(&self, column: Column) -> u64 {
        let durations = &self.figures.durations;
        match column {
            Column::Count => durations.count(),
            // In millionths.
            Column::Errors => self.figures.errors.saturating_mul(1_000_000) / durations.count().max(1),
            Column::Max => durations.max(),
            Column::Name => 0,
            Column::P50 => durations.percentile(50),
            Column::P90 => durations.percentile(90),
            Column::P99 => durations.percentile(99),
            Column::Total => durations.total(),
        }
    }

    fn json_line(&self) -> String {
        let durations = &self.figures.durations;
        let line = json!({
            "service": &*self.service,
            "name": &*self.name,
            "count": durations.count(),
            "errors": self.figures.errors,
            "p50Nano": durations.percentile(50).to_string(),
            "p90Nano": durations.percentile(90).to_string(),
            "p99Nano": durations.percentile(99).to_string(),
            "maxNano": durations.max().to_string(),
            "totalNano": durations.total().to_string(),
        });
        format!("{line}\n")
    }

    fn cells(&self) -> [String; 9] {
        let durations = &self.figures.durations;
        [
            durations.count().to_string(),
            percent(self.figures.errors, durations.count()),
            duration(durations.percentile(50)),
            duration(durations.percentile(90)),
            duration(durations.percentile(99)),
            duration(durations.max()),
            duration(durations.total()),
            escaped(&self.service).into_owned(),
            escaped(&self.name).into_owned(),
        ]
    }
}

/// How narrow the columns of services and names may become.
const SERVICE: usize = 8;
const NAME: usize = 16;

fn table(rows: &[Row], terminal: Terminal) -> String {
    let headings = [
        "count", "errors", "p50", "p90", "p99", "max", "total", "service", "name",
    ];
    let mut table = Table::new(headings).shrinking(7, SERVICE).shrinking(8, NAME);
    for column in 0..7 {
        table = table.right_aligned(column);
    }
    for row in rows {
        let style = match row.figures.errors {
            0 => Style::Plain,
            _ => Style::Error,
        };
        table.row(style, row.cells());
    }
    table.draw(terminal)
}

/// A share of errors: nothing for none, and never `0 %` for some.
fn percent(errors: u64, count: u64) -> String {
    let percent = errors as f64 * 100.0 / count.max(1) as f64;
    match percent {
        _ if errors == 0 => String::new(),
        _ if percent < 0.1 => "<0.1 %".to_owned(),
        _ if percent < 9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_a_share_of_the_count() {
        for (errors, count, shown) in [
            (0, 0, ""),
            (0, 9, ""),
            (1, 1_000_000, "<0.1 %"),
            (1, 1_000, "0.1 %"),
            (1, 3, "33 %"),
            (5, 5, "100 %"),
        ] {
            assert_eq!(percent(errors, count), shown);
        }
    }
}
