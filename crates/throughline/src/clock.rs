//! The tracer's clock: two readings a span.
//!
//! A span starts at a wall-clock time and lasts as long as a steady counter says: `end = start + (counter - counter at the
//! start)`. So it never ends before it starts, and its duration is right even when somebody sets the wall clock while it
//! is open. The counter is the processor's time stamp counter where that is invariant, and the system's monotonic clock
//! otherwise and until the counter's rate is known.
//!
//! An *anchor* ties the counter to the wall clock. The spool's helper thread moves it now and then ([`tick`]): small
//! errors are slewed away, so that time stays steady from span to span; one of more than [`STEP`] means that the wall
//! clock was set, and new spans take the new time at once.

use std::cell::RefCell;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use throughline_spool::tsc;

/// A wall clock that is this far off was set; it did not drift.
const STEP: Duration = Duration::from_millis(100);
/// How long the counter is watched before its rate is used.
const CALIBRATION: Duration = Duration::from_millis(200);
/// How long it is watched anew before a rate that is known is replaced.
const RECALIBRATION: Duration = Duration::from_secs(10);
/// The fastest that time is slewed: 500 parts per million, as NTP clients do.
const MAX_SLEW: f64 = 500e-6;

/// What was read when a span started.
#[derive(Clone, Copy)]
pub(crate) struct Reading {
    /// Nanoseconds since the Unix epoch.
    pub unix_nano: u64,
    pub counter: u64,
    pub source: Source,
}

/// What a counter value was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Source {
    /// The system's monotonic clock, in nanoseconds.
    Monotonic = 0,
    /// The time stamp counter, in ticks.
    Tsc = 1,
}

/// The time now, for the start of a span.
#[inline]
pub(crate) fn now() -> Reading {
    let anchor = SHARED.load();
    let counter = read(anchor.source);
    Reading {
        unix_nano: anchor.unix_nano_at(counter),
        counter,
        source: anchor.source,
    }
}

/// When a span ends that started then.
#[inline]
pub(crate) fn end(start_unix_nano: u64, counter: u64, source: u8) -> u64 {
    if source != Source::Tsc as u8 {
        return end_by_other_clock(start_unix_nano, counter, source);
    }
    let elapsed = read(Source::Tsc).saturating_sub(counter);
    start_unix_nano + scale(elapsed, SHARED.steady_rate())
}

#[cold]
#[inline(never)]
fn end_by_other_clock(start_unix_nano: u64, counter: u64, source: u8) -> u64 {
    if source == EXPLICIT {
        return now().unix_nano.max(start_unix_nano);
    }
    start_unix_nano + read(Source::Monotonic).saturating_sub(counter)
}

/// Nanoseconds since the Unix epoch; the nearest there is for times before it and after the year 2554.
pub(crate) fn unix_nano(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The source of a span whose start was given: it ends by the wall clock.
pub(crate) const EXPLICIT: u8 = 2;

/// Reads the counter as it is: one of the two readings that a span costs.
#[inline]
pub(crate) fn counter_now() -> u64 {
    read(if SHARED.source() == Source::Tsc as u64 {
        Source::Tsc
    } else {
        Source::Monotonic
    })
}

/// Ties the counter to the wall clock for the first time. Cheap: calibration comes later, on another thread.
///
/// Once: later calls find spans under way, and another thread that moves the anchor.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let first = Sample::take();
        SHARED.store(Anchor {
            source: Source::Monotonic,
            counter: first.monotonic,
            unix_nano: first.wall,
            rate: Anchor::ONE,
            steady_rate: Anchor::ONE,
        });
    });
}

/// Moves the anchor to where the wall clock is now. Called by the maintenance thread about every second.
pub(crate) fn tick() {
    move_anchor(true);
}

/// The same, before a longer pause: what is off stays off until the next tick, rather than being slewed for all that time.
pub(crate) fn rest() {
    move_anchor(false);
}

fn move_anchor(slews: bool) {
    let sample = Sample::take();
    let anchor = SHARED.load();
    let rate = CALIBRATION_STATE.with_borrow_mut(|calibration| {
        let calibration = calibration.get_or_insert_with(|| Calibration::after(&anchor, sample, tsc::is_invariant()));
        calibration.rate(&sample)
    });
    SHARED.store(anchor.moved(&sample, rate, slews));
}

/// What the maintenance thread remembers between two ticks.
struct Calibration {
    /// Since when the counter is watched without a break.
    first: Sample,
    last: Sample,
    /// The counter's rate, once it may be used.
    rate: Option<u64>,
    is_invariant: bool,
    /// The rate between the last two looks, if they found a break between them.
    suspected: Option<u64>,
}

