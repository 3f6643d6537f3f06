//! Percentiles of many durations in little memory.

use std::collections::BTreeMap;

/// Steps into which each doubling is divided. A percentile is off by half a step at most: 0.4 %.
const STEPS: u64 = 128;

/// How often durations of each size came.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: BTreeMap<u16, u64>,
    count: u64,
    least: u64,
    most: u64,
    total: u128,
}

impl Histogram {
    pub fn add(&mut self, value: u64) {
        *self.counts.entry(step(value)).or_default() += 1;
        self.least = if self.count == 0 { value } else { self.least.min(value) };
        self.most = self.most.max(value);
        self.count += 1;
        self.total += u128::from(value);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest; exact.
    pub fn max(&self) -> u64 {
        self.most
    }

    /// The sum of all; exact.
    pub fn total(&self) -> u64 {
        u64::try_from(self.total).unwrap_or(u64::MAX)
    }

    /// The least value that so many of 100 do not exceed, within 0.4 %; 0 if there are none.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (step, count) in &self.counts {
            seen += u128::from(*count);
            if seen >= rank {
                return middle(*step).clamp(self.least, self.most);
            }
        }
        self.most
    }
}

/// Values below `2 * STEPS` have a step each.
fn step(value: u64) -> u16 {
    let doublings = (value / STEPS).checked_ilog2().unwrap_or(0);
    (u64::from(doublings) * STEPS + (value >> doublings)) as u16
}

/// The value in the middle of a step.
fn middle(step: u16) -> u64 {
    let step = u64::from(step);
    let doublings = (step / STEPS).saturating_sub(1);
    let first = (step - doublings * STEPS) << doublings;
    first + ((1 << doublings) - 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_rise_and_their_middle_is_near() {
        let values = (0..64).flat_map(|bit| {
            let power = 1_u64 << bit;
            [power - 1, power, power + power / 3, power + power / 2]
        });
        let mut values: Vec<_> = values.chain([u64::MAX]).collect();
        values.sort_unstable();
        for pair in values.windows(2) {
            assert!(step(pair[0]) <= step(pair[1]), "{pair:?}");
        }
        for value in values {
            let off = middle(step(value)).abs_diff(value);
            assert!(off as f64 <= value as f64 * 0.004, "{value} is off by {off}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_values() {
        let exact = |values: &[u64], percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        for values in [
            vec![7],
            vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            (1..=1000).map(|n| n * n * 1000).collect::<Vec<_>>(),
            vec![5; 100],
        ] {
            let mut histogram = Histogram::default();
            values.iter().for_each(|value| histogram.add(*value));
            for percent in [50, 90, 99, 100] {
                let (found, exact) = (histogram.percentile(percent), exact(&values, percent as usize));
                let off = found.abs_diff(exact) as f64;
                assert!(off <= exact as f64 * 0.004, "{percent}: {found}, {exact}");
            }
            assert_eq!(histogram.max(), *values.last().unwrap());
            assert_eq!(histogram.total(), values.iter().sum::<u64>());
        }
        assert_eq!(Histogram::default().percentile(50), 0);
    }
}
