//! Decides when to send and what an answer means. No clock, no socket, no randomness of its own:
//! time and chance are arguments.
//!
//! OTLP specification, "OTLP/HTTP Response" and "OTLP/HTTP Throttling", with one deliberate
//! difference: answers that tell of a wrong setting (401, 403, 404, a redirect) refuse the request
//! without condemning the spans. They are kept, and a request is tried again after a long pause.

use std::time::{Duration, Instant};

use super::outcome::{Cause, Failure, Outcome, RpcStatus, shown};
use super::source::{BatchLimits, Pending};
use crate::config::BatchSettings;

/// The first wait after a failure is chosen from 0 to this; it doubles with each further one.
const BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);
/// Full jitter may choose 0: no failure is followed at once by the next attempt.
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
/// How often a destination is tried that is set up wrongly.
const PAUSE: Duration = Duration::from_secs(300);
/// A receiver's `Retry-After` is honoured up to here.
const LONGEST_THROTTLE: Duration = Duration::from_secs(3600);
/// So many single spans in a row may be too large before their requests are spaced out: then it is not the spans.
const LARGE_SINGLES: u32 = 3;
const LONGEST_SPACE: Duration = Duration::from_secs(5);
/// For so long a batch is kept below a size that was refused.
const REMEMBER_REFUSED_SIZE: Duration = Duration::from_secs(600);
/// The same trouble, come again, is said again only after this.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// So many requests of own spans go before one of a dead process's must.
const OWN_IN_A_ROW: u32 = 3;
/// After so many requests in a row that ended in the middle, the batch is halved: it may be too much for the way there.
const STALLS: u32 = 3;
/// For so long it is then kept below the size that did not get through.
const REMEMBER_STALLED_SIZE: Duration = Duration::from_secs(60);

/// The state of one destination.
pub(crate) struct Scheduler {
    settings: BatchSettings,
    gate: Gate,
    trouble: Option<Trouble>,
    /// Failures since the last answer.
    failures: u32,
    /// Whether somebody waits for the spans.
    haste: bool,
    /// Whether spans need not wait for company: those of a batch that was kept have waited, and the
    /// very first ones show at once, to whoever has just started the program, that all is well.
    eager: bool,
    /// The oldest of the own spans is at least as young as this says.
    pending_since: Option<Instant>,
    last_sent: Option<Instant>,
    size: BatchSize,
    /// Requests of own spans since the last one of adopted spans.
    own_in_a_row: u32,
    /// Requests in a row that ended in the middle: no answer in time, or a connection that broke.
    stalls: u32,
    /// Single spans in a row that were said to be too large.
    large_singles: u32,
    said: Vec<(Cause, Instant)>,
    /// Whether the present trouble was said, so that its end must be.
    announced: bool,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// Own spans.
    Send(BatchLimits),
    /// Spans of processes that have died.
    SendAdopted(BatchLimits),
    /// Nothing, before this instant or until there are more spans.
    Wait(Option<Instant>),
}

/// What a request's outcome means for its batch.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Done, apart from so many rejected spans.
    Delivered { rejected: u64 },
    /// To be sent again, whole or in smaller parts.
    Keep,
    /// Never to be sent again.
    Rejected,
}

/// A change of the destination's state that is worth a line.
#[derive(Debug, PartialEq)]
pub(crate) enum Change {
    /// Nothing is delivered for the time being.
    Down,
    /// Some spans are refused, others delivered.
    Refusing,
    /// All spans are taken, and the backend has something to say of them.
    Warned(String),
    /// All is well again.
    Up,
}

/// Why the destination does not take everything.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    cause: Cause,
    /// Whether nothing is delivered, as against single batches refused.
    pub(crate) is_down: bool,
    pub(crate) text: String,
}

#[derive(Clone, Copy)]
enum Gate {
    Open,
    /// Our own caution; somebody's haste may shorten it.
    Backoff(Instant),
    /// The receiver's wish, or a wrong setting: waited out.
    Shut(Instant),
}

