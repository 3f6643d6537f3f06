//! What a job carries with it.

mod compact;
mod pairs;
#[cfg(feature = "serde")]
mod serde;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use throughline::{Context, SpanContext};

/// The context that a job carries in its record or in the headers of its message.
///
/// It holds the context in which the job was created, which no later send, retry or move replaces; when it was created and when it
/// last entered a queue; how many attempts there were; and the spans of the last [`MAX_EARLIER`](Self::MAX_EARLIER) of them.
///
/// It has three forms, and each reads what it wrote:
///
/// | form | for | how |
/// |---|---|---|
/// | names and values | headers of messages, maps | [`from_pairs`](Self::from_pairs), [`for_each_pair`](Self::for_each_pair) |
/// | one line of text | a column of a job table | [`parse`](Self::parse), `to_string` |
/// | a serde value | records that are serialised | the feature `serde` |
///
/// Reading never fails. What is malformed, doubled or too long is not there, and the trace starts anew. Names may have any case.
///
/// ```
/// use throughline_jobs::JobContext;
///
/// let job = JobContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01 job=c=1764000000000;a=2");
/// assert_eq!(job.attempts(), 2);
/// assert_eq!(JobContext::parse(&job.to_string()), job);
/// assert!(JobContext::parse("whatever somebody wrote there").is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobContext {
    context: Context,
    /// Milliseconds since the Unix epoch, as all times here.
    created: Option<u64>,
    enqueued: Option<u64>,
    attempts: u32,
    /// `earlier.len() <= MAX_EARLIER`, the latest last.
    earlier: Vec<SpanContext>,
}

impl JobContext {
    /// How many earlier attempts a record names; of more, the latest.
    pub const MAX_EARLIER: usize = 8;

    /// What a job carries that is created here and now: the current context and the time. Empty where no span is current.
    ///
    /// ```
    /// use throughline_jobs::JobContext;
    ///
    /// let capture = throughline::testing::capture();
    /// let column = throughline::span!("deploy").in_scope(|| JobContext::current().to_string());
    /// assert_eq!(JobContext::parse(&column).context().span_id(), Some(capture.span("deploy").span_id()));
    /// ```
    #[must_use]
    pub fn current() -> Self {
        let mut job = Self::default();
        job.enqueue(&Context::current(), SystemTime::now());
        job
    }

    /// The context in which the job was created.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// When the job was created, to the millisecond, by the clock of whoever did.
    #[must_use]
    pub fn created(&self) -> Option<SystemTime> {
        self.created.map(time)
    }

    /// When the job last entered a queue; at first when it was created.
    #[must_use]
    pub fn enqueued(&self) -> Option<SystemTime> {
        self.enqueued.or(self.created).map(time)
    }

    /// How many attempts to process the job have begun, as far as its record was written since.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The spans of the last attempts, the latest last.
    #[must_use]
    pub fn earlier_attempts(&self) -> &[SpanContext] {
        &self.earlier
    }

    /// Whether nothing is carried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the record says who created the job.
    pub(crate) fn has_span(&self) -> bool {
        self.context.trace_id().is_some()
    }

    /// Notes who created the job, unless the record says so, and that it enters a queue now. Nothing where nobody traces.
    pub(crate) fn enqueue(&mut self, creator: &Context, now: SystemTime) {
        if !self.has_span() {
            if creator.is_empty() {
                return;
            }
            self.context = creator.clone();
            self.created = Some(millis(now));
            return;
        }
        self.enqueued = Some(millis(now));
    }

    /// Names a creator where the record has none.
    #[cfg(feature = "endpoint")]
    pub(crate) fn adopt(&mut self, creator: &Context) {
        self.context.clone_from(creator);
    }

    /// Notes an attempt, which has this number and this span.
    pub(crate) fn begin_attempt(&mut self, number: u32, span: &Context) {
        let Some(span) = span.span_context() else { return };
        self.attempts = number;
        // Where nobody traces, the span stands for its parent.
        if Some(span.span_id()) == self.context.span_id() {
            return;
        }
        if self.earlier.len() == Self::MAX_EARLIER {
            self.earlier.remove(0);
        }
        self.earlier.push(span);
    }
}

fn time(millis: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(UNIX_EPOCH)
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "job_context/tests.rs"]
mod tests;
