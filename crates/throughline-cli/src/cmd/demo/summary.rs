//! What the demo shows at its end: what was done, the trace, and whether the spool has all of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use throughline::{Report, SpanId, TraceId};
use throughline_wire::terminal::escaped;

use super::pack::{MAX_BYTES, MAX_FILES, Packed};
use super::span_log::SpanLog;
use crate::exit::{FAILURE, Failure, print};
use crate::store::{self, Place, State};
use crate::terminal::Terminal;
use crate::text::count;
use crate::time::Zone;
use crate::trace::Trace;
use crate::waterfall;

/// The job as it went, for people.
pub struct JobSummary {
    pub packed: Packed,
    /// Bytes that came back.
    pub compressed: usize,
    /// The process id of the worker that was killed.
    pub killed: Option<u32>,
    /// Where the files of the job were left.
    pub kept: Option<PathBuf>,
}

impl fmt::Display for JobSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = count(self.packed.contents.len(), "file");
        let (before, after) = (bytes(self.packed.bytes), bytes(self.compressed as u64));
        writeln!(
            f,
            "Packed {files} ({before}), had them compressed ({after}) by a server, a queue, a worker and its child,"
        )?;
        writeln!(f, "and compared what came back: every file is the same.")?;
        if self.packed.left_out > 0 {
            let left_out = count(self.packed.left_out, "file");
            let limit = bytes(MAX_BYTES);
            writeln!(
                f,
                "Not packed: {left_out}, unreadable or beyond the demo's limit of {limit} and {MAX_FILES} files in all."
            )?;
        }
        if self.packed.is_cut_short {
            writeln!(
                f,
                "The directory has too many entries for a demo: only the first were looked at."
            )?;
        }
        if let Some(pid) = self.killed {
            writeln!(
                f,
                "Worker {pid} was killed by SIGKILL while its child ran; another took the job up again."
            )?;
        }
        if let Some(kept) = &self.kept {
            writeln!(
                f,
                "The files of the job are in {}.",
                escaped(&kept.display().to_string())
            )?;
        }
        Ok(())
    }
}

/// The spool compared with the log of the demo's processes.
pub struct SpanCheck {
    trace: Trace,
    /// The spool that was given as an option.
    spool: Option<PathBuf>,
    report: Report,
    began: usize,
    ended: usize,
    /// Of those that ended, how many the spool has as finished.
    finished: usize,
    /// Of those that began and did not end, how many the spool has.
    unfinished: usize,
}

impl SpanCheck {
    pub fn read(spool: &Path, option: Option<PathBuf>, id: TraceId, log: &SpanLog, report: Report) -> Self {
        let spans = store::read_trace(spool, id);
        let found: BTreeMap<SpanId, State> = spans
            .iter()
            .filter_map(|span| Some((span.view().span_id()?, span.state)))
            .collect();
        let is_finished = |id: &&SpanId| found.get(*id) == Some(&State::Finished);
        let killed = log.began.difference(&log.ended);
        Self {
            began: log.began.len(),
            ended: log.ended.len(),
            finished: log.ended.iter().filter(is_finished).count(),
            unfinished: killed.filter(|id| found.contains_key(*id)).count(),
            trace: Trace::new(id, spans),
            spool: option,
            report,
        }
    }

    /// Prints all of it; fails if a span is missing.
    pub fn show(&self, job: &JobSummary) -> Result<u8, Failure> {
        let mut out = format!("{job}\n");
        if !self.trace.spans.is_empty() {
            out.push_str(&waterfall::draw(
                &self.trace,
                Terminal::of_stdout(),
                &Zone::new(false),
                false,
            ));
            out.push('\n');
        }
        out.push_str(&format!("{}\n", self.balance()));
        if let Some(delivery) = self.delivery() {
            out.push_str(&format!("{delivery}\n"));
        }
        if !self.trace.spans.is_empty() {
            out.push_str(&format!("See it again: {}\n", self.hint()));
        }
        print(&out)?;
        Ok(if self.is_whole() { 0 } else { FAILURE })
    }

    /// The command that shows the trace, as it works in the same shell: with this program's name and the spool as they
    /// were typed.
    fn hint(&self) -> String {
        let program = std::env::args_os().next();
        let program = program.map_or("throughline".into(), |program| program.to_string_lossy().into_owned());
        let spool = self
            .spool
            .as_ref()
            .map(|spool| format!(" --spool {}", quoted(&spool.to_string_lossy())));
        format!(
            "{}{} view {}",
            quoted(&program),
            spool.unwrap_or_default(),
            self.trace.id
        )
    }

    fn is_whole(&self) -> bool {
        self.finished == self.ended && self.unfinished == self.began - self.ended
    }

    /// `16 spans began, 15 ended; the spool has 15 finished and 1 unfinished: nothing is missing.`
    fn balance(&self) -> String {
        let verdict = if self.is_whole() {
            "nothing is missing"
        } else {
            "something is missing"
        };
        let began = count(self.began, "span");
        match self.began - self.ended {
            0 => format!("{began} began and ended; the spool has {}: {verdict}.", self.finished),
            _ => format!(
                "{began} began, {} ended; the spool has {} finished and {} unfinished: {verdict}.",
                self.ended, self.finished, self.unfinished
            ),
        }
    }

    /// What a backend has of it; nothing where none is configured.
    fn delivery(&self) -> Option<String> {
        let number = |place| self.trace.spans.iter().filter(|span| span.place == place).count();
        let (delivered, pending) = (number(Place::Delivered), number(Place::Pending));
        let trouble = self.report.trouble().map(|trouble| format!(" ({})", escaped(trouble)));
        let waiting = format!(
            "{} in the spool for the next start or `throughline recover`{}",
            if pending == 1 {
                "1 waits".to_owned()
            } else {
                format!("{pending} wait")
            },
            trouble.unwrap_or_default()
        );
        match (delivered, pending) {
            (0, 0) => None,
            (_, 0) => Some(format!("The backend has {}.", count(delivered, "span"))),
            _ => Some(format!("The backend has {}; {waiting}.", count(delivered, "span"))),
        }
    }
}

/// A word for a shell: quoted where it has to be.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", escaped(&word.replace('\'', "'\\''")))
}

fn bytes(number: u64) -> String {
    match number {
        0..1024 => format!("{number} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", number as f64 / 1024.0),
        _ => format!("{:.1} MiB", number as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_change_them() {
        for (word, shown) in [
            ("/usr/bin/throughline", "/usr/bin/throughline"),
            ("a b", "'a b'"),
            ("it's", "'it'\\''s'"),
            ("$HOME", "'$HOME'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
