//! The delivery thread's loop: looks what is pending, asks the scheduler, does what it says.

use std::collections::hash_map::RandomState;
use std::future::{Future, poll_fn};
use std::hash::BuildHasher;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::flush::Waiter;
use super::outcome::Outcome;
use super::report::DestinationReport;
use super::scheduler::{Change, Scheduler, Step, Verdict};
use super::source::{Batch, Owner, Pending, Source};
use super::thread::Shared;
use super::transport::Transport;
use super::waiting::{Done, HandedOn, Purpose, Waiting};
use crate::config::BatchSettings;
use crate::diagnostics::report;

/// How often the spool is looked at: the less often, the fewer spans there are.
const BUSY_POLL: Duration = Duration::from_millis(10);
const IDLE_POLL: Duration = Duration::from_secs(1);
/// In a program that has made no span for a second, the next span wakes the thread; it looks all the same this often.
const RESTING_POLL: Duration = Duration::from_secs(60);
/// How often the spans of processes that have died are looked for.
const ADOPT: Duration = Duration::from_secs(30);
/// How soon again when more of them are being archived.
const ADOPT_MORE: Duration = Duration::from_millis(500);
/// When first, and when again after a sign of the program's end: a short command has its own spans to send.
const CALM: Duration = Duration::from_millis(500);
/// At the end of a program no batch of theirs is begun later than this.
const LEAVING: Duration = Duration::from_millis(150);
/// And so long after that nobody waits for the last batch any more.
const LAST_BATCH: Duration = Duration::from_millis(250);
/// How soon is looked again, at the end of a program, when more of them are being archived.
const LEAVING_POLL: Duration = Duration::from_millis(5);

/// Everything the thread owns.
pub(super) struct Driver {
    /// The destination's, as it is shown to people.
    name: String,
    scheduler: Scheduler,
    source: Box<dyn Source>,
    waiting: Waiting,
    /// Always for the last time where there is nothing to hand on.
    handed_on: HandedOn,
    shared: Arc<Shared>,
    pace: Pace,
    /// Whether the source may have spans of processes that have died.
    adopted: bool,
    adopt_at: Instant,
    /// Before this the program may be about to end.
    calm_at: Instant,
    leaving: Leaving,
    /// Whether the destination has taken anything of this process.
    has_delivered: bool,
    /// Whether a request is under way.
    awaits_answer: bool,
}

/// What a program that ends does for those that ended before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    NotYet,
    /// Batches are begun until then.
    Until(Instant),
    Done,
}

/// What a look around found.
struct View {
    now: Instant,
    own: Pending,
    stop: bool,
    wanted: Option<HandedOn>,
    wants_leftovers: bool,
}

