//! A chunk: one file of the store, or memory that stands in for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use super::memory::Region;
use super::tier::Tier;
use crate::files::{Files, How, SharedFile, read_full};
use crate::format::header::{HEADER_LEN, Header, UNIT};

/// A file's worth of segments.
pub(crate) struct Chunk {
    number: u32,
    len: usize,
    /// The file's memory, or the memory that stands in for a file. `None` where the file is written.
    region: Option<Region>,
    file: Option<(SharedFile, PathBuf)>,
    /// Everything before this was in use, or warm, at some time.
    filled_to: AtomicUsize,
    /// Whether the file has refused something that was to be written or synced.
    failed: AtomicBool,
    /// Whether it was a write of records.
    refuses_records: AtomicBool,
    /// Whether something may have been written since the last sync.
    pub(super) is_unsynced: AtomicBool,
    /// Segments that are still written.
    pub(super) open_segments: AtomicU32,
    /// Segments with records that somebody is still to get; of a store without destinations, with any records.
    pub(super) wanted_segments: AtomicU32,
}

impl Chunk {
    /// A chunk in a new file of this name.
    ///
    /// # Errors
    ///
    /// The file cannot be made, allocated or mapped; it is gone then. `Unsupported`: this file system cannot allocate.
    pub fn create(files: &dyn Files, path: &Path, number: u32, len: usize, tier: Tier) -> io::Result<Self> {
        assert!(len % UNIT == 0, "a file ends where a segment does");
        let file = files.open(path, How::New)?;
        let make = || -> io::Result<Option<Region>> {
            match file.allocate(len as u64) {
                // What cannot be allocated ahead cannot be mapped safely, but it can be written: as far as this shows.
                Err(error) if error.kind() == io::ErrorKind::Unsupported && tier == Tier::Written => {
                    file.write_at(&Header::free(len).to_bytes(), 0)?;
                }
                allocated => allocated?,
            }
            match tier {
                Tier::Mapped => file.map(len).map(Some),
                Tier::Written => Ok(None),
                Tier::Memory => Ok(Some(Region::heap(len))),
            }
        };
        match make() {
            Ok(region) => Ok(Self::new(number, len, region, Some((file, path.to_owned())))),
            Err(error) => {
                // An empty file is of use to nobody; one that cannot be removed harms nobody.
                let _ = files.remove_file(path);
                Err(error)
            }
        }
    }

    /// A chunk that dies with the process.
    pub fn in_memory(number: u32, len: usize) -> Self {
        Self::new(number, len, Some(Region::heap(len)), None)
    }

    fn new(number: u32, len: usize, region: Option<Region>, file: Option<(SharedFile, PathBuf)>) -> Self {
        Self {
            number,
            len,
            region,
            file,
            filled_to: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            refuses_records: AtomicBool::new(false),
            is_unsynced: AtomicBool::new(false),
            open_segments: AtomicU32::new(0),
            wanted_segments: AtomicU32::new(0),
        }
    }

    /// Unlike that of every other chunk of its store.
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_in_memory(&self) -> bool {
        self.file.is_none()
    }

    /// The memory that all its segments lie in, if there is one.
    pub fn region(&self) -> Option<&Region> {
        self.region.as_ref()
    }

    /// Whether the file has stopped taking what is written.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether it can become durable no more, and holds nothing that should.
    pub fn is_given_up(&self) -> bool {
        (self.has_failed() || self.is_in_memory()) && self.wanted_segments.load(Ordering::Acquire) == 0
    }

    /// Removes the file. Whoever still reads the chunk keeps it.
    pub fn remove(&self, files: &dyn Files) -> io::Result<()> {
        match &self.file {
            Some((_, path)) => files.remove_file(path),
            None => Ok(()),
        }
    }

    /// Writes records to the file; `false`: it has not taken them. After a failure nothing more is tried, lest every record
    /// cost a system call that fails.
    pub fn write_records(&self, bytes: &[u8], at: usize) -> bool {
        if self.refuses_records.load(Ordering::Relaxed) {
            return false;
        }
        let is_written = self.write_header(bytes, at).is_ok();
        if !is_written {
            self.refuses_records.store(true, Ordering::Relaxed);
            self.failed.store(true, Ordering::Relaxed);
        }
        is_written
    }

