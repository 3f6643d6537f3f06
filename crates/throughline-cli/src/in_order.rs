//! Work on several threads, whose results come in the order in which it was given out.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// More threads than this would wait for the one that gives out and takes back.
const MOST: usize = 8;
/// Pieces of work that wait for a thread, each.
const WAITING: usize = 2;

/// Threads that do one kind of work. They end with this value.
pub struct InOrder<I, O> {
    /// Work goes to them in turn.
    workers: Vec<(SyncSender<I>, Receiver<O>)>,
    given: usize,
    taken: usize,
}

impl<I: Send + 'static, O: Send + 'static> InOrder<I, O> {
    pub fn new(work: fn(I) -> O) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST);
        let worker = || {
            let (give, to_do) = sync_channel(WAITING);
            let (done, take) = sync_channel(WAITING);
            thread::spawn(move || {
                for item in to_do {
                    if done.send(work(item)).is_err() {
                        return;
                    }
                }
            });
            (give, take)
        };
        Self {
            workers: (0..threads).map(|_| worker()).collect(),
            given: 0,
            taken: 0,
        }
    }

    /// Gives out a piece of work. When enough is under way, returns the oldest result.
    pub fn give(&mut self, item: I) -> Option<O> {
        let is_full = self.given - self.taken >= self.workers.len() * WAITING;
        let oldest = if is_full { self.take() } else { None };
        let worker = self.given % self.workers.len();
        self.given += 1;
        self.workers[worker]
            .0
            .send(item)
            .expect("it takes work as long as we are there");
        oldest
    }

    /// The oldest result that was not taken, once it is there. `None`: nothing is under way.
    pub fn take(&mut self) -> Option<O> {
        if self.taken == self.given {
            return None;
        }
        let worker = self.taken % self.workers.len();
        self.taken += 1;
        Some(self.workers[worker].1.recv().expect("no work panics"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order() {
        let mut squares = InOrder::new(|number: u64| number * number);
        let mut results: Vec<_> = (0..1000).filter_map(|number| squares.give(number)).collect();
        while let Some(result) = squares.take() {
            results.push(result);
        }
        assert_eq!(results, (0..1000).map(|number| number * number).collect::<Vec<_>>());
    }
}
