//! The files that hold segments: made ahead of need, smaller or not at all on a full disk, removed when they are free.

use std::io;
use std::iter::successors;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::chunk::Chunk;
use super::stock;
use super::store::{Store, lock, segments_name};
use super::tier::Tier;
use crate::format::header::UNIT;

/// The first file is small, for programs that make a few spans and end: they leave it behind as it is.
pub(super) const FIRST_CHUNK: usize = 64 << 10;
/// A file of a program that goes on.
const CHUNK: usize = 4 << 20;
/// After a file could not be made, how long until the next try.
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Why no file can be made.
#[derive(Debug, Default)]
pub(super) struct Refusal {
    pub(super) error: Option<String>,
    pub(super) retry_at: Option<Instant>,
    pub(super) pause: Duration,
}

impl Store {
    /// Removes a free file where none is long enough, so that a longer one can be made.
    pub(super) fn remove_short_file(&self, needed: usize) -> bool {
        let chunk = {
            let mut allocator = lock(&self.allocator);
            if allocator.could_hold(needed) || !self.may_make_files() {
                return false;
            }
            allocator.remove_free_chunk()
        };
        // One that cannot be removed is removed with the directory.
        chunk.is_some_and(|chunk| {
            let _ = chunk.remove(&*self.files);
            true
        })
    }

    /// Removes what is not to be leased any more and holds nothing.
    pub(super) fn remove_retired(&self) {
        loop {
            let Some(chunk) = lock(&self.allocator).remove_retired_chunk() else {
                return;
            };
            // One that cannot be removed is removed with the directory.
            let _ = chunk.remove(&*self.files);
        }
    }

    pub(super) fn may_make_files(&self) -> bool {
        self.settings.directory.is_some() && !self.is_refused.load(Ordering::Relaxed)
    }

    pub(super) fn may_grow(&self) -> bool {
        let present = lock(&self.allocator).file_bytes();
        self.may_make_files() && self.room_beside(present) >= UNIT
    }

    /// How many bytes of files may be made beside those. There may be a small one in any case.
    pub(super) fn room_beside(&self, present: usize) -> usize {
        let room = (self.allowance.load(Ordering::Relaxed) as usize).saturating_sub(present) / UNIT * UNIT;
        if present == 0 { room.max(FIRST_CHUNK) } else { room }
    }

    /// Adds a file with room for `needed` bytes. `false`: there is no room for it, or it cannot be made; then nobody tries
    /// again for a while.
    pub(super) fn grow(&self, needed: usize) -> bool {
        let Some(directory) = &self.settings.directory else {
            return false;
        };
        // One at a time: threads that find the stock used up together need one file, not one each.
        let _growing = lock(&self.growing);
        if needed > 0 && lock(&self.allocator).has_cold(needed) {
            return true;
        }
        let present = lock(&self.allocator).file_bytes();
        let room = self.room_beside(present);
        if needed.max(UNIT) > room {
            return false;
        }
        let wanted = match present {
            0 => FIRST_CHUNK
                .min(self.allowance.load(Ordering::Relaxed) as usize / UNIT * UNIT)
                .max(UNIT),
            _ if present < stock::FIRST => stock::FIRST - present,
            // The busier, the larger: each costs the threads that write a wait for the map of the process's memory.
            _ => lock(&self.stock).target().max(CHUNK),
        };
        // Whole units: a file ends where a segment does.
        let wanted = wanted.min(room).max(needed).next_multiple_of(UNIT);
        let mut last = None;
        // A disk that is nearly full, or a limit for the size of a file, may allow a smaller one. Not at once the smallest: each is open for as
        // long as it is there, and the host has so many descriptors.
        let smallest = needed.max(UNIT).next_multiple_of(FIRST_CHUNK).min(wanted);
        let smaller = |len: &usize| (*len > smallest).then(|| (len / 4).next_multiple_of(UNIT).max(smallest));
        for len in successors(Some(wanted), smaller) {
            let number = self.chunks.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(segments_name(number));
            let made = match Chunk::create(&*self.files, &path, number, len, self.tier()) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported && self.tier() == Tier::Mapped => {
                    self.tier.store(Tier::Written as u8, Ordering::Relaxed);
                    Chunk::create(&*self.files, &path, number, len, Tier::Written)
                }
                made => made,
            };
            match made {
                Ok(chunk) => {
                    self.new_names.store(true, Ordering::Relaxed);
                    lock(&self.allocator).add_chunk(Arc::new(chunk));
                    return true;
                }
                Err(error) => last = Some(error),
            }
        }
        let mut refusal = lock(&self.refusal);
        refusal.error = last.map(|error| error.to_string());
        refusal.pause = (refusal.pause * 2).clamp(RETRY, LONGEST_RETRY);
        refusal.retry_at = Some(Instant::now() + refusal.pause);
        drop(refusal);
        self.is_refused.store(true, Ordering::Relaxed);
        // There is something to say.
        if let Some(call) = self.on_low_stock.get() {
            call();
        }
        false
    }

    /// In busy times there is a file ahead of need, so that no thread has to make one.
    pub(super) fn grow_ahead(&self, target: usize) {
        if stock::is_busy(target) && lock(&self.allocator).cold_bytes() < target / 2 && self.may_grow() {
            self.grow(0);
        }
    }

    /// Nothing more is written to files that have failed; those that hold nothing go.
    pub(super) fn withdraw_failed(&self) {
        lock(&self.allocator).sort_out();
        self.remove_retired();
    }

    /// A file that could not be made is tried again.
    pub(super) fn retry_files(&self, now: Instant) {
        if !self.is_refused.load(Ordering::Relaxed) {
            return;
        }
        if lock(&self.refusal).retry_at.is_some_and(|at| now >= at) {
            self.is_refused.store(false, Ordering::Relaxed);
            if self.grow(0) {
                *lock(&self.refusal) = Refusal::default();
            }
            if !self.is_refused.load(Ordering::Relaxed) {
                lock(&self.allocator).set_uses_memory(false);
                self.remove_retired();
            } else {
                let mut refusal = lock(&self.refusal);
                refusal.retry_at = Some(now + refusal.pause);
            }
        }
    }

    /// When the next try of a file is due.
    #[must_use]
    pub fn retry_at(&self) -> Option<Instant> {
        let is_refused = self.is_refused.load(Ordering::Relaxed);
        lock(&self.refusal).retry_at.filter(|_| is_refused)
    }

    /// After an outage much is free: whole files of it go, but for a reserve.
    pub(super) fn remove_free_files(&self, target: usize) {
        loop {
            let chunk = {
                let mut allocator = lock(&self.allocator);
                if allocator.cold_bytes() < 2 * target.max(CHUNK) {
                    return;
                }
                allocator.remove_free_chunk()
            };
            let Some(chunk) = chunk else { return };
            // One that cannot be removed is removed with the directory.
            let _ = chunk.remove(&*self.files);
        }
    }
}
