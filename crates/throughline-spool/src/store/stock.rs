//! How much memory is kept warm for what will be written next. Plain decisions: the time is an argument.

use std::time::{Duration, Instant};

use crate::format::header::UNIT;

/// The size of the stock of warm memory: it grows while it is used up quickly, and shrinks in quiet times.
#[derive(Debug)]
pub(crate) struct Stock {
    target: usize,
    most: usize,
    /// When somebody last found the stock low.
    last_low: Option<Instant>,
    /// When the stock was last faulted in.
    warmed: Option<Instant>,
}

/// The stock of a store that has just been made, in bytes.
pub(crate) const FIRST: usize = 512 << 10;
/// The largest stock, in bytes.
const MOST: usize = 16 << 20;
/// The stock grows when it is low twice within this time.
const QUICKLY: Duration = Duration::from_millis(500);
/// It shrinks when it was not low for this long.
const QUIET: Duration = Duration::from_secs(10);
/// The kernel writes pages back some 30 s after they were written, and protects them then: after this time they are
/// faulted in anew.
const COOLS: Duration = Duration::from_secs(20);

/// Whether a stock of this size is one that is used up quickly: then what is free was used a short time ago.
pub(crate) fn is_busy(target: usize) -> bool {
    target > FIRST
}

impl Stock {
    /// A stock for a store of this many bytes in all.
    pub fn new(total: u64) -> Self {
        let most = MOST.min((total / 8) as usize) / UNIT * UNIT;
        Self {
            target: FIRST.min(most),
            most,
            last_low: None,
            warmed: None,
        }
    }

    /// How many bytes are to be kept warm.
    pub fn target(&self) -> usize {
        self.target
    }

    /// The stock was found below half.
    pub fn low(&mut self, now: Instant) {
        if self
            .last_low
            .is_some_and(|last| now.saturating_duration_since(last) < QUICKLY)
        {
            self.target = (self.target * 2).min(self.most);
        }
        self.last_low = Some(now);
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        let is_quiet = self
            .last_low
            .is_none_or(|last| now.saturating_duration_since(last) >= QUIET);
        if is_quiet {
            self.target = (self.target / 2).max(FIRST.min(self.most));
        }
    }

    /// Whether what is in stock has to be faulted in anew. Asking counts as doing it.
    pub fn has_cooled(&mut self, now: Instant) -> bool {
        let warmed = self.warmed.replace(now);
        warmed.is_some_and(|warmed| now.saturating_duration_since(warmed) >= COOLS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_doubles_while_it_is_used_up_quickly_and_halves_in_quiet_times() {
        let mut stock = Stock::new(1 << 30);
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut targets = Vec::new();
        for millis in [0, 1, 2, 3, 4, 5, 6, 7] {
            stock.low(at(millis));
            targets.push(stock.target() >> 10);
        }
        assert_eq!(targets, [512, 1024, 2048, 4096, 8192, 16384, 16384, 16384]);
        stock.low(at(2_000));
        stock.tick(at(3_000));
        assert_eq!(stock.target() >> 10, 16384, "it was used a second ago");
        for expected in [8192, 4096, 2048, 1024, 512, 512] {
            stock.tick(at(13_000));
            assert_eq!(stock.target() >> 10, expected);
        }
    }

    #[test]
    fn stock_of_a_small_store_is_small() {
        let mut stock = Stock::new(1 << 20);
        stock.low(Instant::now());
        stock.low(Instant::now());
        assert_eq!(stock.target(), 128 << 10);
    }

    #[test]
    fn stock_is_faulted_in_anew_when_it_has_cooled() {
        let mut stock = Stock::new(1 << 30);
        let start = Instant::now();
        assert!(!stock.has_cooled(start));
        assert!(!stock.has_cooled(start + Duration::from_secs(19)));
        assert!(stock.has_cooled(start + Duration::from_secs(39)));
    }
}
