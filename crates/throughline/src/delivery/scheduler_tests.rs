use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn scheduler() -> (Scheduler, Instant) {
    (Scheduler::new(BatchSettings::default()), Instant::now())
}

/// One that has already delivered something.
fn met_scheduler() -> (Scheduler, Instant) {
    let (mut scheduler, now) = scheduler();
    scheduler.poll(now, spans(1), false);
    scheduler.answered(now, &Outcome::success(), 1, 0.5, true);
    scheduler.poll(now, spans(0), false);
    (scheduler, now)
}

fn spans(spans: u64) -> Pending {
    Pending {
        spans,
        bytes: spans * 300,
    }
}

fn status(code: u16) -> Outcome {
    Outcome::Status {
        code,
        retry_after: None,
        message: String::new(),
    }
}

fn throttled(code: u16, retry_after: Duration) -> Outcome {
    Outcome::Status {
        code,
        retry_after: Some(retry_after),
        message: String::new(),
    }
}

fn failed(failure: Failure) -> Outcome {
    Outcome::failed(failure, "")
}

fn sends(scheduler: &mut Scheduler, now: Instant, own: Pending) -> bool {
    matches!(scheduler.poll(now, own, false), Step::Send(_))
}

#[test]
fn batch_goes_when_it_is_full_or_old_or_awaited() {
    for (own, waited, haste, expected) in [
        (spans(0), 10 * SECOND, true, false),
        (spans(1), SECOND, false, false),
        (spans(511), SECOND, false, false),
        (spans(512), Duration::ZERO, false, true),
        (
            Pending {
                spans: 2,
                bytes: 2 << 20,
            },
            Duration::ZERO,
            false,
            true,
        ),
        (spans(1), 5 * SECOND, false, true),
        (spans(1), Duration::ZERO, true, true),
    ] {
        let (mut scheduler, now) = met_scheduler();
        let first = own.spans.min(1);
        assert!(!sends(&mut scheduler, now, spans(first)));
        scheduler.set_haste(haste);
        assert_eq!(
            sends(&mut scheduler, now + waited, own),
            expected,
            "{own:?} {waited:?} {haste}"
        );
    }
}

#[test]
fn first_request_goes_at_once() {
    let (mut scheduler, now) = scheduler();
    assert!(sends(&mut scheduler, now, spans(1)));
}

#[test]
fn adopted_spans_do_not_wait_for_company_and_own_ones_are_not_sent_early_for_them() {
    let (mut scheduler, now) = met_scheduler();
    assert!(matches!(scheduler.poll(now, spans(0), true), Step::SendAdopted(_)));
    let (mut scheduler, now) = met_scheduler();
    assert!(matches!(scheduler.poll(now, spans(1), true), Step::SendAdopted(_)));
    assert_eq!(scheduler.poll(now, spans(1), false), Step::Wait(Some(now + 5 * SECOND)));
    scheduler.set_haste(true);
    assert!(matches!(scheduler.poll(now, spans(1), true), Step::Send(_)));
}

#[test]
fn busy_process_sends_what_its_predecessor_left_in_between() {
    // A full batch of its own is always there.
    let (mut scheduler, mut now) = met_scheduler();
    let mut adopted = 0;
    for _ in 0..100 {
        now += SECOND / 10;
        let is_own = match scheduler.poll(now, spans(2_000), true) {
            Step::Send(_) => true,
            Step::SendAdopted(_) => false,
            Step::Wait(until) => panic!("it waits until {until:?}"),
        };
        adopted += u32::from(!is_own);
        scheduler.answered(now, &Outcome::success(), 512, 0.5, is_own);
    }
    assert_eq!(adopted, 25);
}