/// What the specification, or our reading of it, makes of an outcome.
#[derive(Clone, Copy)]
enum Class {
    Delivered,
    Misconfigured,
    Rejected,
    Retryable(Option<Duration>),
    TooLarge,
}

impl Scheduler {
    pub(crate) fn new(settings: BatchSettings) -> Self {
        Self {
            settings,
            gate: Gate::Open,
            trouble: None,
            failures: 0,
            haste: false,
            eager: true,
            pending_since: None,
            last_sent: None,
            size: BatchSize {
                most: settings.spans,
                now: settings.spans,
                refused: None,
            },
            own_in_a_row: 0,
            stalls: 0,
            large_singles: 0,
            said: Vec::new(),
            announced: false,
        }
    }

    /// What to do at `now`, with these own spans pending, and `adopted` where there are spans of
    /// processes that have died.
    ///
    /// Own spans go when they are due; the others in between, so that neither keeps the other from being sent. Where somebody
    /// waits, own spans alone count.
    pub(crate) fn poll(&mut self, now: Instant, own: Pending, adopted: bool) -> Step {
        let own_due = self.own_due(now, own);
        let adopted = adopted && !self.haste;
        let is_own_turn = own_due.is_some_and(|due| due <= now) && !(adopted && self.own_in_a_row >= OWN_IN_A_ROW);
        let due = if is_own_turn || adopted {
            now
        } else {
            match own_due {
                Some(due) => due,
                None => return Step::Wait(None),
            }
        };
        let due = match self.gate {
            Gate::Open => due,
            Gate::Backoff(until) | Gate::Shut(until) => due.max(until),
        };
        if now < due {
            return Step::Wait(Some(due));
        }
        let limits = BatchLimits {
            spans: self.size.now,
            bytes: self.settings.bytes,
        };
        if !is_own_turn {
            self.own_in_a_row = 0;
            return Step::SendAdopted(limits);
        }
        self.own_in_a_row += 1;
        self.last_sent = Some(now);
        self.pending_since = None;
        Step::Send(limits)
    }

    /// When own spans are to go, if there are any.
    fn own_due(&mut self, now: Instant, own: Pending) -> Option<Instant> {
        if own.spans == 0 {
            self.pending_since = None;
            return None;
        }
        let since = *self.pending_since.get_or_insert(now);
        let full = own.spans >= self.size.now as u64 || own.bytes >= self.settings.bytes as u64;
        Some(if full || self.haste || self.eager {
            now
        } else {
            since + self.settings.schedule_delay
        })
    }

    /// Somebody waits for the spans, or no longer.
    pub(crate) fn set_haste(&mut self, haste: bool) {
        // Each new wait brings one attempt forward. A program that flushes in a tight loop must
        // not turn that into an attack on a receiver that is already down.
        if haste && !self.haste {
            if let (Gate::Backoff(until), Some(sent)) = (self.gate, self.last_sent) {
                self.gate = Gate::Backoff(until.min(sent + BACKOFF));
            }
        }
        self.haste = haste;
    }

    /// What `outcome` means for the batch of `spans` that was sent, and what to say about it.
    ///
    /// `chance` is evenly distributed in `0.0..1.0`.
    pub(crate) fn answered(
        &mut self,
        now: Instant,
        outcome: &Outcome,
        spans: u64,
        chance: f64,
        is_own: bool,
    ) -> (Verdict, Option<Change>) {
        if is_own {
            // What came while the request was under way has waited since then.
            self.pending_since = self.last_sent;
        }
        self.note_stall(now, outcome, spans);
        let class = classify(outcome);
        match class {
            Class::Retryable(asked) => {
                self.failures = self.failures.saturating_add(1);
                self.gate = match asked.filter(|asked| !asked.is_zero()) {
                    Some(asked) => Gate::Shut(now + asked.min(LONGEST_THROTTLE)),
                    None => Gate::Backoff(now + backoff(self.failures, chance)),
                };
            }
            Class::Misconfigured => self.gate = Gate::Shut(now + PAUSE.mul_f64(1.0 + chance / 10.0)),
            _ => {
                self.failures = 0;
                self.gate = Gate::Open;
            }
        }
        let (verdict, change) = self.judge(now, class, outcome, spans);
        self.eager = verdict == Verdict::Keep && (is_own || self.eager);
        (verdict, change)
    }

