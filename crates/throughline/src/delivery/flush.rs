//! Waiting for delivery, blocking or not, never beyond a deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::report::Report;

/// A delivery thread that is well reports at the deadline itself. A blocked caller gives it so long
/// before he does without it.
const GRACE: Duration = Duration::from_millis(20);

/// A flush or shutdown under way, from the moment it was asked for.
///
/// Await it, from any runtime and without blocking it, or [`wait`](Flush::wait) for it. Dropping it
/// cancels nothing. It ends by its deadline, whatever the backend does.
#[must_use = "spans are delivered without it, but whether they were is told to who waits"]
pub struct Flush {
    waiter: Arc<Waiter>,
    deadline: Instant,
}

/// Where the delivery thread leaves its report.
pub(super) struct Waiter {
    answer: Mutex<Answer>,
    reported: Condvar,
    /// What was known last, for who cannot wait for the thread any longer.
    known: Arc<Mutex<Report>>,
}

#[derive(Default)]
struct Answer {
    report: Option<Report>,
    waker: Option<Waker>,
}

impl Flush {
    /// One that has ended already: for where there is nothing to wait for.
    pub(crate) fn ended(report: Report) -> Self {
        let (flush, waiter) = Self::new(Instant::now(), Arc::default());
        waiter.report(report);
        flush
    }

    pub(super) fn new(deadline: Instant, known: Arc<Mutex<Report>>) -> (Self, Arc<Waiter>) {
        let waiter = Arc::new(Waiter {
            answer: Mutex::default(),
            reported: Condvar::new(),
            known,
        });
        (
            Self {
                waiter: waiter.clone(),
                deadline,
            },
            waiter,
        )
    }

    /// Blocks this thread until the spans are delivered or the deadline has come.
    ///
    /// In asynchronous code await the flush instead: this would hold up the runtime's thread.
    pub fn wait(self) -> Report {
        let until = self.deadline + GRACE;
        let mut answer = self.waiter.lock();
        loop {
            if let Some(report) = answer.report.take() {
                return report;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(answer);
                return self
                    .waiter
                    .known()
                    .outdated("the delivery thread did not answer in time");
            }
            let waited = self.waiter.reported.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Future for Flush {
    type Output = Report;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let mut answer = self.waiter.lock();
        if let Some(report) = &answer.report {
            return Poll::Ready(report.clone());
        }
        // The delivery thread keeps the deadline, and reports when it ends, however it ends.
        answer.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl std::fmt::Debug for Flush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flush")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Waiter {
    pub(super) fn report(&self, report: Report) {
        let mut answer = self.lock();
        answer.report = Some(report);
        let waker = answer.waker.take();
        drop(answer);
        self.reported.notify_all();
        // The waker is code of the host's runtime: never under the lock.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn known(&self) -> Report {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