thread_local! {
    /// Of the maintenance thread, the only one to move the anchor: a lock that it held in a process that forks would stay held
    /// in the child for ever.
    static CALIBRATION_STATE: RefCell<Option<Calibration>> = const { RefCell::new(None) };
}

impl Calibration {
    fn new(first: Sample, is_invariant: bool) -> Self {
        Self {
            first,
            last: first,
            rate: None,
            is_invariant,
            suspected: None,
        }
    }

    /// In a forked child the rate is known already, and spans are under way that count by it.
    fn after(anchor: &Anchor, first: Sample, is_invariant: bool) -> Self {
        Self {
            rate: (anchor.source == Source::Tsc).then_some(anchor.steady_rate),
            ..Self::new(first, is_invariant)
        }
    }

    /// The counter's own steady rate; `None` for as long as it cannot be used.
    fn rate(&mut self, now: &Sample) -> Option<u64> {
        if self.has_break(now) {
            // The rate that is known is still right: it is the processor's. What is measured anew has to be better than it.
            self.first = *now;
            let suspected = std::mem::replace(&mut self.suspected, rate_between(&self.last, now));
            // Unless it is off twice by the same: that is no suspend, but the counter of another machine, to which this one has moved.
            if let (Some(_), Some(before), Some(rate)) = (self.rate, suspected, self.suspected) {
                if rate.abs_diff(before) <= before / 1000 {
                    self.rate = Some(rate);
                }
            }
        } else {
            self.suspected = None;
        }
        self.last = *now;
        let long_enough = match self.rate {
            None => CALIBRATION,
            Some(_) => RECALIBRATION,
        };
        let elapsed = now.monotonic.saturating_sub(self.first.monotonic);
        if self.is_invariant && elapsed >= long_enough.as_nanos() as u64 {
            self.rate = rate_between(&self.first, now).or(self.rate);
        }
        self.rate
    }

    /// Whether the machine was suspended since the last look: the monotonic clock stood still then, and the counter may have gone
    /// on, or begun again.
    fn has_break(&self, now: &Sample) -> bool {
        let Some(ticks) = now.tsc.checked_sub(self.last.tsc) else {
            return true;
        };
        let elapsed = now.monotonic.saturating_sub(self.last.monotonic);
        let other = match self.rate {
            Some(rate) => scale(ticks, rate),
            // As long as there is no rate, the wall clock tells: it goes on while the machine sleeps.
            None => now.wall.saturating_sub(self.last.wall),
        };
        // One part in a thousand, or what it takes to lose the processor between two readings.
        other.abs_diff(elapsed) > (elapsed / 1000).max(10_000_000)
    }
}

/// The counter's rate from one moment to another; nothing if it has not moved on.
fn rate_between(first: &Sample, now: &Sample) -> Option<u64> {
    let elapsed = now.monotonic.saturating_sub(first.monotonic);
    let ticks = now.tsc.checked_sub(first.tsc).filter(|ticks| *ticks > 0)?;
    Some(((u128::from(elapsed) << 32) / u128::from(ticks)) as u64)
}

/// All clocks at one moment.
#[derive(Clone, Copy)]
struct Sample {
    tsc: u64,
    monotonic: u64,
    wall: u64,
}

impl Sample {
    /// The tightest of a few attempts: a thread can lose the processor between two readings.
    fn take() -> Self {
        let attempt = || {
            let before = tsc::read();
            let wall = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default()
                .as_nanos() as u64;
            let monotonic = monotonic();
            let after = tsc::read();
            (
                after.wrapping_sub(before),
                Self {
                    tsc: before + after.wrapping_sub(before) / 2,
                    monotonic,
                    wall,
                },
            )
        };
        (0..5)
            .map(|_| attempt())
            .min_by_key(|(width, _)| *width)
            .expect("five attempts were made")
            .1
    }
}

/// A moment at which counter and wall clock are both known, and the counter's rate from there on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Anchor {
    source: Source,
    counter: u64,
    unix_nano: u64,
    /// Nanoseconds per tick, in units of 2^-32: so that time comes to where the wall clock is.
    rate: u64,
    /// The same without slewing, for the length of a span.
    steady_rate: u64,
}

impl Anchor {
    /// A counter in nanoseconds.
    const ONE: u64 = 1 << 32;

    #[inline]
    fn unix_nano_at(&self, counter: u64) -> u64 {
        // The anchor can be moved between reading it and reading the counter, by another processor's counter.
        self.unix_nano + scale(counter.saturating_sub(self.counter), self.rate)
    }

