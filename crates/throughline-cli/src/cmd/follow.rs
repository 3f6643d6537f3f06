//! `throughline follow`: spans as they come.

mod backlog;
#[cfg(unix)]
mod end;
#[cfg(not(unix))]
#[path = "follow/end_on_windows.rs"]
mod end;

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use throughline_spool::{Follower, NewSpan, Source};
use throughline_wire::terminal::escaped;
use throughline_wire::{SpanView, StatusCode, json};

use self::backlog::{Backlog, time_of};
use self::end::End;
use crate::exit::{Failure, say};
use crate::filter::Filter;
use crate::origin::Origins;
use crate::otlp::TracesData;
use crate::output::Output;
use crate::store::{self, State};
use crate::terminal::{Style, Terminal};
use crate::text::fit;
use crate::time::{Zone, ZoneOption, duration};

/// How often it is looked what has come.
const EVERY: Duration = Duration::from_millis(100);
/// Columns of a service, and the digits of a trace id.
const SERVICE: usize = 16;
const DIGITS: usize = 8;

/// Show spans as they end, of all programs that write into the spool.
///
/// One line per span: when it ended, the beginning of its trace id, its service, duration and name. A mark in the first
/// column tells of an error (!), and of a span that its process did not live to end (?). A span that has been open for a
/// second gets a line of its own (>), and another when it ends.
///
/// What is in the spool already is not shown, unless --since asks for it: then it comes first, in order of time. 32 MiB of it
/// are held in memory; what is more is sorted in temporary files. Ends with Ctrl-C.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline follow
  throughline follow --service shop --min-duration 100ms
  throughline follow --error --since 10m
  throughline follow --json > traces.jsonl")]
pub struct Follow {
    /// Spans that have ended as OTLP/JSON: one TracesData per line
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,

    #[command(flatten)]
    filter: Filter,
}

impl Follow {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let end = End::new().map_err(|error| Failure::new(format_args!("signals cannot be caught: {error}")))?;
        let mut output = Output::open(None)?;
        let mut follower = match self.filter.has_since() {
            true => Follower::from_the_beginning(&directory),
            false => Follower::new(&directory),
        };
        let mut lines = Lines {
            filter: &self.filter,
            zone: self.zone.zone(),
            terminal: Terminal::of_stdout(),
            origins: Origins::default(),
            data: self.json.then(TracesData::default),
            text: String::new(),
        };
        let mut backlog = self.filter.has_since().then(Backlog::new);
        let mut is_last = false;
        let written = loop {
            let mut added = Ok(());
            let out = output.writer();
            let problems = follower.look(&mut |new| {
                if added.is_ok() && lines.chooses(&new) {
                    added = match &mut backlog {
                        Some(backlog) => backlog.add(new),
                        None => lines.add(new.body, new.state, new.source, out),
                    };
                }
            });
            problems.iter().for_each(|problem| say(problem));
            let shown = added.and_then(|()| match backlog.take() {
                Some(backlog) => backlog.show(&mut |body, state, source| lines.add(body, state, source, out)),
                None => Ok(()),
            });
            let written = shown.and_then(|()| lines.write(out)).and_then(|()| out.flush());
            if written.is_err() || is_last {
                break written;
            }
            is_last = end.comes_within(EVERY);
        };
        output.finish(written).map(|()| 0)
    }
}

/// What is written for the spans that have come.
struct Lines<'a> {
    filter: &'a Filter,
    zone: Zone,
    terminal: Terminal,
    origins: Origins,
    /// With `--json`, what is not written yet.
    data: Option<TracesData>,
    text: String,
}

/// Text is written when there is so much of it, in bytes, and spans of JSON when there are so many.
const TEXT: usize = 64 << 10;
const SPANS: usize = 512;

impl Lines<'_> {
    fn chooses(&mut self, new: &NewSpan<'_>) -> bool {
        let origin = self.origins.of(new.source);
        self.filter.matches(&SpanView::new(new.body), &origin.service, &origin)
    }

    fn add(&mut self, body: &[u8], state: State, source: &Arc<Source>, out: &mut dyn Write) -> io::Result<()> {
        let is_full = match &mut self.data {
            Some(data) => {
                if state != State::Open {
                    data.add(source, body);
                }
                data.spans() >= SPANS
            }
            None => {
                let service = &self.origins.of(source).service;
                let (style, line) = line(&SpanView::new(body), state, service, &self.zone);
                let line = self.terminal.cut(&line, self.terminal.columns);
                self.text.push_str(&self.terminal.paint(style, &line));
                self.text.push('\n');
                self.text.len() >= TEXT
            }
        };
        match is_full {
            true => self.write(out),
            false => Ok(()),
        }
    }

    fn write(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if let Some(data) = self.data.as_mut().filter(|data| data.spans() > 0) {
            let mut request = Vec::new();
            data.take_into(&mut request);
            json::write_request(&mut self.text, &request).map_err(io::Error::other)?;
            self.text.push('\n');
        }
        let written = out.write_all(self.text.as_bytes());
        self.text.clear();
        written
    }
}

fn line(span: &SpanView<'_>, state: State, service: &str, zone: &Zone) -> (Style, String) {
    let (start, end) = (span.start_time_unix_nano(), span.end_time_unix_nano());
    let (status, message) = span.status();
    let (mark, style) = match state {
        State::Open => ('>', Style::Faint),
        State::Unfinished => ('?', Style::Warning),
        State::Finished if status == StatusCode::Error => ('!', Style::Error),
        State::Finished => (' ', Style::Plain),
    };
    let took = match state {
        State::Open => "open".to_owned(),
        _ => duration(end.saturating_sub(start)),
    };
    let trace = span.trace_id().map_or_else(String::new, |id| id.to_string());
    let message = match message {
        "" => String::new(),
        _ => format!(": {}", escaped(message)),
    };
    let line = format!(
        "{mark} {}  {:DIGITS$}  {}  {took:>9}  {}{message}",
        zone.clock(time_of(span, state)),
        trace.get(..DIGITS).unwrap_or_default(),
        fit(&escaped(service), SERVICE),
        escaped(span.name()),
    );
    (style, line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::span;

    #[test]
    fn lines_tell_how_a_span_ended() {
        let zone = Zone::new(true);
        let made = || span(1, "GET /\x1b", 0, 20);
        for (made, state, expected) in [
            (
                made(),
                State::Finished,
                "  00:00:01.020  07070707  shop                20.0 ms  GET /\\u{1b}",
            ),
            (
                made().error("no"),
                State::Finished,
                "! 00:00:01.020  07070707  shop                20.0 ms  GET /\\u{1b}: no",
            ),
            (
                made(),
                State::Unfinished,
                "? 00:00:01.020  07070707  shop                20.0 ms  GET /\\u{1b}",
            ),
            (
                made(),
                State::Open,
                "> 00:00:01.000  07070707  shop                   open  GET /\\u{1b}",
            ),
        ] {
            assert_eq!(line(&made.0.view(), state, "shop", &zone).1, expected);
        }
    }
}
