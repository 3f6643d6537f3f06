//! An operation on a queue while it runs.

use std::future::Future;

use throughline::{Context, InSpanExt, Span, ToValue, Value};

use crate::{Failure, Outcome};

/// A span of a queue: a send, a processing, a settlement.
///
/// It ends when the operation has run, or when this is dropped.
///
/// ```
/// use std::collections::HashMap;
/// use throughline_jobs::Queue;
///
/// static ORDERS: Queue = Queue::new("redis", "orders");
/// let capture = throughline::testing::capture();
/// let mut headers = HashMap::new();
/// let sent: Result<(), String> = ORDERS.send(&mut headers).run(|| Err("connection refused".to_owned()));
/// assert!(capture.span("send orders").is_error());
/// ```
#[derive(Debug)]
#[must_use = "the span ends when this is dropped: call `run` or `run_async`"]
pub struct Operation {
    span: Span,
}

impl Operation {
    pub(crate) fn new(span: Span) -> Self {
        Self { span }
    }

    /// The span, to set attributes of one's own.
    pub fn span(&mut self) -> &mut Span {
        &mut self.span
    }

    /// The span's context.
    #[must_use]
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// Does the work while the span is current. A failure becomes the span's status; so does a panic, which goes on.
    pub fn run<T: Outcome>(mut self, work: impl FnOnce() -> T) -> T {
        let outcome = self.span.in_scope(work);
        self.finish(&outcome);
        outcome
    }

    /// The same for a future: the span is current in each of its polls, and ends with it. Of one that is dropped before, the span ends
    /// then, and says nothing of how it came out.
    pub async fn run_async<F>(mut self, work: F) -> F::Output
    where
        F: Future<Output: Outcome>,
    {
        let outcome = work.in_span(&mut self.span).await;
        self.finish(&outcome);
        outcome
    }

    /// Ends the span with what came out: for work that [`run`](Self::run) cannot be wrapped around.
    pub fn finish(mut self, outcome: &impl Outcome) {
        if let Some(failure) = outcome.failure() {
            fail(&mut self.span, &failure);
        }
    }
}

/// Sets status and `error.type`, whose texts are made only for a span that is recorded.
pub(crate) fn fail(span: &mut Span, failure: &Failure<'_>) {
    if !span.is_recording() {
        return;
    }
    span.set("error.type", failure.kind());
    let Some(message) = failure.message() else {
        return span.status_error("");
    };
    // Whatever the message does, and that it may panic, is `display`'s concern.
    throughline::display(message).with_value(|text| match text {
        Value::Str(text) => span.status_error(text),
        _ => span.status_error(""),
    });
}
