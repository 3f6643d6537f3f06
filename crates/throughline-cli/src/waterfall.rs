//! A trace as a waterfall: one line per span, as a tree at the left, as bars to scale at the right.
//!
//! ```text
//! trace 4bf92f3577b34da6a3ce929d0e0e4736
//! nightly · 2026-11-21 04:03:48 UTC · 1.24 s · 3 spans of 2 services · 1 error
//!
//!   shell: nightly           ████████████████████    1.24 s
//!   ├─ pack                  ████                    251 ms
//! ! └─ upload: POST /jobs        ███████████████     980 ms
//!        exit code 1
//! ```
//!
//! What matters is there without colours too: a mark in the first column, and another pattern for the bars of spans
//! that have not ended.

use throughline_wire::StatusCode;
use throughline_wire::terminal::escaped;

use crate::details;
use crate::store::{State, Stored};
use crate::terminal::{Style, Terminal};
use crate::text::{count, fit, width};
use crate::time::{Zone, duration};
use crate::trace::{Row, Trace};

/// Columns of the last field: `unfinished` fits.
const DURATION: usize = 10;
/// Columns that hold nothing: after the mark, around the bars.
const GAPS: usize = 3;
/// Bars get no less than this share of what label and bars have together, in percent.
const BARS: usize = 40;
/// The fewest columns for a name at the end of its branch; deeper branches are drawn without their beginnings.
const NAME: usize = 8;
/// Columns of one level of the tree.
const STEP: usize = 3;
/// More levels are never drawn, however wide the terminal is.
const LEVELS: usize = 32;

/// Draws a trace; with the attributes and events of its spans, if they are wanted.
pub fn draw(trace: &Trace, terminal: Terminal, zone: &Zone, with_details: bool) -> String {
    let labels = labels(trace);
    let room = terminal.columns.saturating_sub(1 + GAPS + DURATION);
    let widest = labels.iter().map(Label::columns).max().unwrap_or(0);
    let label_columns = widest.min(room - room * BARS / 100);
    let canvas = Canvas {
        trace,
        terminal,
        label_columns,
        bar_columns: room - label_columns,
    };
    let mut out = heading(trace, terminal, zone);
    let mut seen = Vec::new();
    for (row, label) in trace.rows.iter().zip(&labels) {
        let span = &trace.spans[row.span];
        let mark = Mark::of(row, span);
        seen.extend(mark);
        out.push_str(&canvas.row(span, label, mark));
        let (status, message) = span.view().status();
        if status == StatusCode::Error && !message.is_empty() {
            out.push_str(&canvas.below(label, style(mark), message));
        }
        if with_details {
            let lines = details::lines(span);
            out.extend(lines.iter().map(|line| canvas.below(label, Style::Faint, line)));
        }
    }
    out + &legend(&seen, terminal)
}

fn heading(trace: &Trace, terminal: Terminal, zone: &Zone) -> String {
    let id = format!("trace {}", trace.id);
    let id = terminal.paint(Style::Strong, &terminal.cut(&id, terminal.columns));
    let summary = format!("{} · {}", escaped(trace.name()), summary(trace, zone));
    format!("{id}\n{}\n\n", terminal.cut(&summary, terminal.columns))
}

/// When, how long, how many: `2026-11-21 04:03:48 UTC · 1.24 s · 3 spans of 2 services · 1 error`.
fn summary(trace: &Trace, zone: &Zone) -> String {
    let spans = count(trace.spans.len(), "span");
    let services = count(trace.services().len(), "service");
    let mut parts = vec![
        zone.moment_with_zone(trace.start),
        duration(trace.end - trace.start),
        format!("{spans} of {services}"),
    ];
    if trace.errors() > 0 {
        parts.push(count(trace.errors(), "error"));
    }
    for (number, what) in [(trace.unfinished(), "unfinished"), (trace.open(), "open")] {
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" · ")
}

/// What all lines of a drawing share.
struct Canvas<'a> {
    trace: &'a Trace,
    terminal: Terminal,
    label_columns: usize,
    bar_columns: usize,
}

impl Canvas<'_> {
    /// The line of a span.
    fn row(&self, span: &Stored, label: &Label, mark: Option<Mark>) -> String {
        let view = span.view();
        let took = match span.state {
            State::Finished => duration(view.end_time_unix_nano().saturating_sub(view.start_time_unix_nano())),
            State::Open => "open".to_owned(),
            State::Unfinished => "unfinished".to_owned(),
        };
        let paint = |text: &str| self.terminal.paint(style(mark), text);
        let branch = label.branch(self.label_columns);
        let text = fit(&label.text, self.label_columns.saturating_sub(width(&branch)));
        let (before, bar) = self.bar(span);
        let after = self.bar_columns - before - width(&bar);
        format!(
            "{} {}{} {:before$}{}{:after$} {}\n",
            paint(mark.map_or(" ", Mark::sign)),
            self.terminal.paint(Style::Faint, &branch),
            paint(&text),
            "",
            paint(&bar),
            "",
            paint(&format!("{took:>DURATION$}")),
        )
    }

    /// A line below a span that belongs to it.
    fn below(&self, label: &Label, style: Style, text: &str) -> String {
        let branch = label.branch_below(self.label_columns);
        let room = self.terminal.columns.saturating_sub(2 + width(&branch));
        let text = self.terminal.paint(style, &self.terminal.cut(&escaped(text), room));
        format!("  {}{text}\n", self.terminal.paint(Style::Faint, &branch))
    }

    /// How many columns stand before the bar, and the bar; at least one column, whatever the times say.
    fn bar(&self, span: &Stored) -> (usize, String) {
        let (trace, columns) = (self.trace, self.bar_columns);
        let total = u128::from((trace.end - trace.start).max(1));
        let at = |time: u64| u128::from(time.saturating_sub(trace.start)) * columns as u128;
        let end = match span.state {
            State::Open => trace.end,
            State::Finished | State::Unfinished => span.last_known(),
        };
        let first = ((at(span.view().start_time_unix_nano()) / total) as usize).min(columns - 1);
        let last = (at(end).div_ceil(total) as usize).clamp(first + 1, columns);
        let pattern = match span.state {
            State::Finished => "█",
            State::Open => "▒",
            State::Unfinished => "░",
        };
        (first, pattern.repeat(last - first))
    }
}

