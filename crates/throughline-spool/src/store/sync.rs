//! Group commit: of many who want what they wrote to be durable, one syncs for all.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};

use super::chunk::Chunk;
use super::store::{Store, lock};

/// Runs one sync at a time. Whoever comes while one runs waits for the next one, which serves all who came meanwhile.
#[derive(Debug, Default)]
pub(crate) struct GroupCommit {
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_running: bool,
    /// The number of the next sync to begin.
    next: u64,
    /// Syncs below this number have ended.
    ended: u64,
    /// The last one that failed, and how.
    failed: Option<(u64, io::ErrorKind, String)>,
}

impl GroupCommit {
    /// Returns when a sync that began after this call has ended.
    ///
    /// # Errors
    ///
    /// Those of that sync.
    pub fn run(&self, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = state.next;
        loop {
            if state.ended > mine {
                return match &state.failed {
                    Some((number, kind, text)) if *number >= mine => Err(io::Error::new(*kind, text.clone())),
                    _ => Ok(()),
                };
            }
            if state.is_running {
                state = self.ended.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_running = true;
            let number = state.next;
            state.next += 1;
            drop(state);
            let result = sync();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.is_running = false;
            state.ended = number + 1;
            if let Err(error) = &result {
                state.failed = Some((number, error.kind(), error.to_string()));
            }
            self.ended.notify_all();
            return result;
        }
    }
}

impl Store {
    /// Makes everything that was committed before this call survive a power cut. Several callers share one sync.
    ///
    /// # Errors
    ///
    /// A file cannot be synced, or the records are in memory. What a file has lost once it will not get back: as long as it
    /// has records that some destination is to get, every further call fails too.
    pub fn sync(&self) -> io::Result<()> {
        self.group_commit.run(|| self.sync_all())
    }

    pub(super) fn sync_all(&self) -> io::Result<()> {
        let Some(directory) = &self.settings.directory else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the records are in memory, and no sync makes them durable",
            ));
        };
        let chunks = std::mem::take(&mut *lock(&self.unsynced));
        let mut result = Ok(());
        // Those that are gone had nothing that anybody was to get.
        for chunk in chunks.iter().filter_map(Weak::upgrade) {
            if chunk.is_given_up() {
                chunk.is_unsynced.swap(false, Ordering::AcqRel);
                // Whoever leases a part of it (of memory; failed files are not leased) asks for a sync again.
                if chunk.is_given_up() {
                    continue;
                }
            }
            // Cleared first: what is written from here on needs another sync.
            // By an exchange: whoever leases a part of it adds to `open_segments` and then exchanges, so that one of the two sees
            // the other.
            chunk.is_unsynced.swap(false, Ordering::AcqRel);
            // Asked before the sync: a segment that is closed while it runs may have got records behind it.
            let is_open = chunk.open_segments.load(Ordering::Acquire) > 0;
            let synced = chunk.sync();
            if (synced.is_err() || is_open) && !chunk.is_unsynced.swap(true, Ordering::AcqRel) {
                self.add_unsynced(&chunk);
            }
            result = result.and(synced);
        }
        if self.new_names.swap(false, Ordering::AcqRel) {
            let synced = self.files.sync_dir(directory);
            if synced.is_err() {
                self.new_names.store(true, Ordering::Release);
            }
            result = result.and(synced);
        }
        result
    }

    /// Notes that a file holds something that was not synced. It is not kept for that once it is removed.
    pub(super) fn add_unsynced(&self, chunk: &Arc<Chunk>) {
        let mut unsynced = lock(&self.unsynced);
        unsynced.retain(|chunk| chunk.strong_count() > 0);
        unsynced.push(Arc::downgrade(chunk));
    }

    /// Whether anything was written since the last sync, as far as can be told without looking at records.
    #[must_use]
    pub fn is_unsynced(&self) -> bool {
        !lock(&self.unsynced).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn those_who_come_while_a_sync_runs_share_the_next_one() {
        const THREADS: usize = 8;
        let group = Arc::new(GroupCommit::default());
        let runs = Arc::new(AtomicUsize::new(0));
        let start = Arc::new(Barrier::new(THREADS + 1));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (group, runs, start) = (group.clone(), runs.clone(), start.clone());
                std::thread::spawn(move || {
                    start.wait();
                    group.run(|| {
                        runs.fetch_add(1, Ordering::Relaxed);
                        Ok(())
                    })
                })
            })
            .collect();
        group
            .run(|| {
                // All others come while this one runs.
                start.wait();
                let all_wait = || group.state.lock().is_ok_and(|state| state.is_running);
                assert!(all_wait());
                Ok(())
            })
            .expect("it succeeds");
        for thread in threads {
            thread.join().expect("it ends well").expect("it succeeds");
        }
        let runs = runs.load(Ordering::Relaxed);
        assert!((1..=THREADS).contains(&runs), "{runs}");
    }

    #[test]
    fn failed_sync_is_told_to_those_it_was_for_and_not_to_later_ones() {
        let group = GroupCommit::default();
        group
            .run(|| Err(io::ErrorKind::StorageFull.into()))
            .expect_err("it fails");
        group.run(|| Ok(())).expect("a later one");
    }
}
