//! Taking jobs out of a queue.

use std::time::SystemTime;

use throughline::{Context, Span, SpanKind};

use crate::operation::fail;
use crate::{Message, Outcome, Queue};

impl Queue {
    /// Begins to poll. A span comes of it only when messages are handed over, or the poll fails: a poll that finds nothing leaves none,
    /// nor does a message that a client has fetched in advance.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use throughline_jobs::{Message, Queue};
    ///
    /// static ORDERS: Queue = Queue::new("redis", "orders");
    /// let poll = ORDERS.poll();
    /// let jobs: Result<Vec<HashMap<String, String>>, String> = Ok(vec![HashMap::new()]); // ask the broker
    /// match jobs {
    ///     Ok(jobs) => {
    ///         let mut messages: Vec<_> = jobs.iter().map(Message::of).collect();
    ///         poll.received(&mut messages);
    ///     }
    ///     Err(error) => poll.failed(&Err::<(), _>(error)),
    /// }
    /// ```
    pub fn poll(&self) -> Poll<'_> {
        Poll {
            queue: self,
            start: SystemTime::now(),
        }
    }
}

/// A poll that has begun; made by [`Queue::poll`].
#[derive(Debug)]
#[must_use = "it becomes a span by `received`, `received_one` or `failed`"]
pub struct Poll<'q> {
    queue: &'q Queue,
    start: SystemTime,
}

impl Poll<'_> {
    /// Makes the span of a poll that yielded these messages, with a link to the creator of each. None for no messages.
    ///
    /// The spans that [process](Queue::process) them will link to it. A span holds 128 links; of more it says how many there are.
    pub fn received(self, messages: &mut [Message<'_>]) {
        if !messages.is_empty() {
            let count = Some(messages.len());
            self.record(messages, count);
        }
    }

    /// The same for a call that yields one message at most: its span says nothing of a batch.
    pub fn received_one(self, message: &mut Message<'_>) {
        self.record(std::slice::from_mut(message), None);
    }

    /// Makes the span of a poll that failed; none if it did not.
    pub fn failed(self, outcome: &impl Outcome) {
        if let Some(failure) = outcome.failure() {
            let mut span = self.span(None, &[]);
            fail(&mut span, &failure);
        }
    }

    fn record(self, messages: &mut [Message<'_>], count: Option<usize>) {
        let context = self.span(count, messages).context();
        for message in messages {
            message.set_received(&context);
        }
    }

    /// Not the short way: this span began before it was known that there would be one.
    fn span(&self, count: Option<usize>, messages: &[Message<'_>]) -> Span {
        let id = match (count, messages) {
            (None, [message]) => message.id_text(),
            _ => None,
        };
        let name = self.queue.span_name("receive");
        let mut span = Span::builder(&name).kind(SpanKind::Client).start_time(self.start);
        for message in messages {
            span = span.link(message.context().context());
        }
        self.queue
            .describe(span, "receive")
            .set("messaging.batch.message_count", count)
            .set("messaging.message.id", id)
            .start()
    }
}

/// Links each message to be processed to the span that received it, if one did.
pub(crate) fn link_received(span: &mut Span, message: &Message<'_>) {
    let received = message.received();
    if received != &Context::root() {
        span.link(received, []);
    }
}