    /// The anchor that takes over at this sample. `rate` is the time stamp counter's, once it may be used.
    fn moved(&self, now: &Sample, rate: Option<u64>, slews: bool) -> Self {
        let (source, counter, rate) = match rate {
            Some(rate) => (Source::Tsc, now.tsc, rate),
            None => (Source::Monotonic, now.monotonic, Self::ONE),
        };
        let estimate = self.unix_nano_at(match self.source {
            Source::Tsc => now.tsc,
            Source::Monotonic => now.monotonic,
        });
        let error = i128::from(now.wall) - i128::from(estimate);
        if error.unsigned_abs() > STEP.as_nanos() {
            return Self {
                source,
                counter,
                unix_nano: now.wall,
                rate,
                steady_rate: rate,
            };
        }
        // What is off now would be gone in a second, were it not for the limit.
        let slew = match slews {
            true => (error as f64 / 1e9).clamp(-MAX_SLEW, MAX_SLEW),
            false => 0.0,
        };
        Self {
            source,
            counter,
            unix_nano: estimate,
            rate: (rate as f64 * (1.0 + slew)) as u64,
            steady_rate: rate,
        }
    }
}

#[inline]
fn scale(ticks: u64, rate: u64) -> u64 {
    ((u128::from(ticks) * u128::from(rate)) >> 32) as u64
}

#[inline]
fn read(source: Source) -> u64 {
    match source {
        Source::Tsc => tsc::read(),
        Source::Monotonic => monotonic(),
    }
}

/// Apart, so that what it needs does not crowd the registers of those who only read the other counter.
#[cold]
#[inline(never)]
fn monotonic() -> u64 {
    static BASE: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    BASE.get_or_init(Instant::now).elapsed().as_nanos() as u64
}

/// The anchor that all threads read: two copies, of which the newer one counts. The one writer (see `CALIBRATION_STATE`) writes
/// the other copy and then says so, so that readers never wait for it, not even in a child that was forked in the middle.
struct Shared {
    /// Counts the writes; the lowest bit says which copy is the newer one.
    version: AtomicU64,
    copies: [Copied; 2],
}

struct Copied {
    source: AtomicU64,
    counter: AtomicU64,
    unix_nano: AtomicU64,
    rate: AtomicU64,
    steady_rate: AtomicU64,
}

static SHARED: Shared = Shared {
    version: AtomicU64::new(0),
    copies: [const {
        Copied {
            source: AtomicU64::new(Source::Monotonic as u64),
            counter: AtomicU64::new(0),
            unix_nano: AtomicU64::new(0),
            rate: AtomicU64::new(Anchor::ONE),
            steady_rate: AtomicU64::new(Anchor::ONE),
        }
    }; 2],
};

impl Shared {
    #[inline]
    fn newer(&self, version: u64) -> &Copied {
        &self.copies[(version & 1) as usize]
    }

    #[inline]
    fn load(&self) -> Anchor {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let copy = self.newer(version);
            let anchor = Anchor {
                source: if copy.source.load(Ordering::Relaxed) == 0 {
                    Source::Monotonic
                } else {
                    Source::Tsc
                },
                counter: copy.counter.load(Ordering::Relaxed),
                unix_nano: copy.unix_nano.load(Ordering::Relaxed),
                rate: copy.rate.load(Ordering::Relaxed),
                steady_rate: copy.steady_rate.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            // Only a second write since then can have touched this copy.
            if version == self.version.load(Ordering::Relaxed) {
                return anchor;
            }
            std::hint::spin_loop();
        }
    }

    fn store(&self, anchor: Anchor) {
        let version = self.version.load(Ordering::Relaxed).wrapping_add(1);
        let copy = self.newer(version);
        // Who reads one of the values below sees the version that was stored before.
        fence(Ordering::Release);
        copy.source.store(anchor.source as u64, Ordering::Relaxed);
        copy.counter.store(anchor.counter, Ordering::Relaxed);
        copy.unix_nano.store(anchor.unix_nano, Ordering::Relaxed);
        copy.rate.store(anchor.rate, Ordering::Relaxed);
        copy.steady_rate.store(anchor.steady_rate, Ordering::Relaxed);
        self.version.store(version, Ordering::Release);
    }

    /// Nanoseconds per tick of the counter itself.
    #[inline]
    fn steady_rate(&self) -> u64 {
        self.newer(self.version.load(Ordering::Acquire))
            .steady_rate
            .load(Ordering::Relaxed)
    }

