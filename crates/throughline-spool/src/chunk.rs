//! A chunk: one file of the spool, or memory that stands in for it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::memory::Region;
use crate::tier::Tier;

/// A file's worth of segments.
pub(crate) struct Chunk {
    region: Region,
    /// The file, where the region is not the file itself.
    file: Option<File>,
    /// Whether a write to the file has failed: from then on the chunk is memory.
    failed: AtomicBool,
}

impl Chunk {
    /// A chunk in a file whose `len` bytes are allocated.
    pub fn in_file(file: File, len: usize, tier: Tier) -> io::Result<Self> {
        let (region, file) = match tier {
            Tier::Mapped => (Region::map(&file, len)?, None),
            Tier::Written => (Region::heap(len), Some(file)),
            Tier::Memory => (Region::heap(len), None),
        };
        Ok(Self {
            region,
            file,
            failed: AtomicBool::new(false),
        })
    }

    /// A chunk that dies with the process.
    pub fn in_memory(len: usize) -> Self {
        Self {
            region: Region::heap(len),
            file: None,
            failed: AtomicBool::new(false),
        }
    }

    pub fn base(&self) -> NonNull<u8> {
        self.region.base()
    }

    pub fn len(&self) -> usize {
        self.region.len()
    }

    pub fn populate(&self, offset: usize, len: usize) {
        self.region.populate(offset, len);
    }

    #[inline]
    pub fn writes_through(&self) -> bool {
        self.file.is_some()
    }

    /// Whether the file has stopped taking what is written.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Stores bytes in the chunk (and its file). Nobody else may write that range.
    pub fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len(), "a write lies in its chunk");
        // SAFETY: in range; the caller owns the range.
        unsafe {
            self.base()
                .as_ptr()
                .add(at)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        };
        if self.writes_through() {
            self.write_back(at, bytes.len());
        }
    }

    /// Writes a range of the memory to the file. A failure is remembered and seen by the keeper; nothing else happens.
    #[cold]
    pub fn write_back(&self, at: usize, len: usize) {
        let Some(file) = &self.file else { return };
        assert!(at + len <= self.len(), "a write lies in its chunk");
        // SAFETY: in range; this thread wrote the range and nobody writes it while the slice lives.
        let bytes = unsafe { std::slice::from_raw_parts(self.base().as_ptr().add(at), len) };
        if file.write_all_at(bytes, at as u64).is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}
