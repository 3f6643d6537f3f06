//! The pool of free slots that threads fetch from and give back to.

use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::open::Open;
use super::slot::Slot;
use crate::directory;
use crate::files::{How, SharedFiles};
use crate::format::slot;
use crate::store::lock;
use crate::store::memory::Region;

/// Slots of the first file; each further file has as many as there are by then, up to `LARGEST`.
const FIRST: usize = 32;
const LARGEST: usize = 4096;
/// Slots that lie in files at most: 32 MiB of open spans. Those beyond are seen by nobody until they end.
const MOST_VISIBLE: usize = 32 << 10;

/// Free slots, and where more come from.
pub(crate) struct SlotPool {
    free: Mutex<Free>,
    /// The process directory that slot files are made in; `None` keeps slots in memory.
    directory: Option<(PathBuf, SharedFiles)>,
    fork_number: u32,
    files: AtomicUsize,
    made: AtomicUsize,
    invisible: AtomicUsize,
}

#[derive(Default)]
struct Free(Vec<NonNull<Open>>);

// SAFETY: the `Open`s in the pool are owned by the pool; they belong to no thread.
unsafe impl Send for Free {}

impl SlotPool {
    pub fn new(directory: Option<(PathBuf, SharedFiles)>, fork_number: u32) -> Self {
        let pool = Self {
            free: Mutex::default(),
            directory,
            fork_number,
            files: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            invisible: AtomicUsize::new(0),
        };
        pool.make_more();
        pool
    }

    /// Hands out exactly `wanted` free slots. Returns whether few are left.
    pub fn take(&self, wanted: usize, mut out: impl FnMut(NonNull<Open>)) -> bool {
        let mut taken = 0;
        loop {
            let mut free = lock(&self.free);
            while taken < wanted {
                let Some(open) = free.0.pop() else { break };
                out(open);
                taken += 1;
            }
            if taken == wanted {
                return self.is_low(&free);
            }
            drop(free);
            // Not under the lock: it asks the system for a file.
            self.make_more();
        }
    }

    pub fn give(&self, opens: impl Iterator<Item = NonNull<Open>>) {
        lock(&self.free).0.extend(opens);
    }

    /// Slots that were made in memory, because there is no file or it is full: their spans have no live view.
    pub fn invisible(&self) -> usize {
        self.invisible.load(Ordering::Relaxed)
    }

    /// Makes more slots when few are left, so that those who need them need not. Not for a caller's thread.
    pub fn maintain(&self) {
        let is_low = self.is_low(&lock(&self.free));
        if is_low {
            self.make_more();
        }
    }

    fn is_low(&self, free: &Free) -> bool {
        free.0.len() < self.made.load(Ordering::Relaxed) / 4
    }

    #[cold]
    fn make_more(&self) {
        let count = self.made.load(Ordering::Relaxed).clamp(FIRST, LARGEST);
        let region = self.make_file(count).unwrap_or_else(|| {
            self.invisible.fetch_add(count, Ordering::Relaxed);
            Region::heap(count * slot::LEN)
        });
        region.populate(0, region.len());
        self.made.fetch_add(count, Ordering::Relaxed);
        let opens: Vec<_> = (0..count)
            .map(|n| {
                // SAFETY: in range, 64-aligned as `slot::LEN` is a multiple of 64 of a page-aligned base, leaked below, and
                // each range is given to one slot.
                let slot = unsafe { Slot::new(region.base().add(n * slot::LEN)) };
                NonNull::from(Box::leak(Box::new(Open::new(slot, self.fork_number))))
            })
            .collect();
        // Open spans point into it for the rest of the process's life.
        std::mem::forget(region);
        lock(&self.free).0.extend(opens);
    }

    fn make_file(&self, count: usize) -> Option<Region> {
        let (directory, files) = self.directory.as_ref()?;
        if self.made.load(Ordering::Relaxed) >= MOST_VISIBLE {
            return None;
        }
        let len = count * slot::LEN;
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = directory.join(directory::slots_name(number));
        let file = files.open(&path, How::New).ok()?;
        let region = file.allocate(len as u64).and_then(|()| file.map(len));
        // Without a file the spans have no live view, which is counted; an empty file is of use to nobody.
        region.inspect_err(|_| drop(files.remove_file(&path))).ok()
    }
}