    /// A large batch over a slow link would never get through: it is halved until it does.
    fn note_stall(&mut self, now: Instant, outcome: &Outcome, spans: u64) {
        let Outcome::Failed {
            failure: Failure::TimedOut | Failure::Disconnected,
            ..
        } = outcome
        else {
            self.stalls = 0;
            return;
        };
        self.stalls += 1;
        if self.stalls >= STALLS && spans > 1 {
            self.stalls = 0;
            self.size.refuse(spans, now + REMEMBER_STALLED_SIZE);
        }
    }

    /// Until when nothing is sent, after a failure.
    pub(crate) fn not_before(&self) -> Option<Instant> {
        match self.gate {
            Gate::Open => None,
            Gate::Backoff(until) | Gate::Shut(until) => Some(until),
        }
    }

    /// Why not everything is delivered at present.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// Whether nothing is delivered at present: it is no use to wait at the program's end.
    pub(crate) fn is_down(&self) -> bool {
        self.trouble.as_ref().is_some_and(|trouble| trouble.is_down)
    }

    fn judge(&mut self, now: Instant, class: Class, outcome: &Outcome, spans: u64) -> (Verdict, Option<Change>) {
        match class {
            Class::Delivered => {
                self.large_singles = 0;
                self.size.grow(now);
                let rejected = match outcome {
                    Outcome::Accepted { rejected, .. } => (*rejected).min(spans),
                    _ => 0,
                };
                let change = match outcome.cause() {
                    Some(Cause::Warning) => self.leave_trouble().or_else(|| self.warn(now, outcome)),
                    Some(cause) => self.enter_trouble(now, cause, false, outcome),
                    None => self.leave_trouble(),
                };
                (Verdict::Delivered { rejected }, change)
            }
            Class::TooLarge if spans > 1 => {
                self.size.refuse(spans, now + REMEMBER_REFUSED_SIZE);
                // An answer, and nothing is lost: nothing to say.
                (Verdict::Keep, None)
            }
            Class::TooLarge | Class::Rejected => {
                self.size.refused = None;
                if let Class::TooLarge = class {
                    self.space_out(now);
                }
                let change = outcome.cause().and_then(|c| self.enter_trouble(now, c, false, outcome));
                (Verdict::Rejected, change)
            }
            Class::Misconfigured | Class::Retryable(_) => {
                let change = outcome.cause().and_then(|c| self.enter_trouble(now, c, true, outcome));
                (Verdict::Keep, change)
            }
        }
    }

    /// A backend to which everything is too large must not be sent single spans as fast as it refuses them.
    fn space_out(&mut self, now: Instant) {
        self.large_singles = self.large_singles.saturating_add(1);
        if let Some(doublings) = self.large_singles.checked_sub(LARGE_SINGLES + 1) {
            let space = SHORTEST_BACKOFF
                .saturating_mul(1 << doublings.min(10))
                .min(LONGEST_SPACE);
            self.gate = Gate::Backoff(now + space);
        }
    }

    /// Nothing is wrong with a delivery that the backend comments on.
    fn warn(&mut self, now: Instant, outcome: &Outcome) -> Option<Change> {
        let Outcome::Accepted { message, .. } = outcome else {
            return None;
        };
        self.is_news(now, Cause::Warning)
            .then(|| Change::Warned(shown(message)))
    }

    /// Whether this was not said for a while; it counts as said then.
    fn is_news(&mut self, now: Instant, cause: Cause) -> bool {
        self.said
            .retain(|(_, at)| now.saturating_duration_since(*at) < SAY_AGAIN);
        let is_news = self.said.iter().all(|(said, _)| *said != cause);
        if is_news {
            self.said.push((cause, now));
        }
        is_news
    }

