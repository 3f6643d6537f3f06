//! `throughline ls`: the recent traces.

use std::path::{Path, PathBuf};

use serde_json::json;
use throughline_wire::terminal::escaped;

use crate::exit::{Failure, print};
use crate::filter::Filter;
use crate::origin::Origins;
use crate::store::{self, Stored};
use crate::table::Table;
use crate::terminal::{Style, Terminal};
use crate::text::count;
use crate::time::{Zone, ZoneOption, duration};
use crate::trace::{self, Trace};

/// List recent traces, newest first.
///
/// Shows each trace with the shortest beginning of its id that `view` accepts, its start in local time, duration, number of
/// spans, the name of its root, and its services. In the column of marks: ! errors, ? spans that their process did not live
/// to end, > spans that are still open, ~ spans that wait for delivery to a backend. A last line says how many spans were
/// lost, and why, if any were.
///
/// With filters a trace is listed when one of its spans passes all of them.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: traceId, name, startTimeUnixNano, durationNano, services, spans, errors, unfinished, open, pending.

Examples:
  throughline ls --since 10m --error
  throughline ls --service shop --min-duration 100ms
  throughline ls --attribute http.route=/cart --json")]
pub struct Ls {
    /// How many traces at most
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = whole_number)]
    number: usize,

    /// One JSON object per line; times in nanoseconds since 1970
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,

    #[command(flatten)]
    filter: Filter,
}

impl Ls {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let zone = self.zone.zone();
        let (spans, lost) = store::read(&directory, &zone);
        let mut grouped = trace::group(spans);
        let ids: Vec<_> = grouped.keys().map(ToString::to_string).collect();
        let prefix = unique_prefix(&ids);
        let mut origins = Origins::default();
        grouped.retain(|_, spans| spans.iter().any(|span| passes(&self.filter, span, &mut origins)));
        let mut traces: Vec<_> = grouped.into_iter().map(|(id, spans)| Trace::new(id, spans)).collect();
        traces.sort_by_key(|trace| std::cmp::Reverse((trace.start, trace.id)));
        let total = traces.len();
        traces.truncate(self.number);
        if self.json {
            return print(&traces.iter().map(json_line).collect::<String>());
        }
        if total == 0 {
            let nothing = match ids.is_empty() {
                true => nothing(&directory),
                false => format!(
                    "None of {} has a span that passes the filters.\n",
                    count(ids.len(), "trace")
                ),
            };
            return print(&(nothing + &lost));
        }
        let mut out = table(&traces, prefix, &zone, Terminal::of_stdout());
        if total > traces.len() {
            let older = count(total - traces.len(), "older trace");
            out.push_str(&format!("… and {older}; -n {total} shows them all\n"));
        }
        out.push_str(&lost);
        print(&out)
    }
}

fn passes(filter: &Filter, span: &Stored, origins: &mut Origins) -> bool {
    filter.is_empty() || filter.matches(&span.view(), &span.service, &origins.of(&span.source))
}

/// How many digits tell all these ids apart, at least 8. They are sorted.
pub fn unique_prefix(ids: &[String]) -> usize {
    let common = |pair: &[String]| pair[0].bytes().zip(pair[1].bytes()).take_while(|(a, b)| a == b).count();
    ids.windows(2)
        .map(|pair| common(pair) + 1)
        .max()
        .unwrap_or(0)
        .clamp(8, 32)
}

fn whole_number(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "expected a whole number".to_owned())
}

fn nothing(directory: &Path) -> String {
    let what = match directory.exists() {
        true => "No traces in",
        false => "No traces: there is no directory",
    };
    let directory = directory.display().to_string();
    format!(
        "{what} {}.\nMake one with `throughline demo`, or `throughline run -- <command>`; \
         another spool is read with --spool DIR.\n",
        escaped(&directory)
    )
}

fn json_line(trace: &Trace) -> String {
    let line = json!({
        "traceId": trace.id.to_string(),
        "name": trace.name(),
        "startTimeUnixNano": trace.start.to_string(),
        "durationNano": (trace.end - trace.start).to_string(),
        "services": trace.services(),
        "spans": trace.spans.len(),
        "errors": trace.errors(),
        "unfinished": trace.unfinished(),
        "open": trace.open(),
        "pending": trace.pending(),
    });
    format!("{line}\n")
}

/// How narrow the columns of services and names may become.
const SERVICES: usize = 8;
const NAME: usize = 24;

fn table(traces: &[Trace], prefix: usize, zone: &Zone, terminal: Terminal) -> String {
    let start = format!("start{}", zone.heading_suffix());
    let mut table = Table::new(["trace", &start, "took", "spans", "", "name", "services"])
        .right_aligned(2)
        .right_aligned(3)
        .shrinking(5, NAME)
        .shrinking(6, SERVICES);
    for trace in traces {
        let style = match (trace.errors(), trace.unfinished()) {
            (0, 0) => Style::Plain,
            (0, _) => Style::Warning,
            _ => Style::Error,
        };
        let start = match terminal.is_limit {
            true => zone.short_moment(trace.start),
            false => zone.moment(trace.start),
        };
        table.row(style, cells(trace, prefix, start));
    }
    table.draw(terminal)
}

fn cells(trace: &Trace, prefix: usize, start: String) -> [String; 7] {
    let services: Vec<_> = trace.services().into_iter().collect();
    let mut id = trace.id.to_string();
    id.truncate(prefix);
    [
        id,
        start,
        duration(trace.end - trace.start),
        trace.spans.len().to_string(),
        marks(trace),
        escaped(trace.name()).into_owned(),
        escaped(&services.join(", ")).into_owned(),
    ]
}

fn marks(trace: &Trace) -> String {
    let all = [
        (trace.errors(), '!'),
        (trace.unfinished(), '?'),
        (trace.open(), '>'),
        (trace.pending(), '~'),
    ];
    all.into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(_, sign)| sign)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefix_is_long_enough_to_tell_ids_apart() {
        let ids = |ids: &[&str]| ids.iter().map(|id| format!("{id:0<32}")).collect::<Vec<_>>();
        for (given, digits) in [
            (ids(&[]), 8),
            (ids(&["a"]), 8),
            (ids(&["a", "b"]), 8),
            (ids(&["aaaaaaaaaa1", "aaaaaaaaaa2", "b"]), 11),
        ] {
            assert_eq!(unique_prefix(&given), digits, "{given:?}");
        }
    }
}
