//! When each span of a run was done: one reading of a timer per span, converted when all is over.
//!
//! A span's time is that from the mark before it to its own, so that nothing falls between two spans and the sum is
//! the time that passed. The timer is the processor's time stamp counter by way of fastant, where that can be used. What a
//! mark costs is the median of a loop of marks with nothing between them; it is subtracted from each span.

use std::hint::black_box;
use std::ops::Range;

use fastant::Instant;

/// The marks of a run. Their memory is there, and touched, before the run begins.
#[derive(Debug)]
pub struct Timeline {
    marks: Vec<Instant>,
    spans_per_trace: usize,
}

impl Timeline {
    /// For so many traces of so many spans each.
    #[must_use]
    pub fn new(traces: usize, spans_per_trace: usize) -> Self {
        let mut marks = vec![Instant::now(); traces * marks_per_trace(spans_per_trace)];
        black_box(&mut marks).clear();
        Self { marks, spans_per_trace }
    }

    /// Begins a trace. Its marks are to follow: the root's beginning, each child, the root's end.
    pub fn begin(&mut self) {
        self.mark();
    }

    /// Marks the end of a step.
    #[inline]
    pub fn mark(&mut self) {
        self.marks.push(Instant::now());
    }

    /// Takes a step for each of the numbers, and marks its end.
    #[inline]
    pub fn each(&mut self, numbers: Range<usize>, mut step: impl FnMut()) {
        for _ in numbers {
            step();
            self.mark();
        }
    }

    /// What each span took, in nanoseconds, the cost of its marks included; the root's beginning and end are one.
    #[must_use]
    pub fn nanoseconds(&self) -> Vec<u64> {
        let steps = self.marks.chunks_exact(marks_per_trace(self.spans_per_trace));
        let mut spans = Vec::with_capacity(self.marks.len());
        for trace in steps {
            let step = |at: usize| trace[at + 1].duration_since(trace[at]).as_nanos() as u64;
            spans.push(step(0) + step(self.spans_per_trace));
            spans.extend((1..self.spans_per_trace).map(step));
        }
        spans
    }

    /// What a mark costs, in nanoseconds.
    #[must_use]
    pub fn mark_nanoseconds() -> f64 {
        const MARKS: usize = 100_001;
        let mut timeline = Self::new(1, MARKS - 2);
        timeline.each(0..MARKS, || ());
        // A single step may well be shorter than the clock's grain: so steps are taken by the hundred.
        let hundreds: Vec<_> = timeline.marks.iter().step_by(100).collect();
        let mut steps: Vec<_> = hundreds.windows(2).map(|two| two[1].duration_since(*two[0])).collect();
        steps.sort_unstable();
        steps[steps.len() / 2].as_nanos() as f64 / 100.0
    }
}

/// A mark where it begins, and one after each step: as many steps as spans, and one more for the root's end.
fn marks_per_trace(spans: usize) -> usize {
    spans + 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread::sleep;
    use std::time::Duration;

    #[test]
    fn root_takes_what_its_beginning_and_its_end_take() {
        const PAUSE: Duration = Duration::from_millis(20);
        let mut timeline = Timeline::new(2, 3);
        for _ in 0..2 {
            sleep(PAUSE);
            timeline.begin();
            sleep(PAUSE);
            timeline.mark();
            timeline.each(1..3, || ());
            sleep(PAUSE);
            timeline.mark();
        }
        let spans = timeline.nanoseconds();
        let pauses: Vec<_> = spans.iter().map(|nanoseconds| nanoseconds / 19_000_000).collect();
        assert_eq!((pauses[0], pauses[3], pauses.len()), (2, 2, 6), "{spans:?}");
    }

    #[test]
    fn mark_costs_something() {
        assert!(Timeline::mark_nanoseconds() > 0.0);
    }
}
