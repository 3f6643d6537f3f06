//! Those who wait for a flush, as the delivery thread sees them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flush::Waiter;
use super::scheduler::Scheduler;
use super::source::Mark;

/// Why somebody waits, and so when it is time to let him go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Wants the spans delivered, and gives that time.
    Flush,
    /// Wants to leave: not worth waiting for a backend that is down.
    Exit,
    /// Wants what ended processes have left delivered, as far as that is quick.
    Leftovers,
    /// Wants all of this, and the thread ended.
    Shutdown,
}

impl Purpose {
    /// Whether what ended processes have left is wanted too.
    pub(super) fn wants_leftovers(self) -> bool {
        matches!(self, Self::Leftovers | Self::Shutdown)
    }
}

/// Somebody's wish for delivery.
pub(super) struct Request {
    pub(super) waiter: Arc<Waiter>,
    pub(super) deadline: Instant,
    pub(super) purpose: Purpose,
}

/// All who wait.
#[derive(Default)]
pub(super) struct Waiting {
    list: Vec<Entry>,
}

struct Entry {
    request: Request,
    /// Own spans that were pending when the request came and are not settled yet.
    remaining: u64,
    /// The same by the source's own note, which then decides.
    mark: Option<Mark>,
}

/// Who need not wait any longer.
#[derive(Default)]
pub(super) struct Released {
    /// Each, and whether all that was pending when it came is settled.
    pub(super) waiters: Vec<(Arc<Waiter>, bool)>,
    /// Whether one of them wanted the thread to end.
    pub(super) shutdown: bool,
    /// Somebody who stays waits only for what was delivered to be handed on.
    pub(super) wanted: Option<HandedOn>,
    /// Somebody who stays waits only for what ended processes have left.
    pub(super) wants_leftovers: bool,
    /// Somebody who stays waits for more than that.
    pub(super) in_haste: bool,
}

/// What is done beside the spans themselves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub(super) handed_on: HandedOn,
    /// Whether what ended processes have left was sent, or is not to be.
    pub(super) leftovers: bool,
}

/// Whether a destination that may hold what it has taken has handed it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HandedOn {
    No,
    Yes,
    /// And it has been told that this was the last time.
    ForTheLastTime,
}

impl Waiting {
    /// Adds a request that came when `pending` own spans were not settled.
    pub(super) fn add(&mut self, request: Request, pending: u64, mark: Option<Mark>) {
        self.list.push(Entry {
            request,
            remaining: pending,
            mark,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The next instant at which somebody's time is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.list.iter().map(|waiting| waiting.request.deadline).min()
    }

    /// So many own spans, the oldest, were delivered or rejected.
    pub(super) fn settled(&mut self, spans: u64) {
        for waiting in &mut self.list {
            waiting.remaining = waiting.remaining.saturating_sub(spans);
        }
    }

    /// Takes out all whose spans are settled or for whom nothing more can be done in time.
    pub(super) fn release(
        &mut self,
        now: Instant,
        pending: u64,
        scheduler: &Scheduler,
        done: Done,
        mut is_settled: impl FnMut(&mut Mark) -> bool,
    ) -> Released {
        let mut released = Released::default();
        self.list.retain_mut(
            |Entry {
                 request,
                 remaining,
                 mark,
             }| {
                let waits = mark.as_mut().map_or(*remaining > 0, |mark| !is_settled(mark));
                let is_settled = !waits || pending == 0;
                let hopeless = match request.purpose {
                    Purpose::Exit => scheduler.is_down(),
                    // Whoever has not got the own spans does not get others.
                    Purpose::Leftovers => scheduler.is_down() || !is_settled,
                    Purpose::Flush | Purpose::Shutdown => {
                        scheduler.not_before().is_some_and(|until| until > request.deadline)
                    }
                };
                let wanted = match request.purpose {
                    Purpose::Exit | Purpose::Flush | Purpose::Leftovers => HandedOn::Yes,
                    Purpose::Shutdown => HandedOn::ForTheLastTime,
                };
                let lacks_leftovers = request.purpose.wants_leftovers() && !done.leftovers;
                let is_done = is_settled && done.handed_on >= wanted && !lacks_leftovers;
                let stays = !is_done && now < request.deadline && !hopeless;
                match (stays && is_settled, lacks_leftovers) {
                    (true, true) => released.wants_leftovers = true,
                    (true, false) => released.wanted = released.wanted.max(Some(wanted)),
                    (false, _) => {}
                }
                released.in_haste |= stays && !(is_settled && lacks_leftovers);
                if !stays {
                    released.waiters.push((request.waiter.clone(), is_settled));
                    released.shutdown |= request.purpose == Purpose::Shutdown;
                }
                stays
            },
        );
        released
    }

    /// Everybody, whatever there is left.
    pub(super) fn release_all(&mut self) -> Vec<Arc<Waiter>> {
        self.list.drain(..).map(|waiting| waiting.request.waiter).collect()
    }
}

/// `now + within`, also for a duration that means "forever".
pub(super) fn deadline(now: Instant, within: Duration) -> Instant {
    const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);
    now + within.min(FOREVER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BatchSettings;
    use crate::delivery::flush::DestinationFlush;
    use crate::delivery::report::DestinationReport;

    #[test]
    fn what_ended_processes_left_is_waited_for_only_by_whoever_has_his_own_delivered() {
        let scheduler = Scheduler::new(BatchSettings::default());
        let now = Instant::now();
        let not_yet = Done {
            handed_on: HandedOn::ForTheLastTime,
            leftovers: false,
        };
        let sent = Done {
            leftovers: true,
            ..not_yet
        };
        for (purpose, own, done, stays, wants_leftovers) in [
            (Purpose::Leftovers, 0, not_yet, true, true),
            (Purpose::Leftovers, 0, sent, false, false),
            (Purpose::Leftovers, 3, not_yet, false, false),
            (Purpose::Shutdown, 0, not_yet, true, true),
            (Purpose::Shutdown, 0, sent, false, false),
            (Purpose::Shutdown, 3, not_yet, true, false),
            (Purpose::Exit, 0, not_yet, false, false),
            (Purpose::Flush, 0, not_yet, false, false),
        ] {
            let known = DestinationReport::new("E".to_owned(), Default::default(), None);
            let deadline = now + Duration::from_secs(1);
            let (_flush, waiter) = DestinationFlush::new(deadline, Arc::new(std::sync::Mutex::new(known)));
            let mut waiting = Waiting::default();
            let request = Request {
                waiter,
                deadline,
                purpose,
            };
            waiting.add(request, own, None);
            let released = waiting.release(now, own, &scheduler, done, |_| true);
            assert_eq!(
                (!waiting.is_empty(), released.wants_leftovers),
                (stays, wants_leftovers),
                "{purpose:?} {own} {done:?}"
            );
        }
    }
}
