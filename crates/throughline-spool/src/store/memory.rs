//! The memory that segments and open slots lie in: a mapped file, or the heap where no file can be had.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fs::File;
use std::io;
use std::ptr::NonNull;

use crate::platform;

/// A fixed range of memory that stays where it is until it is dropped.
///
/// It hands out a raw pointer only: other processes may map the same file, so no reference to its bytes may live while
/// somebody writes them.
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    backing: Backing,
}

enum Backing {
    /// Unmapped by its own drop.
    Mapped(memmap2::MmapRaw),
    Heap(Layout),
    /// Somebody else's, who keeps it as long.
    #[cfg(test)]
    Shared(#[expect(dead_code, reason = "it is kept, not read")] std::sync::Arc<Region>),
}

// SAFETY: a region is plain memory that no thread owns; whoever writes through `base` answers for the exclusion.
unsafe impl Send for Region {}
// SAFETY: as above; `&Region` gives out the pointer and the length only.
unsafe impl Sync for Region {}

impl Region {
    /// Maps the first `len` bytes of a file, shared. The file must have that many allocated.
    pub fn map(file: &File, len: usize) -> io::Result<Self> {
        let map = memmap2::MmapOptions::new().len(len).map_raw(file)?;
        let base = NonNull::new(map.as_mut_ptr()).ok_or_else(|| io::Error::other("mapped at address 0"))?;
        Ok(Self {
            base,
            len,
            backing: Backing::Mapped(map),
        })
    }

    /// Zeroed memory of this process alone.
    pub fn heap(len: usize) -> Self {
        let layout = Layout::from_size_align(len.max(1), 4096).expect("a region is far smaller than isize::MAX");
        // SAFETY: the layout's size is at least 1.
        let base = unsafe { alloc_zeroed(layout) };
        let Some(base) = NonNull::new(base) else {
            handle_alloc_error(layout)
        };
        Self {
            base,
            len,
            backing: Backing::Heap(layout),
        }
    }

    /// The first `len` bytes of memory that others use as well.
    #[cfg(test)]
    pub fn shared(region: std::sync::Arc<Region>, len: usize) -> Self {
        assert!(len <= region.len, "a part of the region");
        Self {
            base: region.base,
            len,
            backing: Backing::Shared(region),
        }
    }

    pub fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Faults the pages of a range in for writing, so that the first store there costs no fault.
    ///
    /// An error means only that those faults come later.
    pub fn populate(&self, offset: usize, len: usize) {
        let end = (offset + len).min(self.len);
        assert!(offset <= end, "a range of the region");
        // SAFETY: the range lies in the region, which is mapped or allocated for as long as `self` lives, in whole pages but for the
        // last.
        unsafe { platform::populate(self.base, offset, end) };
    }

    /// Gives the pages of a range back to the kernel. The file keeps what they hold.
    ///
    /// Memory that is no file stays as it is.
    pub fn release(&self, offset: usize, len: usize) {
        if let Backing::Mapped(map) = &self.backing {
            assert!(offset + len <= self.len, "a range of the region");
            platform::release(map, offset, len);
        }
    }
}

impl std::fmt::Debug for Region {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Region").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if let Backing::Heap(layout) = self.backing {
            // SAFETY: `base` came from `alloc_zeroed` with this layout and is freed only here.
            unsafe { dealloc(self.base.as_ptr(), layout) };
        }
    }
}
