//! Processing what came out of a queue.

use std::future::Future;
use std::time::SystemTime;

use throughline::{Context, Parent, Span, SpanKind};

use crate::queue::Details;
use crate::receive::link_received;
use crate::{JobContext, Message, Operation, Outcome, Queue};

impl Queue {
    /// Processes a message: `work` runs in a span of its own, which says which attempt it is and how long the message has waited.
    ///
    /// The span is the creator's child or in a trace of its own, as the queue's [`Relation`](crate::Relation) says, and has a link to the
    /// creator, to the attempts before, to the span that received the message, and to the span that is current here if it
    /// is another's child. Messages without a context are processed under the current span.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use throughline_jobs::{Message, Queue};
    ///
    /// static ORDERS: Queue = Queue::new("redis", "orders");
    /// let capture = throughline::testing::capture();
    /// let mut headers: HashMap<String, String> = HashMap::new();
    /// ORDERS.send(&mut headers).run(|| ());
    /// // In another process:
    /// let mut message = Message::of(&headers).id("4711");
    /// ORDERS.process(&mut message, || throughline::span!("charge").end());
    /// capture.assert_tree("send orders\n  process orders\n    charge");
    /// ```
    pub fn process<T: Outcome>(&self, message: &mut Message<'_>, work: impl FnOnce() -> T) -> T {
        self.processing(message).run(work)
    }

    /// The same for a future, which runs in the span in each of its polls.
    pub async fn process_async<F>(&self, message: &mut Message<'_>, work: F) -> F::Output
    where
        F: Future<Output: Outcome>,
    {
        self.processing(message).run_async(work).await
    }

    /// The span of [`process`](Self::process), for work that cannot be a closure or a future, or whose span gets attributes.
    pub fn processing(&self, message: &mut Message<'_>) -> Operation {
        let now = SystemTime::now();
        let current = Context::current();
        let job = message.context();
        let is_child = job.has_span() && self.relation_of_jobs().is_parent(job, now);
        let parent = match is_child {
            true => Parent::Of(job.context()),
            false => root_with_baggage(job, &current).map_or(Parent::Current, Parent::Own),
        };
        let details = Details {
            count: None,
            id: message.id_text(),
            attempt: Some(message.attempt_number()),
            queue_wait: message.queue_wait(now).map(|wait| wait.as_secs_f64()),
        };
        let mut span = self.start("process", "process", SpanKind::Consumer, parent, details);
        for (key, value) in message.attributes() {
            span.set(key, value);
        }
        if span.is_recording() {
            link_creator(&mut span, message);
            link_received(&mut span, message);
            let known = [message.context().context(), message.received()].map(Context::span_id);
            if is_child && !known.contains(&current.span_id()) {
                span.link(&current, []);
            }
        }
        message.begin_attempt(&span.context());
        Operation::new(span)
    }

    /// The span of processing several messages at once: the current span's child, with a link to the creator of each, and their number.
    pub fn processing_batch(&self, messages: &mut [Message<'_>]) -> Operation {
        let details = Details {
            count: Some(messages.len()),
            ..Details::default()
        };
        let mut span = self.start("process", "process", SpanKind::Consumer, Parent::Current, details);
        let now = SystemTime::now();
        let context = span.context();
        let mut received = Context::root();
        for message in messages {
            if span.is_recording() {
                let wait = message.queue_wait(now).map(|wait| wait.as_secs_f64());
                throughline::link!(
                    span: span,
                    message.context().context(),
                    messaging.message.id = message.id_text(),
                    throughline.job.attempt = message.attempt_number(),
                    throughline.job.queue_wait = wait,
                );
                // Mostly one poll has yielded them all.
                if *message.received() != received {
                    received.clone_from(message.received());
                    link_received(&mut span, message);
                }
            }
            message.begin_attempt(&context);
        }
        Operation::new(span)
    }

    /// The span of a settlement, such as `ack`, `nack`, `complete`: `messaging.operation.type` is `settle`.
    pub fn settle(&self, operation: &str, message: &Message<'_>) -> Operation {
        let details = Details {
            id: message.id_text(),
            ..Details::default()
        };
        let mut span = self.start(operation, "settle", SpanKind::Client, Parent::Current, details);
        span.link(message.context().context(), []);
        Operation::new(span)
    }
}

/// What a trace of its own begins with: the creator's baggage, but not its span. `None` where the current span has a say.
fn root_with_baggage(job: &JobContext, current: &Context) -> Option<Context> {
    let needed = current.is_empty() && !job.context().baggage_header().is_empty();
    needed.then(|| Context::root().with_baggage(&job.context().baggage()))
}

fn link_creator(span: &mut Span, message: &Message<'_>) {
    let job = message.context();
    span.link(job.context(), []);
    let earlier = job.earlier_attempts();
    let first = u64::from(job.attempts()).saturating_sub(earlier.len() as u64) + 1;
    for (earlier, number) in earlier.iter().zip(first..) {
        throughline::link!(span: span, &Context::of(*earlier), throughline.job.attempt = number);
    }
}