impl Driver {
    pub(super) fn new(name: String, batch: BatchSettings, source: Box<dyn Source>, shared: Arc<Shared>) -> Self {
        Self {
            name,
            scheduler: Scheduler::new(batch),
            source,
            waiting: Waiting::default(),
            handed_on: HandedOn::ForTheLastTime,
            shared,
            pace: Pace::new(batch.schedule_delay),
            adopted: false,
            adopt_at: Instant::now() + CALM,
            calm_at: Instant::now() + CALM,
            leaving: Leaving::NotYet,
            has_delivered: false,
            awaits_answer: false,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(super) fn release_all(&mut self) -> Vec<Arc<Waiter>> {
        self.waiting.release_all()
    }

    /// Runs until it is told to stop.
    pub(super) async fn run(&mut self, transport: &mut Transport) {
        if transport.has_hooks() {
            self.handed_on = HandedOn::Yes;
        }
        loop {
            let View {
                now,
                own,
                stop,
                wanted,
                wants_leftovers,
            } = self.look();
            if stop {
                return;
            }
            if let Some(wanted) = wanted {
                if self.hand_on(transport, wanted).await.is_none() {
                    return;
                }
                continue;
            }
            if now >= self.calm_at && self.source.has_news() {
                self.adopt_at = self.adopt_at.min(now);
            }
            if wants_leftovers && !self.may_send_leftovers(now) {
                continue;
            }
            // Else never while somebody waits, or is about to leave: a backlog must not lengthen a short command.
            let is_calm = self.waiting.is_empty() && now >= self.calm_at;
            if now >= self.adopt_at && (wants_leftovers || is_calm) {
                match wants_leftovers {
                    true => self.source.adopt_in_haste(),
                    false => self.source.adopt(),
                }
                self.adopted = true;
                self.adopt_at = now + ADOPT;
            }
            let (owner, limits) = match self.scheduler.poll(now, own, self.adopted) {
                Step::Send(limits) => (Owner::Own, limits),
                Step::SendAdopted(limits) => (Owner::Dead, limits),
                Step::Wait(until) => {
                    self.idle(now, own, until).await;
                    continue;
                }
            };
            match (self.source.next_batch(owner, &limits), owner) {
                (Some(batch), _) => {
                    if self.deliver(transport, batch, owner).await.is_none() {
                        return;
                    }
                }
                (None, Owner::Dead) => {
                    self.adopted = false;
                    match (self.source.expects_more(), self.leaving) {
                        (true, Leaving::Until(until)) if now < until => self.adopt_at = now + LEAVING_POLL,
                        (true, _) => self.adopt_at = self.adopt_at.min(now + ADOPT_MORE),
                        (false, Leaving::Until(_)) => self.leaving = Leaving::Done,
                        (false, _) => {}
                    }
                }
                (None, Owner::Own) => self.idle(now, own, None).await,
            }
        }
    }

    /// For somebody who leaves and has his own spans delivered. `false`: that is over.
    fn may_send_leftovers(&mut self, now: Instant) -> bool {
        match self.leaving {
            Leaving::NotYet if self.has_delivered => {
                self.leaving = Leaving::Until(now + LEAVING);
                self.adopt_at = now;
                true
            }
            Leaving::Until(until) if now < until => true,
            _ => {
                self.leaving = Leaving::Done;
                self.source.end_haste();
                self.adopted = false;
                false
            }
        }
    }

    /// Takes in new requests, and lets go who need not wait any longer.
    fn look(&mut self) -> View {
        let (requests, mut stop) = self.shared.take_requests();
        let own = self.source.pending();
        self.shared.known().set_pending(own.spans);
        if requests.iter().any(|request| request.purpose != Purpose::Leftovers) {
            self.scheduler.set_haste(true);
        }
        for request in requests {
            if request.purpose.wants_leftovers() {
                self.leaving = Leaving::NotYet;
            }
            if request.purpose != Purpose::Flush {
                self.calm_at = Instant::now() + CALM;
            }
            let mark = self.source.mark();
            self.waiting.add(request, own.spans, mark);
        }
        let now = Instant::now();
        let source = &mut self.source;
        let done = Done {
            handed_on: self.handed_on,
            leftovers: match self.leaving {
                Leaving::NotYet => false,
                // A batch that is under way gets some time more.
                Leaving::Until(until) => now >= until + LAST_BATCH,
                Leaving::Done => true,
            },
        };
        let released = self
            .waiting
            .release(now, own.spans, &self.scheduler, done, |mark| source.is_settled(mark));
        if !released.waiters.is_empty() {
            self.publish();
            let report = self.shared.known().clone();
            for (waiter, is_settled) in &released.waiters {
                let report = match *is_settled || !self.awaits_answer {
                    true => report.clone(),
                    false => report.clone().unanswered(),
                };
                waiter.report(report.settled(*is_settled));
            }
        }
        self.scheduler.set_haste(released.in_haste);
        stop |= released.shutdown;
        View {
            now,
            own,
            stop,
            wanted: released.wanted,
            wants_leftovers: released.wants_leftovers,
        }
    }

    /// Sends a batch and settles it, if it can be. `None` when told to stop in the middle: the
    /// batch is pending as before.
    async fn deliver(&mut self, transport: &mut Transport, mut batch: Batch, owner: Owner) -> Option<()> {
        let body = Bytes::from(std::mem::take(&mut batch.body));
        let outcome = self.send(transport, body.clone()).await?;
        let chance = chance();
        let now = Instant::now();
        let (verdict, change) = self
            .scheduler
            .answered(now, &outcome, batch.spans, chance, owner == Owner::Own);
        if transport.has_hooks() {
            self.handed_on = HandedOn::No;
        }
        match verdict {
            Verdict::Delivered { rejected } => {
                self.has_delivered = true;
                self.source.delivered(&batch, rejected);
            }
            Verdict::Rejected => {
                batch.body = Vec::from(body);
                self.source.rejected(&batch, &outcome.to_string());
            }
            Verdict::Keep => {}
        }
        if owner == Owner::Own && verdict != Verdict::Keep {
            self.waiting.settled(batch.spans);
        }
        self.publish();
        if let Some(change) = change {
            self.say(&change);
        }
        Some(())
    }

    /// One request, while those of our own clients are taken in and deadlines kept.
    async fn send(&mut self, transport: &mut Transport, body: Bytes) -> Option<Outcome> {
        self.awaits_answer = true;
        let outcome = self.beside(transport.send(body)).await;
        self.awaits_answer = false;
        outcome
    }

    /// Has the destination hand on what it has taken. `None` when told to stop meanwhile.
    async fn hand_on(&mut self, transport: &mut Transport, wanted: HandedOn) -> Option<()> {
        self.beside(transport.flush(wanted == HandedOn::ForTheLastTime)).await?;
        self.handed_on = self.handed_on.max(wanted);
        Some(())
    }

    /// `work`'s output, while requests of our own clients are taken in and deadlines kept. `None` when told to stop.
    async fn beside<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let left = match self.leaving {
                Leaving::Until(until) => Some(until + LAST_BATCH),
                Leaving::NotYet | Leaving::Done => None,
            };
            let left = left.filter(|at| *at > Instant::now());
            let until = self.waiting.deadline().into_iter().chain(left).min();
            let shared = self.shared.clone();
            match first(work.as_mut(), pin!(woken(&shared, until))).await {
                Some(output) => return Some(output),
                None if self.look().stop => return None,
                None => {}
            }
        }
    }

