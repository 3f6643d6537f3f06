//! Attempts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use throughline::Context;

use super::{Endpoint, EndpointError, Entry};
use crate::{JobContext, Message, Operation, Outcome, Record, request};

/// An error's text may be long; what is kept of it is not.
const MAX_REASON: usize = 512;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Processed {
    /// It was the last attempt, and failed: the entry is in the error queue.
    Failed,
    /// The attempt failed; there will be another.
    Retried,
    /// The entry is done, and gone.
    Succeeded,
}

impl Endpoint {
    /// Takes the oldest entry that waits, and processes it. `None` when there is none.
    ///
    /// The attempt is on the disk before the handler runs, so that one which kills the process counts, and the next is linked to it. A
    /// handler that panics has failed. Several threads may do this at once.
    ///
    /// The span is named `process {route}`; beside the attributes of a job it has those of the request, `request.retries` and
    /// `process.success`. Its parent is the span in which the entry was pushed, else the caller's, which the entry's key names.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`]; then the entry is tried again later, maybe though it was processed. A worker that goes on calls
    /// [`wait`](Self::wait) first, as when there is nothing to do: it lasts as long as the disk is left in peace.
    pub fn process_next<T: Outcome>(
        &self,
        handler: impl FnOnce(&Entry) -> T,
    ) -> Result<Option<Processed>, EndpointError> {
        let Some(taken) = self.take()? else { return Ok(None) };
        let mut entry = taken.entry.clone();
        if entry.retries() >= self.settings.max_attempts {
            // The process died in the last attempt, or the disk did not take its end.
            return self
                .fail(entry, "max attempts reached: the end of the last is not known")
                .map(Some);
        }
        let mut message = Message::of(&parent_of(&entry)).id(entry.id().to_string());
        let mut attempt = self.queue.processing(&mut message);
        request::describe(attempt.span(), entry.key());
        attempt.span().set("request.retries", entry.retries());
        entry.metadata_mut().write(message.context());
        entry.set_retries(entry.retries() + 1);
        self.store.update(&entry)?;
        let failure = self.attempt(attempt, &taken.entry, entry.retries(), handler);
        let processed = match failure {
            None => {
                self.store.done(entry.id())?;
                Processed::Succeeded
            }
            Some(reason) if entry.retries() >= self.settings.max_attempts => {
                self.fail(entry, &format!("max attempts reached: {reason}"))?
            }
            Some(_) => {
                put_in_queue(&mut entry, SystemTime::now());
                self.store.requeue(&entry)?;
                Processed::Retried
            }
        };
        Ok(Some(processed))
    }

    /// Runs the handler, and says why it failed if it did.
    fn attempt<T: Outcome>(
        &self,
        mut attempt: Operation,
        entry: &Entry,
        number: u32,
        handler: impl FnOnce(&Entry) -> T,
    ) -> Option<String> {
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            attempt.span().in_scope(|| {
                self.middlewares.before_process(entry);
                let outcome = handler(entry);
                self.middlewares.after_process(entry, outcome.failure().is_none());
                outcome
            })
        }));
        let failure = match &outcome {
            Ok(outcome) => outcome.failure().map(|failure| reason(&failure)),
            Err(_) => Some("the handler panicked".to_owned()),
        };
        attempt.span().set("process.success", failure.is_none());
        if failure.is_some() && number >= self.settings.max_attempts {
            attempt.span().set("throughline.job.reason", "max_attempts");
        }
        match &outcome {
            Ok(outcome) => attempt.finish(outcome),
            Err(_) => drop(attempt),
        }
        failure
    }

    fn take(&self) -> Result<Option<Taken<'_>>, EndpointError> {
        let mut active = self.active();
        let Some(entry) = self.store.first(&active, self.settings.error_capacity)? else {
            return Ok(None);
        };
        active.insert(entry.id());
        Ok(Some(Taken { endpoint: self, entry }))
    }

    fn fail(&self, mut entry: Entry, reason: &str) -> Result<Processed, EndpointError> {
        entry.set_reason(Some(reason));
        self.store.fail(&entry, self.settings.error_capacity)?;
        Ok(Processed::Failed)
    }
}

/// An entry that nobody else takes, until this is dropped.
struct Taken<'e> {
    endpoint: &'e Endpoint,
    entry: Entry,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // What it was may wait again, and whoever looked meanwhile counted it as taken.
        self.endpoint.active().remove(&self.entry.id());
        self.endpoint.changed.notify_all();
    }
}

/// The job's context as it was stored; where it names no span, that of the request's key.
fn parent_of(entry: &Entry) -> JobContext {
    let mut job = entry.context();
    if !job.has_span() {
        job.adopt(&entry.key().context());
    }
    job
}

/// Gives an entry of the error queue its attempts back.
pub(super) fn put_back(entry: &mut Entry, now: SystemTime) {
    entry.set_retries(0);
    entry.set_reason(None);
    put_in_queue(entry, now);
}

fn put_in_queue(entry: &mut Entry, now: SystemTime) {
    let mut job = entry.context();
    job.enqueue(&Context::root(), now);
    entry.metadata_mut().write(&job);
}

fn reason(failure: &crate::Failure<'_>) -> String {
    use throughline::{ToValue, Value};
    let text = failure.message().and_then(|message| {
        throughline::display(message).with_value(|text| match text {
            Value::Str(text) => text.chars().take(MAX_REASON).collect(),
            _ => String::new(),
        })
    });
    text.unwrap_or_else(|| failure.kind().to_owned())
}