#[test]
fn batch_that_does_not_get_through_is_halved_after_three_tries() {
    let limit = |scheduler: &mut Scheduler, now| match scheduler.poll(now, spans(5_000), false) {
        Step::Send(limits) => limits.spans,
        other => panic!("{other:?}"),
    };
    for failure in [Failure::TimedOut, Failure::Disconnected] {
        let (mut scheduler, mut now) = met_scheduler();
        for expected in [512, 512, 512, 256, 256, 256, 128] {
            assert_eq!(limit(&mut scheduler, now), expected);
            scheduler.answered(now, &failed(failure), expected as u64, 0.5, true);
            now += 100 * SECOND;
        }
        // What got through once is kept to for a minute; then more is tried.
        for expected in [128, 128] {
            now += SECOND;
            scheduler.answered(now, &Outcome::success(), expected, 0.5, true);
        }
        assert_eq!(
            limit(&mut scheduler, now),
            512,
            "the memory of the size is older than a minute"
        );
        scheduler.answered(now, &failed(Failure::Refused), 512, 0.5, true);
        scheduler.answered(now, &failed(failure), 512, 0.5, true);
        scheduler.answered(now, &failed(failure), 512, 0.5, true);
        scheduler.answered(now, &failed(Failure::Refused), 512, 0.5, true);
        assert_eq!(limit(&mut scheduler, now + 100 * SECOND), 512, "not three in a row");
    }
    let (mut scheduler, mut now) = met_scheduler();
    for _ in 0..3 {
        scheduler.answered(now, &failed(Failure::TimedOut), 512, 0.5, true);
        now += 100 * SECOND;
    }
    scheduler.answered(now, &Outcome::success(), 256, 0.5, true);
    assert_eq!(limit(&mut scheduler, now), 512, "100 s have passed");
    for _ in 0..3 {
        scheduler.answered(now, &failed(Failure::TimedOut), 512, 0.5, true);
    }
    scheduler.answered(now, &Outcome::success(), 256, 0.5, true);
    scheduler.answered(now, &Outcome::success(), 256, 0.5, true);
    assert_eq!(
        limit(&mut scheduler, now),
        256,
        "what did not get through just now is not tried"
    );
    scheduler.answered(now, &failed(Failure::TimedOut), 1, 0.5, true);
}

#[test]
fn spans_that_came_during_a_request_have_waited_since_it_began() {
    let (mut scheduler, now) = met_scheduler();
    assert!(sends(&mut scheduler, now, spans(512)));
    scheduler.answered(now + 3 * SECOND, &Outcome::success(), 512, 0.5, true);
    let step = scheduler.poll(now + 3 * SECOND, spans(1), false);
    assert_eq!(step, Step::Wait(Some(now + 5 * SECOND)));
}

#[test]
fn every_answer_has_its_meaning() {
    let keep = || Verdict::Keep;
    let rejected = || Verdict::Rejected;
    let partial = Outcome::Accepted {
        rejected: 3,
        message: "bad ids".into(),
    };
    let lying = Outcome::Accepted {
        rejected: u64::MAX,
        message: String::new(),
    };
    let warning = Outcome::Accepted {
        rejected: 0,
        message: "old version".into(),
    };
    // The outcome, the verdict on a batch of 10, whether the destination counts as down.
    let mut table = vec![
        (Outcome::success(), Verdict::Delivered { rejected: 0 }, false),
        (partial, Verdict::Delivered { rejected: 3 }, false),
        (lying, Verdict::Delivered { rejected: 10 }, false),
        (warning, Verdict::Delivered { rejected: 0 }, false),
        (status(413), keep(), false),
        (failed(Failure::HugeAnswer), rejected(), false),
        (failed(Failure::NotOtlp), keep(), true),
    ];
    for code in [429, 502, 503, 504] {
        table.push((status(code), keep(), true));
    }
    for code in [301, 302, 307, 308, 401, 403, 404, 405, 407, 415] {
        table.push((status(code), keep(), true));
    }
    for code in [
        400, 402, 406, 408, 409, 410, 418, 422, 451, 500, 501, 505, 507, 511, 599, 999,
    ] {
        table.push((status(code), rejected(), false));
    }
    for failure in [
        Failure::Disconnected,
        Failure::NotHttp,
        Failure::PlainToTls,
        Failure::Refused,
        Failure::TimedOut,
        Failure::Tls,
        Failure::Unreachable,
        Failure::UnknownHost,
    ] {
        table.push((failed(failure), keep(), true));
    }
    for (outcome, verdict, down) in table {
        let (mut scheduler, now) = scheduler();
        scheduler.poll(now, spans(10), false);
        assert_eq!(
            scheduler.answered(now, &outcome, 10, 0.5, true).0,
            verdict,
            "{outcome:?}"
        );
        assert_eq!(scheduler.is_down(), down, "{outcome:?}");
    }
}