    fn enter_trouble(&mut self, now: Instant, cause: Cause, is_down: bool, outcome: &Outcome) -> Option<Change> {
        let is_new = self.trouble.as_ref().is_none_or(|trouble| trouble.cause != cause);
        self.trouble = Some(Trouble {
            cause,
            is_down,
            text: outcome.to_string(),
        });
        if !is_new || !self.is_news(now, cause) {
            return None;
        }
        self.announced = true;
        Some(if is_down { Change::Down } else { Change::Refusing })
    }

    fn leave_trouble(&mut self) -> Option<Change> {
        self.trouble = None;
        std::mem::take(&mut self.announced).then_some(Change::Up)
    }
}

/// One table of what answers mean.
fn classify(outcome: &Outcome) -> Class {
    match outcome {
        Outcome::Accepted { .. } => Class::Delivered,
        Outcome::Status { code, retry_after, .. } => match code {
            // "429, 502, 503, 504": retryable, all others MUST NOT be retried.
            429 | 502..=504 => Class::Retryable(*retry_after),
            413 => Class::TooLarge,
            300..=399 | 401 | 403..=405 | 407 | 415 => Class::Misconfigured,
            _ => Class::Rejected,
        },
        Outcome::Rpc {
            status, retry_after, ..
        } => match *status {
            RpcStatus::CANCELLED
            | RpcStatus::DEADLINE_EXCEEDED
            | RpcStatus::ABORTED
            | RpcStatus::OUT_OF_RANGE
            | RpcStatus::UNAVAILABLE
            | RpcStatus::DATA_LOSS => Class::Retryable(*retry_after),
            // "Only if the server signals that recovery is possible", by RetryInfo; else the message was too large.
            RpcStatus::RESOURCE_EXHAUSTED if retry_after.is_some() => Class::Retryable(*retry_after),
            RpcStatus::RESOURCE_EXHAUSTED => Class::TooLarge,
            RpcStatus::UNAUTHENTICATED
            | RpcStatus::PERMISSION_DENIED
            | RpcStatus::UNIMPLEMENTED
            | RpcStatus::NOT_FOUND => Class::Misconfigured,
            _ => Class::Rejected,
        },
        Outcome::Refused(_) => Class::Rejected,
        Outcome::Unavailable { retry_after, .. } => Class::Retryable(*retry_after),
        Outcome::Failed { failure, .. } => match failure {
            // "The client MUST treat the response as non-retryable."
            Failure::HugeAnswer => Class::Rejected,
            Failure::NotOtlp | Failure::NotGrpc => Class::Misconfigured,
            _ => Class::Retryable(None),
        },
    }
}

/// Exponential with full jitter: anything up to the doubled limit, so that many clients of one
/// receiver do not come back together.
fn backoff(failures: u32, chance: f64) -> Duration {
    let doubled = BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(10));
    doubled.min(LONGEST_BACKOFF).mul_f64(chance).max(SHORTEST_BACKOFF)
}

/// How many spans go into one request. `1 <= now <= most`.
struct BatchSize {
    most: usize,
    now: usize,
    /// A number of spans that was too large, and until when it counts as such.
    refused: Option<(usize, Instant)>,
}

impl BatchSize {
    /// Half of it may pass.
    fn refuse(&mut self, spans: u64, until: Instant) {
        let spans = usize::try_from(spans).unwrap_or(self.now);
        self.refused = Some((spans, until));
        self.now = (spans / 2).clamp(1, self.most);
    }

    /// After a success: back towards the most, but for a time below what was refused.
    fn grow(&mut self, now: Instant) {
        let larger = self.now.saturating_mul(2).min(self.most);
        let refused = self
            .refused
            .is_some_and(|(spans, until)| larger >= spans && now < until);
        if !refused {
            self.now = larger;
        }
    }
}

#[cfg(test)]
#[path = "scheduler_tests.rs"]
mod tests;