    /// Until there is something to do: at `until`, when somebody wants something, or when it is
    /// time to look whether there are more spans.
    async fn idle(&mut self, now: Instant, own: Pending, until: Option<Instant>) {
        let look_again = match self.pace.next(own.spans) {
            Look::Again(pause) => now + pause,
            Look::BeforeResting(pause) => {
                self.source.rest();
                now + pause
            }
        };
        let adopt_at = Some(self.adopt_at.max(self.calm_at)).filter(|at| *at > now);
        let next = [until, self.waiting.deadline(), adopt_at]
            .into_iter()
            .flatten()
            .fold(look_again, Instant::min);
        if woken(&self.shared, Some(next)).await {
            self.pace.woken();
        }
    }

    /// Makes known how things stand.
    fn publish(&mut self) {
        let accounts = self.source.accounts();
        let trouble = self.scheduler.trouble().map(|trouble| trouble.text.clone());
        *self.shared.known() = DestinationReport::new(self.name.clone(), accounts, trouble);
    }

    fn say(&self, change: &Change) {
        let trouble = self.scheduler.trouble().map_or("", |trouble| trouble.text.as_str());
        report(format_args!(
            "{}",
            line(change, &self.name, trouble, self.source.kept_where())
        ));
    }
}

/// What the person who runs the program reads.
fn line(change: &Change, name: &str, trouble: &str, kept_where: &str) -> String {
    match change {
        Change::Down => format!("cannot deliver to {name}: {trouble}; {kept_where}"),
        Change::Refusing => format!("{name} does not take all spans: {trouble}"),
        Change::Warned(text) => format!("{name} has taken all spans, and warns: {text}"),
        Change::Up => format!("delivering to {name} again"),
    }
}

/// How long to wait before the spool is looked at again: the busier the program, the shorter.
struct Pace {
    interval: Duration,
    seen: u64,
    /// No look is later than this after the one before, while no span wakes the thread.
    longest: Duration,
}

/// When to look at the spool again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Again(Duration),
    /// And have the next span wake the thread, should it come before.
    BeforeResting(Duration),
}

impl Pace {
    /// `delay`: for so long a span may wait.
    fn new(delay: Duration) -> Self {
        Self {
            interval: BUSY_POLL,
            seen: 0,
            longest: delay.clamp(BUSY_POLL, IDLE_POLL),
        }
    }

    fn next(&mut self, pending: u64) -> Look {
        let is_busy = pending != self.seen;
        self.seen = pending;
        if is_busy {
            self.interval = (self.interval / 4).clamp(BUSY_POLL, IDLE_POLL);
            return Look::Again(self.interval.min(self.longest));
        }
        if self.interval >= IDLE_POLL {
            // Nothing has changed for a second, also since the last request to be woken: from now on a span wakes us.
            self.interval = RESTING_POLL;
            return Look::BeforeResting(RESTING_POLL);
        }
        self.interval = (self.interval * 2).min(IDLE_POLL);
        // A span that was ending while the request was made does not wake anybody: one more look finds it.
        if self.interval == IDLE_POLL {
            Look::BeforeResting(IDLE_POLL)
        } else {
            Look::Again(self.interval.min(self.longest))
        }
    }

