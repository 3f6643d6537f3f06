//! A log of the demo's spans that does not come from the spool, to compare the spool with.
//!
//! Every process of the demo says when a span has begun and when it has ended, as lines on its stdout, which is a pipe
//! to the first process. What is in a pipe survives the death of its writer as what is in the spool does.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

use throughline::{Span, SpanId};

/// The spans of the demo, as its processes told of them.
#[derive(Clone, Debug, Default)]
pub struct SpanLog {
    pub began: BTreeSet<SpanId>,
    pub ended: BTreeSet<SpanId>,
    /// What they wrote to stderr: of interest when the job fails, and otherwise what the first process says itself.
    pub stderr: Vec<String>,
}

impl SpanLog {
    /// Takes in a line; false if it tells of something else.
    pub fn note(&mut self, line: &str) -> bool {
        let told = line
            .split_once(' ')
            .and_then(|(word, id)| Some((word, id.parse().ok()?)));
        match told {
            Some(("began", id)) => self.began.insert(id),
            Some(("ended", id)) => self.ended.insert(id),
            _ => return false,
        };
        true
    }
}

/// Tells of spans.
#[derive(Clone, Debug)]
pub enum SpanReporter {
    /// Notes them in this process.
    Memory(Arc<Mutex<SpanLog>>),
    /// Writes them to stdout.
    Stdout,
}

impl SpanReporter {
    /// Tells that the span has begun, and will tell when it has ended. Not of spans that are not recorded.
    pub fn start(&self, span: Span) -> ReportedSpan {
        let id = span.context().span_id().filter(|_| span.is_recording());
        let reported = ReportedSpan {
            span,
            id,
            reporter: self.clone(),
        };
        reported.tell("began");
        reported
    }
}

/// A span that is told of.
#[derive(Debug)]
pub struct ReportedSpan {
    span: Span,
    id: Option<SpanId>,
    reporter: SpanReporter,
}

impl ReportedSpan {
    fn tell(&self, word: &str) {
        let Some(id) = self.id else { return };
        let line = format!("{word} {id}");
        match &self.reporter {
            SpanReporter::Memory(log) => {
                log.lock().unwrap_or_else(PoisonError::into_inner).note(&line);
            }
            SpanReporter::Stdout => tell(&line),
        }
    }
}

impl Deref for ReportedSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl DerefMut for ReportedSpan {
    fn deref_mut(&mut self) -> &mut Span {
        &mut self.span
    }
}

impl Drop for ReportedSpan {
    fn drop(&mut self) {
        std::mem::replace(&mut self.span, Span::none()).end();
        self.tell("ended");
    }
}

/// Writes a line to the first process; if that is gone, nobody needs it.
pub fn tell(line: &str) {
    // One write, so that lines of several processes do not mix.
    let _ = std::io::stdout().lock().write_all(format!("{line}\n").as_bytes());
}
