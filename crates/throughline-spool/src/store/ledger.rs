//! What became of the records that are not in any segment any more; kept in a file, so that it survives the process.
//!
//! ```text
//! offset   0  magic      u32        "TLL2"
//! offset   8  dropped    8 x u64    by the number of the reason, see `Dropped`: before a destination came into play
//! offset  72  rows       8 x 80     by destination:
//!                identity u64, delivered u64, dropped 8 x u64
//! ```
//!
//! Without destinations the first row's `delivered` counts what the local history has evicted.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::memory::Region;
use super::store::lock;
use super::tier::Tier;
use crate::files::{Files, How, SharedFile};
use crate::format::header::MAX_DESTINATIONS;
use crate::format::record::{read_u32, read_u64};

const MAGIC: u32 = u32::from_le_bytes(*b"TLL2");
const DROPPED: usize = 8;
const REASONS: usize = 8;
const ROWS: usize = DROPPED + REASONS * 8;
const ROW_LEN: usize = 16 + REASONS * 8;
pub(crate) const LEN: usize = 4096;

/// Why a span was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Dropped {
    /// The spool was full, and this was the oldest.
    Quota = 0,
    /// The backend refused it for good; its payload is in the rejected directory.
    Rejected = 1,
    /// There was no room to commit it: no file could be made and nothing could be evicted.
    NoSpace = 2,
    /// Its record was changed by somebody else and is no span any more.
    Damaged = 3,
    /// It was given up unended: somebody decided not to keep it.
    Filtered = 4,
    /// Its process has been dead for longer than undelivered spans are kept.
    Age = 5,
}

impl Dropped {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Quota,
        Self::Rejected,
        Self::NoSpace,
        Self::Damaged,
        Self::Filtered,
        Self::Age,
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
            Self::Age => "age",
        }
    }
}

/// What a ledger's file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By reason, in the order of `Dropped::ALL`.
    pub dropped: [u64; Dropped::ALL.len()],
    /// By destination: identity, delivered, dropped by reason.
    pub rows: Vec<(u64, u64, [u64; Dropped::ALL.len()])>,
}

impl Counts {
    /// Reads the bytes of a ledger's file. Total: any bytes will do; what is no ledger counts nothing.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        if read_u32(bytes, 0) != Some(MAGIC) {
            return Self::default();
        }
        let word = |at: usize| read_u64(bytes, at).unwrap_or(0);
        let reasons = |at: usize| Dropped::ALL.map(|reason| word(at + reason as usize * 8));
        let rows = (0..MAX_DESTINATIONS).map(|row| ROWS + row * ROW_LEN);
        Self {
            dropped: reasons(DROPPED),
            rows: rows
                .map(|at| (word(at), word(at + 8), reasons(at + 16)))
                .filter(|row| row.0 != 0 || row.1 != 0)
                .collect(),
        }
    }

    /// Lost records, by reason; with several destinations those of the one that lost most.
    pub fn dropped(&self) -> [u64; Dropped::ALL.len()] {
        std::array::from_fn(|reason| {
            let rows = self.rows.iter().map(|row| row.2[reason]);
            self.dropped[reason] + rows.max().unwrap_or(0)
        })
    }
}

/// The counters of one store.
pub(crate) struct Ledger {
    memory: Region,
    /// The file to write to, where the memory is not the file, and whether it has to be.
    file: Option<Mutex<SharedFile>>,
    is_changed: AtomicBool,
}

impl Ledger {
    /// A ledger in a new file, or in memory when there can be none.
    pub fn create(files: &dyn Files, path: Option<&Path>, tier: Tier, identities: &[u64]) -> Self {
        let file = path.and_then(|path| files.open(path, How::New).ok());
        let mapped = match (&file, tier) {
            // Only where mapping is sound: elsewhere a store could end the process.
            (Some(file), Tier::Mapped) => file.allocate(LEN as u64).and_then(|()| file.map(LEN)).ok(),
            _ => None,
        };
        let ledger = Self {
            file: if mapped.is_some() { None } else { file.map(Mutex::new) },
            memory: mapped.unwrap_or_else(|| Region::heap(LEN)),
            is_changed: AtomicBool::new(true),
        };
        ledger.word(0).store(u64::from(MAGIC).to_le(), Ordering::Relaxed);
        for (row, identity) in identities.iter().enumerate().take(MAX_DESTINATIONS) {
            ledger.word(row_at(row)).store(identity.to_le(), Ordering::Relaxed);
        }
        ledger.write();
        ledger
    }