    /// Somebody has woken the thread.
    fn woken(&mut self) {
        self.interval = BUSY_POLL;
    }
}

/// Waits for a client of the thread, or until `until`. `true`: a client has come.
async fn woken(shared: &Shared, until: Option<Instant>) -> bool {
    let wake = shared.wake.notified();
    match until {
        None => {
            wake.await;
            true
        }
        Some(until) => tokio::time::timeout_at(until.into(), wake).await.is_ok(),
    }
}

/// `work`'s output, or `None` when `interruption` comes first; `work` can be taken up again.
async fn first<W: Future>(mut work: Pin<&mut W>, mut interruption: Pin<&mut impl Future>) -> Option<W::Output> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = work.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        interruption.as_mut().poll(cx).map(|_| None)
    })
    .await
}

/// Evenly distributed in `0.0..1.0`: jitter needs no better source than the keys of a hash map.
fn chance() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::outcome::Failure;

    #[test]
    fn line_names_the_cause_and_the_cure() {
        let status = |code, message: &str| Outcome::Status {
            code,
            retry_after: None,
            message: message.to_owned(),
        };
        for (outcome, change, expected) in [
            (
                Outcome::failed(Failure::Refused, ""),
                Change::Down,
                "cannot deliver to E: connection refused: nothing listens on this port; spans are kept in the local \
                 spool",
            ),
            (
                Outcome::failed(Failure::UnknownHost, "no such name"),
                Change::Down,
                "cannot deliver to E: the host's name has no address (no such name); spans are kept in the local spool",
            ),
            (
                status(404, ""),
                Change::Down,
                "cannot deliver to E: the answer is 404: check the path of the endpoint; spans are kept in the local \
                 spool",
            ),
            (
                status(401, "no such key"),
                Change::Down,
                "cannot deliver to E: the answer is 401: check the key in OTEL_EXPORTER_OTLP_HEADERS (no such key); \
                 spans are kept in the local spool",
            ),
            (
                status(400, "bad ids"),
                Change::Refusing,
                "E does not take all spans: the answer is 400 (bad ids)",
            ),
            (
                Outcome::success(),
                Change::Warned("old version".to_owned()),
                "E has taken all spans, and warns: old version",
            ),
            (
                status(400, "\x1b]0;title\x07"),
                Change::Refusing,
                "E does not take all spans: the answer is 400 (\\u{1b}]0;title\\u{7})",
            ),
            (Outcome::success(), Change::Up, "delivering to E again"),
        ] {
            assert_eq!(
                line(&change, "E", &outcome.to_string(), "spans are kept in the local spool"),
                expected
            );
        }
        let long = "x".repeat(10_000);
        assert!(status(500, &long).to_string().len() < 300);
    }

    #[test]
    fn pace_is_quick_in_a_busy_program_and_rests_in_an_idle_one() {
        let mut pace = Pace::new(IDLE_POLL);
        let millis = Duration::from_millis;
        let idle: Vec<_> = (0..9).map(|_| pace.next(0)).collect();
        assert_eq!(idle[0], Look::Again(millis(20)));
        assert_eq!(
            idle[6..],
            [
                Look::BeforeResting(IDLE_POLL),
                Look::BeforeResting(RESTING_POLL),
                Look::BeforeResting(RESTING_POLL)
            ]
        );
        pace.woken();
        assert_eq!(pace.next(1), Look::Again(BUSY_POLL));
        let mut watched = Pace::new(millis(100));
        let looks: Vec<_> = (0..8).map(|_| watched.next(0)).collect();
        assert_eq!(looks[3..6], [Look::Again(millis(100)); 3]);
        assert_eq!(
            looks[6..],
            [Look::BeforeResting(IDLE_POLL), Look::BeforeResting(RESTING_POLL)]
        );
        let busy: Vec<_> = (2..10).map(|spans| pace.next(spans)).collect();
        assert_eq!(busy.last(), Some(&Look::Again(BUSY_POLL)));
    }

    #[test]
    fn chance_is_between_0_and_1_and_not_always_the_same() {
        let chances: Vec<_> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(chances.iter().any(|chance| *chance < 0.5) && chances.iter().any(|chance| *chance >= 0.5));
    }
}
