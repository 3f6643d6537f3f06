//! A message that came out of a queue.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use throughline::{Context, Value};

use crate::{JobContext, Record};

/// A message or job that came out of a queue, as far as its spans tell of it.
///
/// ```
/// use std::collections::HashMap;
/// use throughline_jobs::Message;
///
/// let headers = HashMap::from([("traceparent".to_owned(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned())]);
/// let message = Message::of(&headers).id("4711").attempt(2);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Message<'a> {
    context: JobContext,
    id: Option<Cow<'a, str>>,
    attempt: Option<u32>,
    enqueued: Option<SystemTime>,
    received: Context,
    attributes: Vec<(&'static str, Value<'a>)>,
}

impl<'a> Message<'a> {
    /// A message with the context of a record. One without a context is processed in a trace of its own.
    #[must_use]
    pub fn of(record: &impl Record) -> Self {
        Self {
            context: record.read(),
            ..Self::default()
        }
    }

    /// Its id (`messaging.message.id`).
    #[must_use]
    pub fn id(mut self, id: impl Into<Cow<'a, str>>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// The number of this attempt as the broker counts, the first being 1. Default: as the record counts.
    #[must_use]
    pub fn attempt(mut self, number: u32) -> Self {
        self.attempt = Some(number);
        self
    }

    /// When the message came into the queue, as the broker says. Default: as the record says.
    #[must_use]
    pub fn enqueued_at(mut self, time: SystemTime) -> Self {
        self.enqueued = Some(time);
        self
    }

    /// An attribute of the span that processes it, such as `kafka.offset`.
    #[must_use]
    pub fn attribute(mut self, key: &'static str, value: impl Into<Value<'a>>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }

    /// What it carries, with the attempts that [`Queue::process`](crate::Queue::process) has begun: to be written to a record.
    #[must_use]
    pub fn context(&self) -> &JobContext {
        &self.context
    }

    /// The number of the attempt that is about to begin, or has begun.
    #[must_use]
    pub fn attempt_number(&self) -> u32 {
        self.attempt
            .unwrap_or_else(|| self.context.attempts().saturating_add(1))
    }

    pub(crate) fn attributes(&self) -> &[(&'static str, Value<'a>)] {
        &self.attributes
    }

    pub(crate) fn id_text(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How long it has been in the queue: since it came there, not since it was created.
    pub(crate) fn queue_wait(&self, now: SystemTime) -> Option<Duration> {
        let since = self.enqueued.or_else(|| self.context.enqueued())?;
        Some(now.duration_since(since).unwrap_or_default())
    }

    /// The span that received it; empty if there was none.
    pub(crate) fn received(&self) -> &Context {
        &self.received
    }

    pub(crate) fn set_received(&mut self, by: &Context) {
        self.received = by.clone();
    }

    /// Notes that its attempt begins, in this span.
    pub(crate) fn begin_attempt(&mut self, span: &Context) {
        let number = self.attempt_number();
        self.context.begin_attempt(number, span);
        self.attempt = Some(number);
    }
}

/// A message can be put into a queue again with all that it carries.
impl Record for Message<'_> {
    fn read(&self) -> JobContext {
        self.context.clone()
    }

    fn write(&mut self, context: &JobContext) {
        self.context.clone_from(context);
    }
}
