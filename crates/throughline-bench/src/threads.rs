//! Cases that need a second thread.

use std::hint::spin_loop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;

use crate::allocations;
use crate::measure::{Case, Effort};

/// A case in which two threads work at once, each on a sample of its own.
///
/// `work` is called on each of the threads for the function that makes a root with its children.
/// The figure is the time divided by the spans of both threads: half of a single thread's, if
/// neither gets in the other's way.
pub fn two_at_once<W: FnMut() + 'static>(work: impl Fn() -> W + Send + Clone + 'static) -> Case {
    let meeting = Arc::new(Meeting::default());
    let (ask, asked) = sync_channel::<u32>(1);
    let (answer, answers) = sync_channel(1);
    let (theirs, place) = (work.clone(), Arc::clone(&meeting));
    thread::spawn(move || {
        let mut root = theirs();
        for roots in asked {
            let count = allocations::counted(|| {
                place.meet();
                (0..roots).for_each(|_| root());
                place.meet();
            });
            if answer.send(count).is_err() {
                return;
            }
        }
    });

    let mut root = work();
    Case::of_threads(move |roots| {
        ask.send(roots).expect(PARTNER_LIVES);
        meeting.meet();
        let start = Instant::now();
        (0..roots).for_each(|_| root());
        meeting.meet();
        let time = start.elapsed() / 2;
        Effort {
            time,
            allocations_elsewhere: answers.recv().expect(PARTNER_LIVES),
        }
    })
}

/// A case whose spans begin on one thread and end on another, which gets them by a channel.
///
/// `root` makes a root and hands its children on.
pub fn handed_over<T: Send + 'static>(mut root: impl FnMut(&mut dyn FnMut(T)) + 'static) -> Case {
    let (send, receive) = sync_channel(256);
    let (answer, answers) = sync_channel(1);
    thread::spawn(move || while answer.send(drop_parcels(&receive)).is_ok() {});

    Case::of_threads(move |roots| {
        let start = Instant::now();
        for _ in 0..roots {
            root(&mut |span| send.send(Parcel::Span(span)).expect(PARTNER_LIVES));
        }
        send.send(Parcel::Last).expect(PARTNER_LIVES);
        let allocations_elsewhere = answers.recv().expect(PARTNER_LIVES);
        Effort {
            time: start.elapsed(),
            allocations_elsewhere,
        }
    })
}

const PARTNER_LIVES: &str = "the other thread ends only after this one has hung up";

enum Parcel<T> {
    Span(T),
    Last,
}

/// Ends what arrives until the last of a sample, and says how much that allocated.
fn drop_parcels<T>(parcels: &Receiver<Parcel<T>>) -> u64 {
    allocations::counted(|| {
        while let Ok(Parcel::Span(span)) = parcels.recv() {
            drop(span);
        }
    })
}

/// A place where two threads wait for each other without going to sleep, since waking up takes
/// longer than a sample.
#[derive(Default)]
struct Meeting(AtomicU64);

impl Meeting {
    fn meet(&self) {
        let arrival = self.0.fetch_add(1, Ordering::AcqRel);
        let both_here = arrival / 2 * 2 + 2;
        while self.0.load(Ordering::Acquire) < both_here {
            spin_loop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{CHILDREN, ROOTS};

    #[test]
    fn both_threads_make_all_their_roots() {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let mut case = two_at_once(|| || _ = MADE.fetch_add(1, Ordering::Relaxed));
        case.sample();
        case.sample();
        assert_eq!(MADE.load(Ordering::Relaxed), u64::from(4 * ROOTS));
    }

    #[test]
    fn allocations_of_the_other_thread_are_seen() {
        let mut case = two_at_once(|| || drop(std::hint::black_box(Box::new(1))));
        assert_eq!(case.sample().allocations_elsewhere, u64::from(ROOTS));
    }

    #[test]
    fn every_span_handed_over_has_ended_when_the_sample_is_done() {
        static ENDED: AtomicU64 = AtomicU64::new(0);
        struct Span;
        impl Drop for Span {
            fn drop(&mut self) {
                ENDED.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut case = handed_over(|hand_over| (0..CHILDREN).for_each(|_| hand_over(Span)));
        case.sample();
        assert_eq!(ENDED.load(Ordering::Relaxed), u64::from(ROOTS * CHILDREN));
    }
}