    /// Writes what has changed to the file, where the memory is not the file.
    pub fn write(&self) {
        let Some(file) = &self.file else { return };
        // Held while the counts are copied, too: an older copy must not be written over a newer one.
        let file = lock(file);
        if self.is_changed.swap(false, Ordering::AcqRel) {
            let mut bytes = Vec::with_capacity(LEN);
            for at in (0..ROWS + MAX_DESTINATIONS * ROW_LEN).step_by(8) {
                bytes.extend_from_slice(&u64::from_le(self.word(at).load(Ordering::Relaxed)).to_le_bytes());
            }
            if file.write_at(&bytes, 0).is_err() {
                // The counts in memory stay right; the next write tries again.
                self.is_changed.store(true, Ordering::Release);
            }
        }
    }

    /// Lost before any destination came into play.
    pub fn add_dropped(&self, reason: Dropped, records: u64) {
        self.add(DROPPED + reason as usize * 8, records);
    }

    /// Lost for one destination.
    pub fn add_dropped_for(&self, destination: usize, reason: Dropped, records: u64) {
        self.add(row_at(destination) + 16 + reason as usize * 8, records);
    }

    /// Lost, as far as one destination is concerned.
    pub fn dropped(&self, destination: Option<usize>, reason: Dropped) -> u64 {
        let own = destination.map_or(0, |row| self.get(row_at(row) + 16 + reason as usize * 8));
        self.get(DROPPED + reason as usize * 8) + own
    }

    pub fn add_delivered(&self, destination: usize, records: u64) {
        self.add(row_at(destination) + 8, records);
    }

    pub fn delivered(&self, destination: usize) -> u64 {
        self.get(row_at(destination) + 8)
    }

    fn get(&self, at: usize) -> u64 {
        u64::from_le(self.word(at).load(Ordering::Relaxed))
    }

    fn add(&self, at: usize, records: u64) {
        if records == 0 {
            return;
        }
        let _ = self
            .word(at)
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                Some(u64::from_le(word).wrapping_add(records).to_le())
            });
        self.is_changed.store(true, Ordering::Release);
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        assert!(
            at % 8 == 0 && at < ROWS + MAX_DESTINATIONS * ROW_LEN,
            "a word of the ledger"
        );
        // SAFETY: in range and aligned; these words are only ever accessed atomically.
        unsafe { AtomicU64::from_ptr(self.memory.base().as_ptr().add(at).cast()) }
    }
}

fn row_at(destination: usize) -> usize {
    assert!(destination < MAX_DESTINATIONS, "a destination with a cursor");
    ROWS + destination * ROW_LEN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ledger_is_read_back_from_its_file_in_both_tiers() {
        for tier in [Tier::Mapped, Tier::Written] {
            let directory = tempfile::tempdir().expect("a temporary directory");
            let files = crate::files::os::files();
            let path = directory.path().join("ledger");
            let ledger = Ledger::create(&*files, Some(&path), tier, &[7, 8]);
            ledger.add_delivered(1, 5);
            ledger.add_dropped(Dropped::Filtered, 2);
            ledger.add_dropped_for(0, Dropped::Quota, 3);
            ledger.write();
            let counts = Counts::from_bytes(&std::fs::read(&path).expect("it is there"));
            assert_eq!(
                counts.rows.iter().map(|row| (row.0, row.1)).collect::<Vec<_>>(),
                [(7, 0), (8, 5)]
            );
            assert_eq!(counts.dropped(), [3, 0, 0, 0, 2, 0]);
            assert_eq!(ledger.dropped(Some(0), Dropped::Quota), 3);
            assert_eq!(ledger.dropped(Some(1), Dropped::Quota), 0);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = Counts::from_bytes(&bytes);
        }
    }
}