    /// Writes to the file what may as well be old.
    pub fn write_header(&self, bytes: &[u8], at: usize) -> io::Result<()> {
        let Some((file, _)) = &self.file else {
            return Ok(());
        };
        assert!(at + bytes.len() <= self.len, "a write lies in its chunk");
        file.write_at(bytes, at as u64)
    }

    /// Says in the file that a range is free, by a store to its memory where there is some. The range belongs to the caller
    /// alone, and its memory should be warm.
    ///
    /// Whoever reads the file goes from header to header: where a free range is cut, each part needs one of its own.
    pub fn write_free_header(&self, at: usize, len: usize) {
        let (Some(region), false) = (&self.region, self.is_in_memory()) else {
            return self.write_free_header_to_file(at, len);
        };
        let bytes = Header::free(len).to_bytes();
        assert!(at + bytes.len() <= self.len, "a range lies in its chunk");
        // SAFETY: in range, and the range is the caller's alone.
        unsafe {
            region
                .base()
                .as_ptr()
                .add(at)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// The same by a write: a store to memory that is not warm would have the kernel read ahead what is about to be
    /// overwritten.
    pub fn write_free_header_to_file(&self, at: usize, len: usize) {
        let written = self.write_header(&Header::free(len).to_bytes(), at);
        // By the memory where the descriptor does not serve. A written file that refuses this refuses the records as well.
        if written.is_err() && self.region.is_some() {
            self.write_free_header(at, len);
        }
    }

    /// Faults a free range in, so that who writes there meets no page fault.
    ///
    /// It is filled with zeroes by a write first: the kernel then takes memory for it in large pieces, and maps each with
    /// one fault, which costs a fifth of faulting page after page in. Where `was_used_lately`, the kernel still has that memory.
    pub fn warm(&self, offset: usize, len: usize, was_used_lately: bool) {
        let Some(region) = &self.region else { return };
        let end = offset + len;
        // One header for all of it: several ranges may have become one.
        self.write_free_header_to_file(offset, len);
        let was_filled = end <= self.filled_to.load(Ordering::Relaxed);
        let is_cached = was_filled && was_used_lately;
        if !self.is_in_memory() && !is_cached {
            self.fill(offset, end);
        }
        region.populate(offset, len);
    }

    /// Fills a free range with zeroes, but for its header: whatever a kill leaves of that, recovery steps over the range and over
    /// what earlier uses have left in it.
    fn fill(&self, offset: usize, end: usize) {
        static ZEROES: [u8; 64 << 10] = [0; 64 << 10];
        for at in (offset..end).step_by(ZEROES.len()) {
            let skipped = if at == offset { HEADER_LEN } else { 0 };
            let zeroes = &ZEROES[..ZEROES.len().min(end - at) - skipped];
            // A failure means only that it takes longer.
            if self.write_header(zeroes, at + skipped).is_err() {
                return;
            }
        }
        if offset <= self.filled_to.load(Ordering::Relaxed) {
            self.filled_to.fetch_max(end, Ordering::Relaxed);
        }
    }

    /// Reads from the file. `None`: there is none.
    pub fn read_file(&self, buffer: &mut [u8], at: usize) -> Option<io::Result<()>> {
        let (file, _) = self.file.as_ref()?;
        Some(match read_full(&**file, buffer, at as u64) {
            Ok(read) if read == buffer.len() => Ok(()),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        })
    }

    /// Makes what was written survive a power cut. A failure is remembered: a later sync that succeeds would say nothing
    /// of what this one lost.
    pub fn sync(&self) -> io::Result<()> {
        let Some((file, path)) = &self.file else {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the records are in memory, and no sync makes them durable",
            ));
        };
        if self.has_failed() {
            let text = format!("{} has failed before; what it holds is not durable", path.display());
            return Err(io::Error::other(text));
        }
        file.sync().inspect_err(|_| self.failed.store(true, Ordering::Relaxed))
    }
}

impl std::fmt::Debug for Chunk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chunk")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// Marks a chunk as holding a segment that is written; `true` when it was not known to be unsynced.
pub(crate) fn mark_open(chunk: &Arc<Chunk>) -> bool {
    chunk.open_segments.fetch_add(1, Ordering::AcqRel);
    chunk.wanted_segments.fetch_add(1, Ordering::AcqRel);
    !chunk.is_unsynced.swap(true, Ordering::AcqRel)
}
