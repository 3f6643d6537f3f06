//! Putting jobs into a queue, for the first time and again.

use std::time::SystemTime;

use throughline::{Parent, SpanKind};

use crate::queue::Details;
use crate::{JobContext, Message, Operation, Queue, Record};

impl Queue {
    /// Starts the span of a send, and writes its context into the record.
    ///
    /// A record that has a context keeps it: whoever pushes a job a second time (a scheduler, a retry) is not its creator. Its span is then
    /// of kind `Client`, with a link to the creator, and not `Producer`.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use throughline_jobs::Queue;
    ///
    /// static ORDERS: Queue = Queue::new("redis", "orders");
    /// let mut headers = HashMap::new();
    /// ORDERS.send(&mut headers).run(|| {
    ///     // push the job with its headers
    /// });
    /// ```
    pub fn send(&self, record: &mut impl Record) -> Operation {
        self.put(record.read(), record, Details::default())
    }

    /// The same for several jobs at once: one span, whose context all of them get that have none.
    pub fn send_batch<'r, R: Record + 'r>(&self, records: impl IntoIterator<Item = &'r mut R>) -> Operation {
        let now = SystemTime::now();
        let mut records: Vec<_> = records.into_iter().map(|record| (record.read(), record)).collect();
        // A send that creates nothing is no producer's.
        let creates = records.is_empty() || records.iter().any(|(job, _)| !job.has_span());
        let kind = if creates { SpanKind::Producer } else { SpanKind::Client };
        let details = Details {
            count: Some(records.len()),
            ..Details::default()
        };
        let mut span = self.start("send", "send", kind, Parent::Current, details);
        let creator = span.context();
        for (job, record) in &mut records {
            if job.has_span() {
                span.link(job.context(), []);
            }
            job.enqueue(&creator, now);
            record.write(job);
        }
        Operation::new(span)
    }

    /// Starts the span of putting a message back into the queue after an attempt that failed.
    ///
    /// The record gets what the message carries: its first context, and the attempts so far.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use throughline_jobs::{Message, Queue};
    ///
    /// static ORDERS: Queue = Queue::new("redis", "orders");
    /// let mut headers: HashMap<String, String> = HashMap::new();
    /// let mut message = Message::of(&headers);
    /// if ORDERS.process(&mut message, || Err::<(), _>("no stock")).is_err() {
    ///     ORDERS.retry(&message, &mut headers).run(|| { /* push it again */ });
    /// }
    /// ```
    pub fn retry(&self, message: &Message<'_>, record: &mut impl Record) -> Operation {
        self.put_again(message, record, "retry")
    }

    /// Starts the span of a move to the dead letters, which this queue has. The reason is one of a few words, such as
    /// `max_attempts` (`throughline.job.reason`).
    pub fn dead_letter(&self, message: &Message<'_>, record: &mut impl Record, reason: &str) -> Operation {
        let mut operation = self.put_again(message, record, "dead_letter");
        operation.span().set("throughline.job.reason", reason);
        operation
    }

    /// Starts the span of putting a dead letter back into this queue. Attempts go on being counted.
    pub fn reprocess(&self, message: &Message<'_>, record: &mut impl Record) -> Operation {
        self.put_again(message, record, "reprocess")
    }

    fn put_again(&self, message: &Message<'_>, record: &mut impl Record, why: &str) -> Operation {
        let job = message.read();
        let last = job.earlier_attempts().last().copied();
        let details = Details {
            id: message.id_text(),
            attempt: Some(job.attempts()).filter(|attempts| *attempts > 0),
            ..Details::default()
        };
        let mut operation = self.put(job, record, details);
        let span = operation.span();
        span.set("throughline.job.resend", why);
        if let Some(last) = last {
            span.link(&throughline::Context::of(last), []);
        }
        operation
    }

    fn put(&self, mut job: JobContext, record: &mut impl Record, details: Details<'_>) -> Operation {
        let kind = if job.has_span() {
            SpanKind::Client
        } else {
            SpanKind::Producer
        };
        let mut span = self.start("send", "send", kind, Parent::Current, details);
        if job.has_span() {
            span.link(job.context(), []);
        }
        job.enqueue(&span.context(), SystemTime::now());
        record.write(&job);
        Operation::new(span)
    }
}
