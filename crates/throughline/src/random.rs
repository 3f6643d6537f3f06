//! New ids: fast, and unlike those of any other thread, process, or forked child.

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use throughline_spool::fork_number;

/// One that no process has.
const UNSEEDED: u32 = u32::MAX;

thread_local! {
    static STATE: State = const { State { fork_number: Cell::new(UNSEEDED), high: Cell::new(0), low: Cell::new(0) } };
}

/// Two independent generators, so that a trace id has 128 random bits.
struct State {
    /// The fork number of the process that the seeds are of: a forked child must not repeat its parent's ids.
    fork_number: Cell<u32>,
    high: Cell<u64>,
    low: Cell<u64>,
}

/// A span id: 8 random bytes, not all zero.
#[inline]
pub(crate) fn span_id() -> [u8; 8] {
    with(|state| {
        loop {
            let id = next(&state.low);
            if id != 0 {
                return id.to_ne_bytes();
            }
        }
    })
}

/// A trace id: 16 random bytes, the last 7 of which are uniform (Trace Context Level 2, section 3.2.2.5.2).
#[inline]
pub(crate) fn trace_id() -> [u8; 16] {
    with(|state| {
        loop {
            let id = u128::from(next(&state.high)) << 64 | u128::from(next(&state.low));
            if id != 0 {
                return id.to_ne_bytes();
            }
        }
    })
}

#[inline]
fn with<R>(f: impl FnOnce(&State) -> R) -> R {
    STATE.with(|state| {
        if state.fork_number.get() != fork_number() {
            seed(state);
        }
        f(state)
    })
}

/// One step of wyrand: a Weyl sequence, mixed by a multiplication to 128 bits.
#[inline]
fn next(state: &Cell<u64>) -> u64 {
    let counted = state.get().wrapping_add(0xa076_1d64_78bd_642f);
    state.set(counted);
    let product = u128::from(counted) * u128::from(counted ^ 0xe703_7ed1_a0b4_28db);
    (product >> 64) as u64 ^ product as u64
}

#[cold]
fn seed(state: &State) {
    let mut seeds = [0; 16];
    if getrandom::getrandom(&mut seeds).is_err() {
        // Without the system's generator: the standard library's keys, the process and the time.
        for (n, half) in seeds.chunks_mut(8).enumerate() {
            let mut hasher = RandomState::new().build_hasher();
            hasher.write_usize(n);
            hasher.write_u32(std::process::id());
            hasher.write_u32(fork_number());
            hasher.write_u64(crate::clock::counter_now());
            half.copy_from_slice(&hasher.finish().to_ne_bytes());
        }
    }
    let [high, low] =
        [&seeds[..8], &seeds[8..]].map(|half| u64::from_ne_bytes(half.try_into().expect("8 of 16 bytes")));
    state.high.set(high);
    state.low.set(low);
    state.fork_number.set(fork_number());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_do_not_repeat_within_or_across_threads() {
        let make = || (0..10_000).map(|_| (trace_id(), span_id())).collect::<Vec<_>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(make)).collect();
        let ids: Vec<_> = threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("it ends well"))
            .collect();
        assert_eq!(
            ids.iter().map(|(trace, _)| trace).collect::<HashSet<_>>().len(),
            ids.len()
        );
        assert_eq!(
            ids.iter().map(|(_, span)| span).collect::<HashSet<_>>().len(),
            ids.len()
        );
    }

    #[test]
    fn every_bit_of_an_id_is_set_about_half_the_time() {
        let mut ones = [0_u32; 128];
        for _ in 0..4096 {
            let id = u128::from_ne_bytes(trace_id());
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += (id >> bit & 1) as u32;
            }
        }
        // 2048 expected, standard deviation 32: ten of them is as good as never.
        assert!(ones.iter().all(|ones| (1728..=2368).contains(ones)), "{ones:?}");
    }
}