    #[inline]
    fn source(&self) -> u64 {
        self.newer(self.version.load(Ordering::Acquire))
            .source
            .load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A time stamp counter of 2 ticks a nanosecond.
    const RATE: u64 = Anchor::ONE / 2;
    const SECOND: u64 = 1_000_000_000;

    fn sample(second: u64, wall: u64) -> Sample {
        Sample {
            tsc: second * SECOND * 2,
            monotonic: second * SECOND,
            wall,
        }
    }

    fn anchor(wall: u64) -> Anchor {
        Anchor {
            source: Source::Tsc,
            counter: 0,
            unix_nano: wall,
            rate: RATE,
            steady_rate: RATE,
        }
    }

    #[test]
    fn time_is_steady_where_the_anchor_moves() {
        for wall_error in [-90_000_000, -1_000, 0, 1_000, 90_000_000_i64] {
            let before = anchor(5 * SECOND);
            let now = sample(1, (6 * SECOND).saturating_add_signed(wall_error));
            let after = before.moved(&now, Some(RATE), true);
            assert_eq!(
                after.unix_nano_at(now.tsc),
                before.unix_nano_at(now.tsc),
                "{wall_error}"
            );
        }
    }

    #[test]
    fn small_error_is_slewed_away_within_a_second() {
        let mut anchor = anchor(5 * SECOND);
        for (second, wall) in [
            (1, 6 * SECOND + 80_000),
            (2, 7 * SECOND + 80_000),
            (3, 8 * SECOND + 80_000),
        ] {
            anchor = anchor.moved(&sample(second, wall), Some(RATE), true);
        }
        let error = (8 * SECOND + 80_000).abs_diff(anchor.unix_nano_at(3 * SECOND * 2));
        assert!(error < 100, "{error} ns are left");
    }

    #[test]
    fn time_never_runs_backwards_and_never_slews_faster_than_allowed() {
        let moved = anchor(5 * SECOND).moved(&sample(1, 6 * SECOND - 99_000_000), Some(RATE), true);
        assert!(moved.rate as f64 >= RATE as f64 * (1.0 - MAX_SLEW) - 1.0);
        assert!(moved.rate < RATE);
    }

    #[test]
    fn wall_clock_that_was_set_is_followed_at_once() {
        for wall in [3 * 3600 * SECOND, SECOND] {
            let moved = anchor(5 * SECOND).moved(&sample(1, wall), Some(RATE), true);
            assert_eq!(moved.unix_nano_at(2 * SECOND), wall);
        }
    }

    #[test]
    fn source_changes_without_a_jump() {
        let monotonic = Anchor {
            source: Source::Monotonic,
            counter: 0,
            unix_nano: 5 * SECOND,
            rate: Anchor::ONE,
            steady_rate: Anchor::ONE,
        };
        let moved = monotonic.moved(&sample(1, 6 * SECOND), Some(RATE), true);
        assert_eq!(
            (moved.source, moved.unix_nano_at(2 * SECOND)),
            (Source::Tsc, 6 * SECOND)
        );
    }

    /// A machine whose clocks go as the test says, and the maintenance thread's two ticks per second.
    struct Machine {
        now: Sample,
        calibration: Calibration,
        anchor: Anchor,
        ticks_per_second: u64,
    }

    impl Machine {
        /// It runs, and knows its rate.
        fn started() -> Self {
            let mut machine = Self::begun();
            machine.run(SECOND);
            machine
        }

        fn begun() -> Self {
            let now = Sample {
                tsc: 1_000,
                monotonic: 500,
                wall: 5 * SECOND,
            };
            let anchor = Anchor {
                source: Source::Monotonic,
                counter: now.monotonic,
                unix_nano: now.wall,
                rate: Anchor::ONE,
                steady_rate: Anchor::ONE,
            };
            Self {
                now,
                calibration: Calibration::new(now, true),
                anchor,
                ticks_per_second: 2 * SECOND,
            }
        }

        fn run(&mut self, nanos: u64) {
            for _ in 0..nanos / (SECOND / 2) {
                self.now.tsc += self.ticks_per_second / 2;
                self.now.monotonic += SECOND / 2;
                self.now.wall += SECOND / 2;
                self.tick();
            }
        }

        fn tick(&mut self) {
            let rate = self.calibration.rate(&self.now);
            self.anchor = self.anchor.moved(&self.now, rate, true);
        }

        /// How long a span lasts that starts now, while this happens.
        fn span(&mut self, during: impl FnOnce(&mut Self)) -> u64 {
            assert_eq!(self.anchor.source, Source::Tsc);
            let started = self.now.tsc;
            during(self);
            scale(self.now.tsc.saturating_sub(started), self.anchor.steady_rate)
        }

        fn wall_error(&self) -> u64 {
            self.anchor.unix_nano_at(self.now.tsc).abs_diff(self.now.wall)
        }
    }

    #[test]
    fn span_lasts_as_long_as_it_does_while_the_wall_clock_is_slewed() {
        const HOUR: u64 = 3600 * SECOND;
        let mut machine = Machine::started();
        let lasted = machine.span(|machine| {
            machine.run(HOUR / 2);
            machine.now.wall += 50_000_000;
            machine.run(10 * SECOND);
            // In the middle of the slew.
            assert_ne!(machine.anchor.rate, machine.anchor.steady_rate);
        });
        assert!(lasted.abs_diff(HOUR / 2 + 10 * SECOND) < 1_000, "{lasted}");
    }

    #[test]
    fn suspended_machine_goes_on_with_the_same_rate_and_the_wall_clocks_time() {
        const NIGHT: u64 = 8 * 3600 * SECOND;
        /// What the counter does while the machine sleeps and the monotonic clock stands still.
        type Sleep = fn(&mut Sample);
        let cases: [(&str, Sleep); 3] = [
            ("goes on", |now| now.tsc += 2 * NIGHT),
            ("stands still", |_| {}),
            ("begins again", |now| now.tsc = 7),
        ];
        for (counter, sleep) in cases {
            let mut machine = Machine::started();
            machine.run(60 * SECOND);
            sleep(&mut machine.now);
            machine.now.wall += NIGHT;
            machine.tick();
            for seconds in [0, 1, 30, 600] {
                machine.run(seconds * SECOND);
                let lasted = machine.span(|machine| machine.run(10 * SECOND));
                assert!(lasted.abs_diff(10 * SECOND) < 10_000, "{counter}: {seconds}: {lasted}");
                assert!(
                    machine.wall_error() < 1_000_000,
                    "{counter}: {seconds}: {}",
                    machine.wall_error()
                );
            }
        }
    }

    #[test]
    fn rate_that_is_wrong_is_found_out() {
        // Restored on a machine whose counter is 5 % faster.
        let mut moved = Machine::started();
        moved.run(60 * SECOND);
        moved.ticks_per_second = 2 * SECOND + SECOND / 10;
        moved.run(5 * SECOND);
        // Asleep for an hour while the rate was measured for the first time, and the counter went on.
        let mut slept = Machine::begun();
        slept.now.tsc += 3600 * 2 * SECOND;
        slept.now.wall += 3600 * SECOND;
        slept.run(SECOND / 2);
        assert_eq!(
            slept.anchor.source,
            Source::Monotonic,
            "nothing is known of the counter yet"
        );
        slept.run(5 * SECOND);
        for (name, mut machine) in [("moved", moved), ("slept", slept)] {
            let lasted = machine.span(|machine| machine.run(10 * SECOND));
            assert!(lasted.abs_diff(10 * SECOND) < 10_000, "{name}: {lasted}");
        }
    }

    #[test]
    fn forked_child_goes_on_with_the_rate_that_is_known() {
        let parent = Machine::started();
        let calibration = Calibration::after(&parent.anchor, parent.now, true);
        let mut child = Machine { calibration, ..parent };
        let lasted = child.span(|child| {
            child.now.tsc += 2_000_000;
            child.now.monotonic += 1_000_000;
            child.now.wall += 1_000_000;
            child.tick();
            assert_eq!(child.anchor.source, Source::Tsc);
        });
        assert!(lasted.abs_diff(1_000_000) < 10, "{lasted}");
    }

    #[test]
    fn counter_is_not_used_before_its_rate_is_known() {
        for (is_invariant, later, expected) in [
            (true, SECOND / 1_000, None),
            (true, SECOND, Some(RATE)),
            (false, SECOND, None),
        ] {
            let mut calibration = Calibration::new(sample(0, 0), is_invariant);
            let later = Sample {
                tsc: later * 2,
                monotonic: later,
                wall: later,
            };
            assert_eq!(calibration.rate(&later), expected);
        }
    }

    #[test]
    fn span_ends_after_it_started_however_the_wall_clock_is_set() {
        start();
        let started = now();
        assert!(end(started.unix_nano, started.counter, started.source as u8) >= started.unix_nano);
        tick();
        assert!(end(started.unix_nano, started.counter, started.source as u8) >= started.unix_nano);
    }
}
