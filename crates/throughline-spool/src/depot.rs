//! The stock of free slots that threads fetch from and give back to.

use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::directory;
use crate::memory::Region;
use crate::open::Open;
use crate::slot::{self, Slot};

/// Slots of the first file; each further file has twice as many, up to `LARGEST`.
const FIRST: usize = 32;
const LARGEST: usize = 4096;
/// Slots that lie in files at most: 32 MiB of open spans. Those beyond are seen by nobody until they end.
const MOST_VISIBLE: usize = 32 << 10;

/// Free slots, and where more come from.
pub(crate) struct Depot {
    stock: Mutex<Stock>,
}

struct Stock {
    free: Vec<NonNull<Open>>,
    /// The process directory that slot files are made in; `None` keeps slots in memory.
    directory: Option<PathBuf>,
    epoch: u32,
    files: usize,
    made: usize,
    invisible: usize,
}

// SAFETY: the `Open`s in stock are owned by the stock; they belong to no thread.
unsafe impl Send for Stock {}

impl Depot {
    pub fn new(directory: Option<PathBuf>, epoch: u32) -> Self {
        Self {
            stock: Mutex::new(Stock {
                free: Vec::new(),
                directory,
                epoch,
                files: 0,
                made: 0,
                invisible: 0,
            }),
        }
    }

    /// Hands out exactly `wanted` free slots.
    pub fn take(&self, wanted: usize, mut out: impl FnMut(NonNull<Open>)) {
        let mut stock = self.lock();
        for _ in 0..wanted {
            if stock.free.is_empty() {
                stock.make_more();
            }
            if let Some(open) = stock.free.pop() {
                out(open);
            }
        }
    }

    pub fn give(&self, opens: impl Iterator<Item = NonNull<Open>>) {
        self.lock().free.extend(opens);
    }

    /// Slots that were made in memory, because there is no file or it is full: their spans have no live view.
    pub fn invisible(&self) -> usize {
        self.lock().invisible
    }

    fn lock(&self) -> MutexGuard<'_, Stock> {
        self.stock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stock {
    #[cold]
    fn make_more(&mut self) {
        let count = self.made.clamp(FIRST, LARGEST);
        let region = self.make_file(count).unwrap_or_else(|| {
            self.invisible += count;
            Region::heap(count * slot::LEN)
        });
        self.made += count;
        for n in 0..count {
            // SAFETY: in range, 64-aligned as `slot::LEN` is a multiple of 64 of a page-aligned base, leaked below, and each
            // range is given to one slot.
            let slot = unsafe { Slot::new(region.base().add(n * slot::LEN)) };
            self.free
                .push(NonNull::from(Box::leak(Box::new(Open::new(slot, self.epoch)))));
        }
        // Open spans point into it for the rest of the process's life.
        std::mem::forget(region);
    }

    fn make_file(&mut self, count: usize) -> Option<Region> {
        let directory = self.directory.as_ref().filter(|_| self.made < MOST_VISIBLE)?;
        let len = count * slot::LEN;
        let file = directory::create_file(&directory.join(directory::slots_name(self.files)), len).ok()?;
        self.files += 1;
        Region::map(&file, len).ok()
    }
}
