//! Time per span, in turns and behind a gate.
//!
//! A virtual machine has slow phases in which computing takes 1.6 times as long while reading the
//! time-stamp counter does not: a ratio to clock reads taken across such a phase lies. So every
//! sample stands between two runs of a chain of dependent multiplications, whose length in cycles
//! nothing can change but the machine's pace, and counts only if both ran at nearly their best.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::allocations;

/// Children per root, in every case.
pub const CHILDREN: u32 = 100;

/// Roots per sample. At 4,000 children, fastrace's rings of 10,240 commands stay less than half
/// full: beyond that they would wake its collector in the middle of the sample.
pub const ROOTS: u32 = 40;

/// How much slower than its best the gate may run for a sample to count.
const TOLERANCE: f64 = 1.2;

/// Something to be measured, ready to run.
pub struct Case {
    make: Box<dyn FnMut(u32) -> Effort>,
    drain: fn(),
    warm: bool,
    /// Whether the calling thread does all the work: only then are its instructions the whole.
    pub alone: bool,
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Effort {
    /// From start to end of the work, getting ready left out.
    pub time: Duration,
    /// Allocations by threads other than the caller's.
    pub allocations_elsewhere: u64,
}

/// The time of one case over a whole run.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    /// Median over the samples kept, in nanoseconds per span; none if none was kept.
    pub nanoseconds: Option<f64>,
    /// Samples kept, out of [`taken`](Self::taken).
    pub kept: usize,
    /// Samples taken.
    pub taken: usize,
}

impl Case {
    /// A case from a function that makes one root with its [`CHILDREN`].
    pub fn new(mut root: impl FnMut() + 'static) -> Self {
        Self::of_roots(move |roots| (0..roots).for_each(|_| root()))
    }

    /// A case from a function that makes so many roots with their children.
    pub fn of_roots(mut make: impl FnMut(u32) + 'static) -> Self {
        let timed = move |roots| {
            let start = Instant::now();
            make(roots);
            Effort {
                time: start.elapsed(),
                allocations_elsewhere: 0,
            }
        };
        Self {
            make: Box::new(timed),
            drain: || (),
            warm: false,
            alone: true,
        }
    }

    /// A case that has other threads do some of its work, and so measures itself.
    pub fn of_threads(make: impl FnMut(u32) -> Effort + 'static) -> Self {
        Self {
            make: Box::new(make),
            drain: || (),
            warm: false,
            alone: false,
        }
    }

    /// A case that another process runs, one sample at a time.
    pub fn of_process(mut sample: impl FnMut() -> Effort + 'static) -> Self {
        Self {
            make: Box::new(move |_| sample()),
            drain: || (),
            warm: false,
            alone: true,
        }
    }

    /// What is to be done after each sample, unmeasured.
    #[must_use]
    pub fn drained_by(self, drain: fn()) -> Self {
        Self { drain, ..self }
    }

    /// Has every sample follow upon another of the same case, which is not measured.
    ///
    /// This shows what a span costs where the caches hold nothing else; without it, the other cases
    /// have used them in between, as a program's own work would have.
    #[must_use]
    pub fn warmed(self) -> Self {
        Self { warm: true, ..self }
    }

    /// Makes a sample's worth of spans.
    pub fn sample(&mut self) -> Effort {
        (self.make)(ROOTS)
    }

    /// Gets rid of what the sample left behind.
    pub fn drain(&mut self) {
        (self.drain)();
    }
}

/// Takes `rounds` samples of every case, one of each by turns, after a few to warm up.
pub fn in_turns(cases: &mut [Case], rounds: usize) -> Vec<Time> {
    let mut samples = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..rounds + WARM_UP {
        for (case, samples) in cases.iter_mut().zip(&mut samples) {
            let sample = Sample::of(case);
            if round >= WARM_UP {
                samples.push(sample);
            }
        }
    }
    let best = samples
        .iter()
        .flatten()
        .map(|sample| sample.gate)
        .min()
        .unwrap_or_default();
    samples.iter().map(|samples| Time::of(samples, best)).collect()
}

const WARM_UP: usize = 5;

/// One run of one case, and how the gate ran around it.
#[derive(Clone, Copy)]
struct Sample {
    nanoseconds: f64,
    gate: Duration,
}

impl Sample {
    fn of(case: &mut Case) -> Self {
        if case.warm {
            allocations::uncounted(|| case.sample());
            case.drain();
        }
        let before = gate();
        let effort = allocations::uncounted(|| case.sample());
        let after = gate();
        case.drain();
        let nanoseconds = effort.time.as_secs_f64() * 1e9 / f64::from(ROOTS * CHILDREN);
        Self {
            nanoseconds,
            gate: before.max(after),
        }
    }
}

impl Time {
    /// `best` is the shortest a gate took in the whole run: stricter than the best so far.
    fn of(samples: &[Sample], best: Duration) -> Self {
        let calm = |sample: &&Sample| sample.gate <= best.mul_f64(TOLERANCE);
        let kept: Vec<f64> = samples.iter().filter(calm).map(|sample| sample.nanoseconds).collect();
        Self {
            kept: kept.len(),
            taken: samples.len(),
            nanoseconds: median(kept),
        }
    }
}

/// The middle value, or the upper of two; none of none.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// How long a chain of multiplications takes of which each needs the one before.
fn gate() -> Duration {
    let start = Instant::now();
    let mut product = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..10_000 {
        product = black_box(product).wrapping_mul(0xd134_2543_de82_ef95);
    }
    black_box(product);
    start.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(nanoseconds: f64, gate: u64) -> Sample {
        Sample {
            nanoseconds,
            gate: Duration::from_nanos(gate),
        }
    }

    #[test]
    fn samples_from_slow_phases_do_not_count() {
        let samples = [
            sample(20.0, 100),
            sample(90.0, 160),
            sample(22.0, 120),
            sample(21.0, 101),
        ];
        let time = Time::of(&samples, Duration::from_nanos(100));
        assert_eq!((time.nanoseconds, time.kept, time.taken), (Some(21.0), 3, 4));
    }

    #[test]
    fn without_a_calm_sample_there_is_no_figure() {
        let time = Time::of(&[sample(20.0, 200)], Duration::from_nanos(100));
        assert_eq!((time.nanoseconds, time.kept, time.taken), (None, 0, 1));
    }

    #[test]
    fn cases_take_turns_and_are_drained_after_every_run() {
        use std::cell::RefCell;
        thread_local!(static LOG: RefCell<String> = RefCell::default());
        let log = |letter| LOG.with_borrow_mut(|log| log.push(letter));
        let dot = || LOG.with_borrow_mut(|log| log.push('.'));
        let case = |letter| Case::of_roots(move |_| log(letter)).drained_by(dot);
        in_turns(&mut [case('a'), case('b').warmed()], 2);
        assert_eq!(LOG.take(), "a.b.b.".repeat(2 + WARM_UP));
    }
}
