//! What became of the spans that are not in any segment any more; kept in a file, so that it survives the process.
//!
//! ```text
//! offset  0  magic      u32      "TLL1"
//! offset  8  dropped    8 x u64  by the number of the reason, see `Dropped`
//! offset 72  delivered  8 x u64  by destination
//! ```

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::directory;
use crate::memory::Region;
use crate::record::read_u32;
use crate::segment::MAX_DESTINATIONS;

const MAGIC: u32 = u32::from_le_bytes(*b"TLL1");
const DROPPED: usize = 8;
const REASONS: usize = 8;
const DELIVERED: usize = DROPPED + REASONS * 8;
pub(crate) const LEN: usize = 4096;

/// Why a span was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Dropped {
    /// The spool was full and this was the oldest.
    Quota = 0,
    /// The backend refused it for good; its payload is in the rejected directory.
    Rejected = 1,
    /// There was no room to commit it: no file could be made and nothing could be evicted.
    NoSpace = 2,
    /// Its record was changed by somebody else and is no span any more.
    Damaged = 3,
    /// It was given up unended: somebody decided not to keep it.
    Filtered = 4,
}

impl Dropped {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Quota,
        Self::Rejected,
        Self::NoSpace,
        Self::Damaged,
        Self::Filtered,
    ];

    /// The word for it in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quota => "quota",
            Self::Rejected => "rejected",
            Self::NoSpace => "no space",
            Self::Damaged => "damaged",
            Self::Filtered => "filtered",
        }
    }
}

/// The counters of one process directory.
pub(crate) struct Ledger(Region);

impl Ledger {
    /// A ledger in a new file of the directory, or in memory when there is none.
    pub fn create(directory: Option<&Path>) -> Self {
        let region = directory.and_then(|directory| {
            let file = directory::create_file(&directory.join(directory::LEDGER), LEN).ok()?;
            Region::map(&file, LEN).ok()
        });
        let ledger = Self(region.unwrap_or_else(|| Region::heap(LEN)));
        ledger.word(0).store(u64::from(MAGIC).to_le(), Ordering::Relaxed);
        ledger
    }

    /// The ledger of a dead process, for its adopter.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = directory::open_file(path)?;
        if file.metadata()?.len() < LEN as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the ledger is too short"));
        }
        Ok(Self(Region::map(&file, LEN)?))
    }

    /// What was dropped, by reason, according to the bytes of a ledger's file. Total: any bytes will do.
    pub fn read_dropped(bytes: &[u8]) -> [u64; Dropped::ALL.len()] {
        let is_ledger = read_u32(bytes, 0) == Some(MAGIC);
        Dropped::ALL.map(|reason| {
            let at = DROPPED + reason as usize * 8;
            let word = bytes.get(at..at + 8).and_then(|word| word.try_into().ok());
            word.filter(|_| is_ledger).map_or(0, u64::from_le_bytes)
        })
    }

    pub fn add_dropped(&self, reason: Dropped, records: u64) {
        self.add(DROPPED + reason as usize * 8, records);
    }

    pub fn dropped(&self, reason: Dropped) -> u64 {
        u64::from_le(self.word(DROPPED + reason as usize * 8).load(Ordering::Relaxed))
    }

    pub fn add_delivered(&self, destination: usize, records: u64) {
        self.add(DELIVERED + destination * 8, records);
    }

    pub fn delivered(&self, destination: usize) -> u64 {
        u64::from_le(self.word(DELIVERED + destination * 8).load(Ordering::Relaxed))
    }

    fn add(&self, at: usize, records: u64) {
        let _ = self
            .word(at)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                Some(u64::from_le(word).wrapping_add(records).to_le())
            });
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(
            at.is_multiple_of(8) && at < DELIVERED + MAX_DESTINATIONS * 8,
            "a word of the ledger"
        );
        // SAFETY: in range and aligned; these words are only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(self.0.base().as_ptr().add(at).cast()) }
    }
}
