//! So many new traces in so much time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Lets so many through in each period, evenly, and as many at once after a pause.
///
/// One number holds all of it, so that threads need no lock: when the bucket will be full again.
#[derive(Debug)]
pub(crate) struct RateLimit {
    count: u32,
    per: Duration,
    start: Instant,
    /// In nanoseconds since `start`.
    full_at: AtomicU64,
}

impl RateLimit {
    pub fn new(count: u32, per: Duration) -> Self {
        // Times are counted in 64 bits of nanoseconds.
        const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);
        Self {
            count,
            per: per.min(LONGEST),
            start: Instant::now(),
            full_at: AtomicU64::new(0),
        }
    }

    pub fn allows_now(&self) -> bool {
        self.allows(self.start.elapsed())
    }

    /// Whether one more may come so long after the start.
    fn allows(&self, now: Duration) -> bool {
        let Some(interval) = self.per.checked_div(self.count) else {
            return false;
        };
        let [now, per, interval] =
            [now, self.per, interval].map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let take = |full_at: u64| {
            let after = full_at.max(now).saturating_add(interval);
            // What rounding takes from each of them does not make the last one too much.
            (after <= now.saturating_add(per)).then_some(after)
        };
        self.full_at
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .is_ok()
    }
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RateLimited({} per {:?})", self.count, self.per)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_lets_as_many_through_as_it_says() {
        let second = Duration::from_secs(1);
        for (count, per) in [(1, second), (3, second), (7, 60 * second), (100, second)] {
            let limit = RateLimit::new(count, per);
            let burst = |at: Duration| (0..1000).filter(|_| limit.allows(at)).count();
            assert_eq!(burst(Duration::ZERO), count as usize, "at first, {limit}");
            assert_eq!(burst(per), count as usize, "after a period");
            assert_eq!(burst(per + per / count), 1, "after a part of one");
            assert_eq!(burst(10 * per), count as usize, "after a long pause");
        }
        let none = RateLimit::new(0, second);
        assert!(!none.allows(second));
        assert!(RateLimit::new(1, Duration::ZERO).allows(second));
        let for_ever = RateLimit::new(2, Duration::MAX);
        assert_eq!((0..9).filter(|_| for_ever.allows(second)).count(), 2);
    }

    #[test]
    fn rate_limit_holds_for_all_threads_together() {
        let limit = RateLimit::new(50, Duration::from_secs(1));
        let count = || (0..100).filter(|_| limit.allows(Duration::ZERO)).count();
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 50);
    }
}
