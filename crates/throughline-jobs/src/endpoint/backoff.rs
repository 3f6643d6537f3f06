//! How long the disk is left in peace after an error.

use std::time::{Duration, Instant};

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);
/// After this long without an error the next one is a first one again.
const CALM: Duration = Duration::from_secs(60);

/// A pause after each error; twice as long as the last one where the errors come within a minute of each other.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    last: Option<(Instant, Duration)>,
}

impl Backoff {
    /// An error came: a pause begins. It is as long at least as the work that the error has brought.
    pub(super) fn failed(&mut self, now: Instant, work: Duration) {
        let pause = match self.last {
            Some((at, pause)) if now.saturating_duration_since(at) < CALM => LONGEST.min(pause * 2),
            _ => FIRST,
        };
        self.last = Some((now, pause.max(work)));
    }

    /// What is left of the pause; `None` when it is over.
    pub(super) fn left(&self, now: Instant) -> Option<Duration> {
        let (at, pause) = self.last?;
        let left = pause.checked_sub(now.saturating_duration_since(at))?;
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_doubles_to_ten_seconds_and_begins_anew_after_calm() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        assert_eq!(backoff.left(now), None);
        for expected in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let expected = Duration::from_millis(expected);
            backoff.failed(now, Duration::ZERO);
            assert_eq!(backoff.left(now), Some(expected));
            now += expected - Duration::from_millis(1);
            assert_eq!(backoff.left(now), Some(Duration::from_millis(1)));
            now += Duration::from_millis(1);
            assert_eq!(backoff.left(now), None);
        }
        now += CALM;
        backoff.failed(now, Duration::ZERO);
        assert_eq!(backoff.left(now), Some(FIRST));
    }

    #[test]
    fn pause_is_as_long_as_the_work_at_least() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for (work, expected) in [(7, 7), (20, 20), (1, 10)].map(|(work, pause)| (Duration::from_secs(work), pause)) {
            backoff.failed(now, work);
            assert_eq!(backoff.left(now), Some(Duration::from_secs(expected)));
        }
    }
}
