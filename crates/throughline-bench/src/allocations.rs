//! Allocations per span.
//!
//! The counting allocator is the program's global one, in the time measurements too. It counts per
//! thread, so a library's background threads do not appear; threads that a case itself employs add
//! theirs through [`Effort::allocations_elsewhere`]. Timed code runs [`uncounted`], which leaves
//! one thread-local read per allocation: well below one per cent of what an allocation costs.

use crate::measure::{CHILDREN, Case, Effort, ROOTS};

/// Allocations and reallocations per span in steady state.
pub fn per_span(case: &mut Case) -> f64 {
    const SAMPLES: u32 = 5;
    let mut count = 0;
    for _ in 0..SAMPLES {
        let mut effort = Effort::default();
        count += counted(|| effort = case.sample()) + effort.allocations_elsewhere;
        case.drain();
    }
    // Exact: no count comes near 2^52.
    count as f64 / f64::from(SAMPLES * ROOTS * CHILDREN)
}

/// How many allocations `work` makes on this thread.
pub fn counted(work: impl FnOnce()) -> u64 {
    allocation_counter::measure(work).count_total
}

/// Does `work` without counting.
pub fn uncounted<R>(work: impl FnOnce() -> R) -> R {
    let mut result = None;
    allocation_counter::opt_out(|| result = Some(work()));
    result.expect("opt_out calls what it is given, once")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn vector_that_grows_once_is_two_allocations() {
        let count = counted(|| {
            let mut vector = Vec::with_capacity(1);
            vector.extend(black_box([1, 2]));
            black_box(vector);
        });
        assert_eq!(count, 2);
    }

    #[test]
    fn what_is_uncounted_does_not_count() {
        assert_eq!(counted(|| drop(uncounted(|| black_box(Box::new(1))))), 0);
    }
}