/// The labels of all rows.
fn labels(trace: &Trace) -> Vec<Label> {
    // Of the branch that leads to the row at hand: whether each span on it is the last child, and its service.
    let mut ends = Vec::new();
    let mut services: Vec<&str> = Vec::new();
    let mut labels = Vec::with_capacity(trace.rows.len());
    for (index, row) in trace.rows.iter().enumerate() {
        let span = &trace.spans[row.span];
        ends.truncate(row.depth);
        ends.push(row.is_last);
        services.truncate(row.depth);
        let name = escaped(span.view().name());
        // A service is said once for a whole branch: where it changes.
        let text = match services.last() {
            Some(parent) if **parent == *span.service => name.into_owned(),
            _ => format!("{}: {name}", escaped(&span.service)),
        };
        services.push(&span.service);
        let drawn = row.depth.min(LEVELS);
        labels.push(Label {
            ends: ends[ends.len() - drawn..].to_vec(),
            depth: row.depth,
            has_children: trace.rows.get(index + 1).is_some_and(|next| next.depth > row.depth),
            text,
        });
    }
    labels
}

/// What stands at the left of a span, before it is known how much room there is.
struct Label {
    /// For the span and its ancestors, the root apart: whether no sibling follows. Of many only the lowest.
    ends: Vec<bool>,
    /// How many ancestors there are.
    depth: usize,
    has_children: bool,
    text: String,
}

impl Label {
    /// The columns it would fill if it had them.
    fn columns(&self) -> usize {
        // However short the name: the lines that lead to it are cut off for want of room for a name.
        self.ends.len() * STEP + width(&self.text).max(NAME)
    }

    /// The lines that lead to the span from above.
    fn branch(&self, columns: usize) -> String {
        match self.drawn(columns).split_last() {
            None => self.cut_off(columns, String::new()),
            Some((is_last, above)) => self.cut_off(columns, lines(above) + if *is_last { "└─ " } else { "├─ " }),
        }
    }

    /// The lines that go on beside what belongs to the span.
    fn branch_below(&self, columns: usize) -> String {
        lines(self.drawn(columns)) + if self.has_children { "│  " } else { "   " }
    }

    /// The lowest levels, as many as leave room for a name.
    fn drawn(&self, columns: usize) -> &[bool] {
        let levels = self.ends.len().min(columns.saturating_sub(NAME) / STEP);
        &self.ends[self.ends.len() - levels..]
    }

    /// With an ellipsis in the first column, if there are levels that are not drawn.
    fn cut_off(&self, columns: usize, branch: String) -> String {
        if self.depth == self.drawn(columns).len() {
            return branch;
        }
        let rest: String = branch.chars().skip(1).collect();
        format!("…{rest}")
    }
}

fn lines(ends: &[bool]) -> String {
    ends.iter()
        .map(|is_last| if *is_last { "   " } else { "│  " })
        .collect()
}

/// What is worth seeing at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Unfinished,
    Error,
    Open,
    Orphan,
}

impl Mark {
    const ALL: [Self; 4] = [Self::Error, Self::Unfinished, Self::Open, Self::Orphan];

    fn of(row: &Row, span: &Stored) -> Option<Self> {
        match (span.state, span.view().status().0) {
            (State::Unfinished, _) => Some(Self::Unfinished),
            (_, StatusCode::Error) => Some(Self::Error),
            (State::Open, _) => Some(Self::Open),
            _ => row.is_orphan.then_some(Self::Orphan),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Unfinished => "?",
            Self::Error => "!",
            Self::Open => ">",
            Self::Orphan => "^",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished: its process ended first",
            Self::Error => "error",
            Self::Open => "open: it has not ended yet",
            Self::Orphan => "its parent is not in this spool",
        }
    }
}

fn style(mark: Option<Mark>) -> Style {
    match mark {
        Some(Mark::Error) => Style::Error,
        Some(Mark::Unfinished | Mark::Open) => Style::Warning,
        Some(Mark::Orphan) | None => Style::Plain,
    }
}

/// What the marks mean that were drawn.
fn legend(seen: &[Mark], terminal: Terminal) -> String {
    let mut out = String::new();
    for mark in Mark::ALL.into_iter().filter(|mark| seen.contains(mark)) {
        let line = format!("{} {}", mark.sign(), mark.meaning());
        out.push_str(if out.is_empty() { "\n" } else { "" });
        out.push_str(&terminal.paint(Style::Faint, &terminal.cut(&line, terminal.columns)));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