#[test]
fn wait_after_failures_doubles_up_to_a_minute_with_full_jitter() {
    for (failures, chance, expected) in [
        (1, 0.5, Duration::from_millis(500)),
        (2, 0.5, SECOND),
        (3, 0.5, 2 * SECOND),
        (4, 0.25, 2 * SECOND),
        (7, 0.5, 30 * SECOND),
        (8, 0.5, 30 * SECOND),
        (u32::MAX, 0.5, 30 * SECOND),
        (3, 0.0, Duration::from_millis(100)),
    ] {
        assert_eq!(backoff(failures, chance), expected, "{failures} {chance}");
    }
    let (mut scheduler, now) = scheduler();
    for (after, wait) in [(0, 500), (500, 1000), (1500, 2000), (3500, 4000)] {
        let now = now + Duration::from_millis(after);
        assert!(sends(&mut scheduler, now, spans(1)), "{after}");
        scheduler.answered(now, &failed(Failure::Refused), 1, 0.5, true);
        let until = now + Duration::from_millis(wait);
        assert_eq!(scheduler.poll(now, spans(9999), false), Step::Wait(Some(until)));
    }
}

#[test]
fn what_the_receiver_asks_for_is_waited_out_even_by_a_flush() {
    for (outcome, wait) in [
        (throttled(429, 7 * SECOND), 7 * SECOND),
        (throttled(503, 2 * SECOND), 2 * SECOND),
        (throttled(503, 9_999_999 * SECOND), LONGEST_THROTTLE),
        (status(401), PAUSE),
        (status(404), PAUSE),
    ] {
        let (mut scheduler, now) = scheduler();
        assert!(sends(&mut scheduler, now, spans(1)));
        scheduler.answered(now, &outcome, 1, 0.0, true);
        scheduler.set_haste(true);
        assert!(!sends(
            &mut scheduler,
            now + wait - Duration::from_millis(1),
            spans(9999)
        ));
        assert!(sends(&mut scheduler, now + wait, spans(1)), "{outcome:?}");
    }
}

#[test]
fn retry_after_of_zero_is_an_ordinary_failure() {
    let (mut scheduler, now) = scheduler();
    scheduler.poll(now, spans(1), false);
    scheduler.answered(now, &throttled(503, Duration::ZERO), 1, 0.5, true);
    let until = now + Duration::from_millis(500);
    assert_eq!(scheduler.poll(now, spans(1), false), Step::Wait(Some(until)));
}

#[test]
fn flush_brings_one_attempt_forward_but_not_more_than_one_a_second() {
    let (mut scheduler, mut now) = scheduler();
    for _ in 0..8 {
        now += LONGEST_BACKOFF;
        assert!(sends(&mut scheduler, now, spans(1)));
        scheduler.answered(now, &failed(Failure::Refused), 1, 0.99, true);
    }
    for _ in 0..3 {
        scheduler.set_haste(false);
        scheduler.set_haste(true);
        assert!(!sends(&mut scheduler, now + SECOND / 2, spans(1)));
    }
    assert!(sends(&mut scheduler, now + SECOND, spans(1)));
    scheduler.answered(now + SECOND, &failed(Failure::Refused), 1, 0.99, true);
    assert!(
        !sends(&mut scheduler, now + 3 * SECOND, spans(1)),
        "the same flush has had its attempt"
    );
}

