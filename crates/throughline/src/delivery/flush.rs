//! Waiting for delivery, blocking or not, never beyond a deadline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use throughline_spool::Recorder;

use super::report::{DestinationReport, Report};
use crate::accounts::accounts;

/// A delivery thread that is well reports at the deadline itself. A blocked caller gives it so long
/// before he does without it.
const GRACE: Duration = Duration::from_millis(20);

/// A flush or shutdown under way, from the moment it was asked for.
///
/// Await it, from any runtime and without blocking it, or [`wait`](Flush::wait) for it. Dropping it
/// cancels nothing. It ends by its deadline, whatever the backend does.
#[must_use = "spans are delivered without it, but whether they were is told to who waits"]
pub struct Flush {
    parts: Vec<Part>,
}

/// The part of one destination.
enum Part {
    UnderWay(DestinationFlush),
    Ended(DestinationReport),
}

/// The same for one destination.
pub(crate) struct DestinationFlush {
    waiter: Arc<Waiter>,
    deadline: Instant,
}

/// Where the delivery thread leaves its report.
pub(super) struct Waiter {
    answer: Mutex<Answer>,
    reported: Condvar,
    /// What was known last, for who cannot wait for the thread any longer.
    known: Arc<Mutex<DestinationReport>>,
}

#[derive(Default)]
struct Answer {
    report: Option<DestinationReport>,
    waker: Option<Waker>,
}

impl Flush {
    pub(crate) fn new(parts: impl IntoIterator<Item = DestinationFlush>) -> Self {
        Self {
            parts: parts.into_iter().map(Part::UnderWay).collect(),
        }
    }

    /// One that has ended already: for where there is nothing to wait for.
    pub(crate) fn ended(reports: Vec<DestinationReport>) -> Self {
        Self {
            parts: reports.into_iter().map(Part::Ended).collect(),
        }
    }

    /// Blocks this thread until the spans are delivered or the deadline has come.
    ///
    /// In asynchronous code await the flush instead: this would hold up the runtime's thread.
    pub fn wait(self) -> Report {
        let reports = self.parts.into_iter().map(|part| match part {
            Part::UnderWay(flush) => flush.wait(),
            Part::Ended(report) => report,
        });
        report(reports.collect())
    }
}

impl Future for Flush {
    type Output = Report;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Report> {
        let mut is_under_way = false;
        for part in &mut self.parts {
            if let Part::UnderWay(flush) = part {
                match flush.poll(cx) {
                    Poll::Ready(report) => *part = Part::Ended(report),
                    Poll::Pending => is_under_way = true,
                }
            }
        }
        if is_under_way {
            return Poll::Pending;
        }
        let ended = self.parts.iter().filter_map(|part| match part {
            Part::UnderWay(_) => None,
            Part::Ended(report) => Some(report.clone()),
        });
        Poll::Ready(report(ended.collect()))
    }
}

fn report(mut destinations: Vec<DestinationReport>) -> Report {
    let Some(recorder) = Recorder::current() else {
        return Report::default();
    };
    for (number, destination) in destinations.iter_mut().enumerate() {
        destination.bring_up_to_date(|| accounts(recorder, number));
    }
    let account = recorder.account(0);
    Report::new(account.started, account.live, destinations)
}

impl DestinationFlush {
    pub(super) fn new(deadline: Instant, known: Arc<Mutex<DestinationReport>>) -> (Self, Arc<Waiter>) {
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

    pub(crate) fn wait(self) -> DestinationReport {
        let until = self.deadline + GRACE;
        let mut answer = self.waiter.lock();
        loop {
            if let Some(report) = answer.report.take() {
                return report;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(answer);
                return self.waiter.unanswered();
            }
            let waited = self.waiter.reported.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<DestinationReport> {
        let mut answer = self.waiter.lock();
        if let Some(report) = &answer.report {
            return Poll::Ready(report.clone());
        }
        // The delivery thread keeps the deadline, and reports when it ends, however it ends. Should it be stuck all the same,
        // whoever asks again learns what is known.
        if Instant::now() >= self.deadline + GRACE {
            return Poll::Ready(self.waiter.unanswered());
        }
        answer.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
impl Future for DestinationFlush {
    type Output = DestinationReport;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<DestinationReport> {
        Self::poll(&self, cx)
    }
}

impl std::fmt::Debug for Flush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Flush")
            .field("destinations", &self.parts.len())
            .finish_non_exhaustive()
    }
}

impl Waiter {
    pub(super) fn report(&self, report: DestinationReport) {
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

    /// What is known without the thread.
    fn unanswered(&self) -> DestinationReport {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        known.outdated("the delivery thread did not answer in time")
    }

    fn lock(&self) -> MutexGuard<'_, Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flush_that_nobody_answers_ends_when_it_is_polled_after_its_deadline() {
        let known = || {
            Arc::new(Mutex::new(DestinationReport::new(
                "E".to_owned(),
                Default::default(),
                None,
            )))
        };
        let now = Instant::now();
        let task = Context::from_waker(Waker::noop());
        let (early, _waiter) = DestinationFlush::new(now + Duration::from_secs(3600), known());
        assert!(early.poll(&task).is_pending());
        let (late, _waiter) = DestinationFlush::new(now.checked_sub(Duration::from_secs(1)).unwrap(), known());
        match late.poll(&task) {
            Poll::Ready(report) => assert!(!report.is_complete(), "{report}"),
            Poll::Pending => panic!("it is over"),
        }
    }
}
