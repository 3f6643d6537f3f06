//! The processors and redactors of this process, in their order, and what happens when one panics.

use std::cell::Cell;
use std::sync::OnceLock;

use throughline_spool::{OpenSpan, Recording};
use throughline_wire::SpanView;
use throughline_wire::redact::{Content, Redaction, redact};

use super::redactor::Redactor;
use super::{ProcessedSpan, SpanProcessor, Verdict};
use crate::caught::caught;
use crate::context::Context;
use crate::diagnostics::report_once;
use crate::recording;
use crate::span::SAMPLED;
use crate::testing;

/// All of them.
#[derive(Default)]
pub(crate) struct Chain {
    pub processors: Vec<Box<dyn SpanProcessor>>,
    pub redactors: Vec<Redactor>,
    /// Whether tests may want to see what is committed.
    pub captures: bool,
    is_private: bool,
}

thread_local! {
    static IS_AT_WORK: Cell<bool> = const { Cell::new(false) };
}

/// Whether a processor has been called on this thread and has not returned: what it makes itself is not traced.
#[inline]
pub(crate) fn is_at_work() -> bool {
    IS_AT_WORK.try_with(Cell::get).unwrap_or(false)
}

/// While it lives, processors are at work on this thread.
struct AtWork {
    before: bool,
}

impl AtWork {
    #[inline]
    fn begin() -> Self {
        Self {
            before: IS_AT_WORK.try_with(|at_work| at_work.replace(true)).unwrap_or(false),
        }
    }
}

impl Drop for AtWork {
    #[inline]
    fn drop(&mut self) {
        let _gone = IS_AT_WORK.try_with(|at_work| at_work.set(self.before));
    }
}

static CHAIN: OnceLock<Chain> = OnceLock::new();

/// The first call decides.
pub(crate) fn set_chain(mut chain: Chain) {
    if !chain.is_empty() {
        let edits = chain.processors.iter().any(|processor| processor.edits());
        chain.is_private = edits || !chain.redactors.is_empty();
        let _first = CHAIN.set(chain);
    }
}

/// `None`: nobody is to see spans before they are committed.
#[inline]
pub(crate) fn chain() -> Option<&'static Chain> {
    CHAIN.get()
}

impl Chain {
    pub fn is_empty(&self) -> bool {
        self.processors.is_empty() && self.redactors.is_empty() && !self.captures
    }

    /// Whether what a span holds may be seen by nobody before it has ended.
    #[inline]
    pub fn is_private(&self) -> bool {
        self.is_private
    }

    pub fn wants_start_attributes(&self) -> bool {
        self.processors
            .iter()
            .any(|processor| processor.wants_start_attributes())
    }

    /// A span has started; `None` when it is dropped.
    pub fn start(&self, mut open: OpenSpan, name: &str, parent: &Context) -> Option<OpenSpan> {
        let _at_work = AtWork::begin();
        let mut span = ProcessedSpan::started(open.recording(), name);
        if ask_each(&self.processors, |processor| processor.on_start(&mut span, parent)) == Verdict::Drop {
            return None;
        }
        open.notes_mut().set_processed();
        // One that is recorded for processors alone is nobody else's.
        if self.is_private() && open.flags() & u32::from(SAMPLED) != 0 {
            let shown = match self.redactors.is_empty() {
                true => open.fields().to_vec(),
                false => self.redacted(open.fields()).0,
            };
            open.show(recording::each_field(&shown));
        }
        if self.captures {
            testing::started(&SpanView::new(open.body()), parent);
        }
        Some(open)
    }

    /// A span is about to end: the last changes to it.
    pub fn ending(&self, span: &mut Recording<'_>) {
        let _at_work = AtWork::begin();
        let mut ending = ProcessedSpan::new(span.recording());
        ask_each(&self.processors, |processor| {
            if processor.edits() {
                processor.on_ending(&mut ending);
            }
            Verdict::Keep
        });
        if !self.redactors.is_empty() {
            self.redact(span);
        }
    }

    /// A span has ended, and is as it will be committed.
    pub fn ended(&self, span: &SpanView<'_>) -> Verdict {
        let _at_work = AtWork::begin();
        let verdict = ask_each(&self.processors, |processor| processor.on_end(span));
        if self.captures {
            testing::ended(span, verdict);
        }
        verdict
    }

    fn redact(&self, span: &mut Recording<'_>) {
        let (clean, failed) = self.redacted(span.fields());
        // Not those of events, nor parts of one.
        let lost = match failed {
            0 => 0,
            failed => failed.min(attributes(span.fields()).saturating_sub(attributes(&clean))),
        };
        if !recording::replace_all(span, &clean) {
            recording::replace_all_by_name(span, &clean);
        } else if lost > 0 {
            span.rare_mut().dropped_attributes += lost;
        }
        let message = match span.notes().rare() {
            Some(rare) if !rare.message.is_empty() => std::mem::take(&mut span.rare_mut().message),
            _ => return,
        };
        span.rare_mut().message = match self.decide(&Content::StatusMessage(&message), &mut 0) {
            Redaction::Keep => message,
            Redaction::Remove => String::new(),
            Redaction::Replace(other) => throughline_spool::shortened(&other).to_owned(),
        };
    }

    /// The fields as they may be seen, and how many pieces were removed because a redactor failed.
    fn redacted(&self, fields: &[u8]) -> (Vec<u8>, u32) {
        let mut failed = 0;
        let clean = redact(fields, &mut |content| self.decide(content, &mut failed));
        (clean, failed)
    }

    /// What the first redactor says that does not keep it.
    fn decide(&self, content: &Content<'_>, failed: &mut u32) -> Redaction {
        let mut decisions = self.redactors.iter().map(|redactor| {
            asked(|| redactor.redact(content)).unwrap_or_else(|| {
                *failed += 1;
                Redaction::Remove
            })
        });
        decisions
            .find(|decision| *decision != Redaction::Keep)
            .unwrap_or(Redaction::Keep)
    }
}

fn attributes(fields: &[u8]) -> u32 {
    u32::try_from(SpanView::new(fields).attributes().count()).unwrap_or(u32::MAX)
}

/// Asks each until one drops the span. One that panics is passed over.
#[inline]
fn ask_each(processors: &[Box<dyn SpanProcessor>], mut ask: impl FnMut(&dyn SpanProcessor) -> Verdict) -> Verdict {
    let mut left = processors.iter();
    loop {
        let drops = || left.any(|processor| ask(&**processor) == Verdict::Drop);
        match asked(drops) {
            Some(true) => return Verdict::Drop,
            Some(false) => return Verdict::Keep,
            // On with those behind the one that has panicked.
            None => {}
        }
    }
}

/// What user code answers; `None` when it panics.
fn asked<R>(ask: impl FnOnce() -> R) -> Option<R> {
    let answer = caught(ask);
    if answer.is_none() {
        report_once(format_args!(
            "a span processor or a redactor has panicked: it is passed over for that span, and what a redactor could not decide on is removed"
        ));
    }
    answer
}