#[test]
fn batch_that_is_too_large_is_halved_until_it_passes_and_grows_again_below_that() {
    let (mut scheduler, mut now) = met_scheduler();
    let mut sizes = Vec::new();
    for _ in 0..12 {
        now += SECOND;
        let Step::Send(limits) = scheduler.poll(now, spans(9999), false) else {
            panic!()
        };
        let size = limits.spans as u64;
        sizes.push(size);
        let outcome = if size > 100 { status(413) } else { Outcome::success() };
        scheduler.answered(now, &outcome, size, 0.5, true);
    }
    assert_eq!(sizes, [512, 256, 128, 64, 64, 64, 64, 64, 64, 64, 64, 64]);
    now += REMEMBER_REFUSED_SIZE;
    scheduler.poll(now, spans(9999), false);
    scheduler.answered(now, &Outcome::success(), 64, 0.5, true);
    let Step::Send(limits) = scheduler.poll(now, spans(9999), false) else {
        panic!()
    };
    assert_eq!(limits.spans, 128);
}

#[test]
fn backend_to_which_everything_is_too_large_is_asked_less_and_less_often() {
    let mut scheduler = Scheduler::new(BatchSettings::default());
    let now = Instant::now();
    let waits: Vec<_> = (0..12)
        .map(|_| {
            let _rejected = scheduler.answered(now, &status(413), 1, 0.5, true);
            scheduler.not_before().map_or(0, |until| (until - now).as_millis())
        })
        .collect();
    assert_eq!(waits, [0, 0, 0, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    scheduler.answered(now, &Outcome::success(), 1, 0.5, true);
    scheduler.answered(now, &status(413), 1, 0.5, true);
    assert_eq!(scheduler.not_before(), None);
}

#[test]
fn single_span_that_is_too_large_is_rejected_and_the_next_ones_are_not_held_up() {
    let (mut scheduler, now) = met_scheduler();
    let mut size = 512;
    while size > 1 {
        assert_eq!(
            scheduler.answered(now, &status(413), size, 0.5, true),
            (Verdict::Keep, None)
        );
        let Step::Send(limits) = scheduler.poll(now, spans(9999), false) else {
            panic!()
        };
        assert!((limits.spans as u64) < size);
        size = limits.spans as u64;
    }
    let verdict = scheduler.answered(now, &status(413), 1, 0.5, true);
    assert_eq!(verdict, (Verdict::Rejected, Some(Change::Refusing)));
    for _ in 0..9 {
        let Step::Send(limits) = scheduler.poll(now, spans(9999), false) else {
            panic!()
        };
        scheduler.answered(now, &Outcome::success(), limits.spans as u64, 0.5, true);
    }
    let Step::Send(limits) = scheduler.poll(now, spans(9999), false) else {
        panic!()
    };
    assert_eq!(limits.spans, 512);
}

#[test]
fn each_change_of_state_is_said_once_and_flapping_is_not_said_again_and_again() {
    let (mut scheduler, start) = scheduler();
    let refused = failed(Failure::Refused);
    let warning = Outcome::Accepted {
        rejected: 0,
        message: "old version".into(),
    };
    for (seconds, outcome, change) in [
        (0, &refused, Some(Change::Down)),
        (1, &refused, None),
        (2, &status(404), Some(Change::Down)),
        (3, &refused, None),
        (4, &Outcome::success(), Some(Change::Up)),
        (5, &Outcome::success(), None),
        (6, &refused, None),
        (7, &Outcome::success(), None),
        (90, &refused, Some(Change::Down)),
        (91, &status(400), Some(Change::Refusing)),
        (91, &warning, Some(Change::Up)),
        (91, &warning, Some(Change::Warned("old version".to_owned()))),
        (91, &warning, None),
        (92, &Outcome::success(), None),
        (160, &status(400), Some(Change::Refusing)),
        (161, &status(400), None),
        (162, &Outcome::success(), Some(Change::Up)),
    ] {
        let now = start + seconds * SECOND;
        assert_eq!(scheduler.answered(now, outcome, 1, 0.5, true).1, change, "at {seconds}");
    }
}

/// A receiver of changing moods, a source of spans, and what must hold whatever they do.
#[test]
fn random_walk_loses_nothing_and_keeps_every_rule() {
    for seed in 1..=200_u64 {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let (mut scheduler, mut now) = scheduler();
        let end = now + 12 * 3600 * SECOND;
        let healed_from = now + 3600 * SECOND;
        // Numbers of the spans, oldest first; those divisible by 997 are too large for anybody.
        let mut queue = std::collections::VecDeque::new();
        let (mut made, mut delivered, mut rejected) = (0_u64, 0_u64, 0_u64);
        let mut not_before = now;
        let mut oldest: Option<Instant> = None;
        while now < end {
            if now < healed_from && random.below(3) == 0 {
                for _ in 0..random.below(700) {
                    made += 1;
                    queue.push_back(made);
                    oldest.get_or_insert(now);
                }
            }
            scheduler.set_haste(random.below(10) == 0);
            match scheduler.poll(now, spans(queue.len() as u64), false) {
                Step::Wait(None) => {
                    assert!(queue.is_empty(), "seed {seed}: spans wait for nothing");
                    now += SECOND;
                }
                Step::Wait(Some(until)) => {
                    assert!(until > now, "seed {seed}: a wait that is over");
                    assert!(until - now <= LONGEST_THROTTLE, "seed {seed}: an endless wait");
                    // The driver also looks in between.
                    now += (until - now).min(SECOND * (1 + random.below(20) as u32));
                }
                Step::SendAdopted(_) => panic!("seed {seed}: there is nothing adopted"),
                Step::Send(limits) => {
                    assert!(!queue.is_empty(), "seed {seed}: an empty request");
                    assert!(now >= not_before, "seed {seed}: a request before it was allowed");
                    assert!((1..=512).contains(&limits.spans), "seed {seed}");
                    let count = queue.len().min(limits.spans);
                    let poisoned = queue.iter().take(count).any(|span| span % 997 == 0);
                    let outcome = if poisoned {
                        status(413)
                    } else if now >= healed_from {
                        Outcome::success()
                    } else {
                        random.outcome()
                    };
                    now += Duration::from_millis(random.below(2000));
                    let chance = random.below(1000) as f64 / 1000.0;
                    let (verdict, _) = scheduler.answered(now, &outcome, count as u64, chance, true);
                    if let Outcome::Status {
                        retry_after: Some(wait),
                        code: 429 | 503,
                        ..
                    } = outcome
                    {
                        not_before = now + wait;
                    }
                    let size = count as u64;
                    match verdict {
                        Verdict::Delivered { rejected: some } => {
                            rejected += some;
                            delivered += size - some;
                            queue.drain(..count);
                        }
                        Verdict::Rejected => {
                            assert!(!poisoned || count == 1, "seed {seed}: good spans condemned");
                            rejected += size;
                            queue.drain(..count);
                        }
                        Verdict::Keep => {}
                    }
                }
            }
            assert_eq!(made, delivered + rejected + queue.len() as u64, "seed {seed}");
        }
        assert!(
            queue.is_empty(),
            "seed {seed}: {} spans left after the cure",
            queue.len()
        );
        assert!(scheduler.trouble().is_none() || !scheduler.is_down(), "seed {seed}");
        assert!(delivered > 0 && rejected > 0, "seed {seed}: a walk that went nowhere");
    }
}

/// xorshift64: good enough to wander, the same on every scheduler.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn outcome(&mut self) -> Outcome {
        match self.below(12) {
            0 => failed(Failure::Refused),
            1 => failed(Failure::Disconnected),
            2 => throttled(429, self.below(100) as u32 * SECOND),
            3 => throttled(503, self.below(10) as u32 * SECOND),
            4 => status(502),
            5 => status(400),
            6 => status(401),
            7 => Outcome::Accepted {
                rejected: self.below(3),
                message: "some".into(),
            },
            _ => Outcome::success(),
        }
    }
}
