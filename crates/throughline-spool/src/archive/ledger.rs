//! The root's ledger: how far the archive's files are committed, and what became of the records of dead processes.
//!
//! `<root>/ledger` holds two copies of one block; the one with the higher sequence number is valid, the other one is
//! overwritten next. All of it is written under the archive's lock.
//!
//! ```text
//! offset    0  magic      u32        "TLR2"
//! offset    4  crc        u32        CRC-32C of bytes 0..4 and 8..2048
//! offset    8  sequence   u64        counts the writes
//! offset   16  next       u64        number of the next archive file
//! offset   24  pending               file that pending segments are appended to: number u64 (0: none), committed length
//!                                    u64, time of its first segment u64 in seconds since 1970
//! offset   48  history               the same for history
//! offset   72  bytes      2 x u64    of all pending files, of all history files
//! offset   88  intent     u32        what is being done to a file: 0 nothing, 1 pending becomes history, 2 a pending file
//!                                    is removed, 3 a history file is removed
//! offset   96  number     u64        of that file
//! offset  104  since      u64        when records were evicted for the first time, in nanoseconds since 1970; 0: never
//! offset  112  evicted    2 x u64    records that somebody was still to get: over the quota, too old
//! offset  128  dropped    8 x u64    by the number of the reason: before a destination came into play
//! offset  192  rows      12 x 80     by destination: identity u64, delivered u64, dropped 8 x u64; the last row is that of
//!                                    all others
//! offset 1152  unfinished 8 x 64     directories that are being archived: name 56 bytes, number of the segment file that is
//!                                    archived and may not be removed yet u32 (2^32-1: none), flags u32: 1 the open slots are
//!                                    done, 2 the directory's ledger is added
//! offset 1664  lost       8 x u64    by the number of the reason: records that at least one destination will not get; of a process
//!                                    with several destinations what the one has lost that lost most
//! ```

use std::io;

use crate::format::record::{read_u32, read_u64};
use crate::store::ledger::{Counts, Dropped};

use super::file::Kind;

const MAGIC: u32 = u32::from_le_bytes(*b"TLR2");
/// Bytes of one copy.
pub(crate) const BLOCK: usize = 2048;
/// Bytes of the file.
pub(crate) const LEN: usize = 2 * BLOCK;

const SEQUENCE: usize = 8;
const NEXT: usize = 16;
const CURRENT: [usize; 2] = [24, 48];
const BYTES: usize = 72;
const INTENT: usize = 88;
const SINCE: usize = 104;
const EVICTED: usize = 112;
const DROPPED: usize = 128;
const ROWS: usize = 192;
const ROW_LEN: usize = 80;
const MOST_ROWS: usize = 12;
const STARTED: usize = 1152;
const STARTED_LEN: usize = 64;
const NAME_LEN: usize = 56;
/// Directories that may be half archived at one time.
pub(crate) const MOST_STARTED: usize = 8;
const LOST: usize = 1664;
const NO_FILE: u32 = u32::MAX;

const REASONS: usize = Dropped::ALL.len();

/// What the root's ledger says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub sequence: u64,
    /// The highest number of an archive file is below this.
    pub next: u64,
    /// The files that are appended to, by `Kind`.
    pub current: [Option<Current>; 2],
    /// Bytes of all files, by `Kind`.
    pub bytes: [u64; 2],
    pub intent: Option<Intent>,
    /// When records were evicted for the first time, in nanoseconds since 1970; 0: never.
    pub since: u64,
    /// Records that somebody was still to get, and that were evicted.
    pub evicted: Evicted,
    /// Lost before any destination came into play, by reason.
    pub dropped: [u64; REASONS],
    /// By destination: identity, delivered, dropped by reason.
    pub rows: Vec<(u64, u64, [u64; REASONS])>,
    /// Directories that are being archived.
    pub started: Vec<Started>,
    /// Records that at least one destination will not get, by reason.
    pub lost: [u64; REASONS],
}

/// The file that segments of one kind are appended to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub number: u64,
    /// Committed, in bytes. What lies behind was left by a crash.
    pub len: u64,
    /// When its first segment came, in seconds since 1970.
    pub opened: u64,
}

/// Something that is done to a file after it was committed, and again should it not be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intent {
    /// A pending file becomes history.
    Settle(u64),
    Remove(Kind, u64),
}

/// Records that were evicted before somebody got them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evicted {
    /// Because there was more than may be kept.
    pub quota: u64,
    /// Because they were too old.
    pub age: u64,
}

/// How far the archiving of a directory is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Started {
    pub directory: String,
    /// The segment file that is archived, and is to be removed if it is still there.
    pub archived: Option<u32>,
    /// The open slots are records now, and the damaged ones counted.
    pub has_slots: bool,
    /// The directory's own ledger is added to this one.
    pub has_ledger: bool,
}

impl Ledger {
    /// The newer whole copy; `None` when both are damaged. Total: any bytes will do.
    ///
    /// # Errors
    ///
    /// A copy is whole and of another format.
    pub fn from_bytes(bytes: &[u8]) -> io::Result<Option<Self>> {
        let whole = |block: &&[u8]| read_u32(block, 4) == Some(checksum(block));
        let copies = bytes.chunks_exact(BLOCK).take(2).filter(whole);
        if copies.clone().any(|block| block[..3] == *b"TLR" && block[3] != b'2') {
            let text = "the spool's ledger was written by another version of this program";
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(copies.filter_map(Self::from_block).max_by_key(|ledger| ledger.sequence))
    }

    fn from_block(block: &[u8]) -> Option<Self> {
        if read_u32(block, 0) != Some(MAGIC) {
            return None;
        }
        let word = |at: usize| read_u64(block, at).unwrap_or(0);
        let reasons = |at: usize| Dropped::ALL.map(|reason| word(at + reason as usize * 8));
        let number = word(INTENT + 8);
        let rows = (0..MOST_ROWS).map(|row| ROWS + row * ROW_LEN);
        let rows = rows.map(|at| (word(at), word(at + 8), reasons(at + 16)));
        let started = (0..MOST_STARTED).map(|n| &block[STARTED + n * STARTED_LEN..][..STARTED_LEN]);
        Some(Self {
            sequence: word(SEQUENCE),
            next: word(NEXT),
            current: CURRENT.map(|at| {
                let [number, len, opened] = [word(at), word(at + 8), word(at + 16)];
                (number != 0).then_some(Current { number, len, opened })
            }),
            bytes: [word(BYTES), word(BYTES + 8)],
            intent: match read_u32(block, INTENT)? {
                1 => Some(Intent::Settle(number)),
                2 => Some(Intent::Remove(Kind::Pending, number)),
                3 => Some(Intent::Remove(Kind::History, number)),
                _ => None,
            },
            since: word(SINCE),
            evicted: Evicted {
                quota: word(EVICTED),
                age: word(EVICTED + 8),
            },
            dropped: reasons(DROPPED),
            rows: rows.filter(|row| *row != Default::default()).collect(),
            started: started.filter_map(Started::from_bytes).collect(),
            lost: reasons(LOST),
        })
    }

    /// The bytes of one copy.
    pub fn to_bytes(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        let mut put = |at: usize, word: u64| block[at..at + 8].copy_from_slice(&word.to_le_bytes());
        let (intent, number) = match self.intent {
            None => (0, 0),
            Some(Intent::Settle(number)) => (1, number),
            Some(Intent::Remove(Kind::Pending, number)) => (2, number),
            Some(Intent::Remove(Kind::History, number)) => (3, number),
        };
        let words = [
            (0, MAGIC.into()),
            (SEQUENCE, self.sequence),
            (NEXT, self.next),
            (BYTES, self.bytes[0]),
            (BYTES + 8, self.bytes[1]),
            (INTENT, intent),
            (INTENT + 8, number),
            (SINCE, self.since),
            (EVICTED, self.evicted.quota),
            (EVICTED + 8, self.evicted.age),
        ];
        words.into_iter().for_each(|(at, word)| put(at, word));
        for (at, current) in CURRENT.into_iter().zip(self.current) {
            let current = current.unwrap_or_default();
            put(at, current.number);
            put(at + 8, current.len);
            put(at + 16, current.opened);
        }
        (0..REASONS).for_each(|reason| put(DROPPED + reason * 8, self.dropped[reason]));
        (0..REASONS).for_each(|reason| put(LOST + reason * 8, self.lost[reason]));
        for (row, (identity, delivered, dropped)) in self.rows.iter().enumerate().take(MOST_ROWS) {
            let at = ROWS + row * ROW_LEN;
            put(at, *identity);
            put(at + 8, *delivered);
            (0..REASONS).for_each(|reason| put(at + 16 + reason * 8, dropped[reason]));
        }
        for (n, started) in self.started.iter().enumerate().take(MOST_STARTED) {
            block[STARTED + n * STARTED_LEN..][..STARTED_LEN].copy_from_slice(&started.to_bytes());
        }
        let crc = checksum(&block);
        block[4..8].copy_from_slice(&crc.to_le_bytes());
        block
    }

    /// Where the next copy goes, given the sequence number it has.
    pub fn position(&self) -> u64 {
        (self.sequence & 1) * BLOCK as u64
    }

    /// Adds what the ledger of a dead process says.
    pub fn add_counts(&mut self, counts: &Counts) {
        add(&mut self.lost, &counts.dropped());
        add(&mut self.dropped, &counts.dropped);
        for (identity, delivered, dropped) in &counts.rows {
            let row = self.row(*identity);
            row.1 = row.1.saturating_add(*delivered);
            add(&mut row.2, dropped);
        }
    }

    /// Lost before any destination came into play.
    pub fn add_dropped(&mut self, reason: Dropped, records: u64) {
        self.add_lost(reason, records);
        let count = &mut self.dropped[reason as usize];
        *count = count.saturating_add(records);
    }

    /// A destination has got records.
    pub fn add_delivered(&mut self, identity: u64, records: u64) {
        let row = self.row(identity);
        row.1 = row.1.saturating_add(records);
    }

    /// Lost for one destination; [`add_lost`](Self::add_lost) is for all of them together.
    pub fn add_dropped_for(&mut self, identity: u64, reason: Dropped, records: u64) {
        let count = &mut self.row(identity).2[reason as usize];
        *count = count.saturating_add(records);
    }

    /// At least one destination will not get these records.
    pub fn add_lost(&mut self, reason: Dropped, records: u64) {
        let count = &mut self.lost[reason as usize];
        *count = count.saturating_add(records);
    }

    /// The row of a destination. When they are used up, that of all others.
    fn row(&mut self, identity: u64) -> &mut (u64, u64, [u64; REASONS]) {
        let known = self.rows.iter().position(|row| row.0 == identity);
        let at = known.unwrap_or_else(|| {
            if self.rows.len() < MOST_ROWS {
                let is_last = self.rows.len() == MOST_ROWS - 1;
                self.rows.push((if is_last { 0 } else { identity }, 0, [0; REASONS]));
            }
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// How far the archiving of a directory is; nothing is done of one that is not listed.
    pub fn started(&self, directory: &str) -> Started {
        let known = self.started.iter().find(|started| started.directory == directory);
        known.cloned().unwrap_or_else(|| Started {
            directory: directory.to_owned(),
            ..Started::default()
        })
    }

    /// Remembers how far the archiving of a directory is.
    pub fn set_started(&mut self, started: Started) {
        self.forget_started(&started.directory);
        self.started.push(started);
    }

    /// A directory is gone, or nothing of it is half done.
    pub fn forget_started(&mut self, directory: &str) {
        self.started.retain(|started| started.directory != directory);
    }
}

impl Started {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let name = bytes[..NAME_LEN].split(|byte| *byte == 0).next()?;
        let directory = std::str::from_utf8(name)
            .ok()
            .filter(|name| !name.is_empty())?
            .to_owned();
        let number = read_u32(bytes, NAME_LEN)?;
        let flags = read_u32(bytes, NAME_LEN + 4)?;
        Some(Self {
            directory,
            archived: (number != NO_FILE).then_some(number),
            has_slots: flags & 1 != 0,
            has_ledger: flags & 2 != 0,
        })
    }

    fn to_bytes(&self) -> [u8; STARTED_LEN] {
        let mut bytes = [0; STARTED_LEN];
        // Names of process directories have at most 48 bytes.
        let name = &self.directory.as_bytes()[..self.directory.len().min(NAME_LEN)];
        bytes[..name.len()].copy_from_slice(name);
        let flags = u32::from(self.has_slots) | u32::from(self.has_ledger) << 1;
        bytes[NAME_LEN..NAME_LEN + 4].copy_from_slice(&self.archived.unwrap_or(NO_FILE).to_le_bytes());
        bytes[NAME_LEN + 4..].copy_from_slice(&flags.to_le_bytes());
        bytes
    }
}

fn checksum(block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&block[..4]), &block[8..])
}

fn add(to: &mut [u64; REASONS], counts: &[u64; REASONS]) {
    for (to, count) in to.iter_mut().zip(counts) {
        *to = to.saturating_add(*count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> Ledger {
        Ledger {
            sequence: 7,
            next: 12,
            current: [
                Some(Current {
                    number: 10,
                    len: 640,
                    opened: 99,
                }),
                None,
            ],
            bytes: [5000, 6000],
            intent: Some(Intent::Remove(Kind::History, 4)),
            since: 55,
            evicted: Evicted { quota: 3, age: 4 },
            dropped: [1, 2, 3, 4, 5, 6],
            rows: vec![(77, 8, [9; 6])],
            lost: [6, 5, 4, 3, 2, 1],
            started: vec![Started {
                directory: "20261121T095930.123Z-4294967295-0123456789abcdef".into(),
                archived: Some(3),
                has_slots: true,
                has_ledger: false,
            }],
        }
    }

    fn read(bytes: &[u8]) -> Option<Ledger> {
        Ledger::from_bytes(bytes).expect("it is no newer one")
    }

    #[test]
    fn ledger_is_read_as_it_was_written_and_falls_back_when_torn() {
        let older = Ledger {
            sequence: 6,
            ..ledger()
        };
        let mut bytes = [older.to_bytes(), ledger().to_bytes()].concat();
        assert_eq!((older.position(), ledger().position()), (0, BLOCK as u64));
        assert_eq!(read(&bytes), Some(ledger()));
        for at in (BLOCK..LEN).step_by(61) {
            bytes[at] ^= 1;
            assert_eq!(read(&bytes), Some(older.clone()), "byte {at}");
            bytes[at] ^= 1;
        }
        assert_eq!(read(&bytes[..100]), None);
    }

    #[test]
    fn ledger_of_another_version_is_refused() {
        let mut bytes = ledger().to_bytes();
        bytes[3] = b'3';
        assert_eq!(read(&bytes), None);
        let crc = checksum(&bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        let error = Ledger::from_bytes(&bytes).expect_err("it is newer");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn ledger_keeps_totals_of_more_destinations_than_it_has_rows() {
        let mut ledger = Ledger::default();
        for identity in 1..=40 {
            ledger.add_delivered(identity, 1);
        }
        let read = read(&ledger.to_bytes()).expect("it is whole");
        assert_eq!(read.rows.len(), MOST_ROWS);
        assert_eq!(read.rows.iter().map(|row| row.1).sum::<u64>(), 40);
    }

    #[test]
    fn what_processes_have_lost_adds_up_whatever_destinations_they_had() {
        let rejected = |identities: &[u64]| {
            let mut dropped = [0; REASONS];
            dropped[Dropped::Rejected as usize] = 5;
            Counts {
                dropped: [0; REASONS],
                rows: identities.iter().map(|identity| (*identity, 0, dropped)).collect(),
            }
        };
        let mut ledger = Ledger::default();
        // The same five spans for both destinations, then five of another process for each.
        for identities in [&[1, 2][..], &[1], &[2]] {
            ledger.add_counts(&rejected(identities));
        }
        ledger.add_dropped_for(1, Dropped::Rejected, 1);
        ledger.add_dropped_for(2, Dropped::Rejected, 1);
        ledger.add_lost(Dropped::Rejected, 1);
        let read = read(&ledger.to_bytes()).expect("it is whole");
        assert_eq!(read.lost[Dropped::Rejected as usize], 16);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..5000)) {
            let _ = Ledger::from_bytes(&bytes);
            let mut block = bytes;
            block.resize(BLOCK, 0);
            block[..4].copy_from_slice(&MAGIC.to_le_bytes());
            let crc = checksum(&block);
            block[4..8].copy_from_slice(&crc.to_le_bytes());
            proptest::prop_assert!(read(&block).is_some());
        }
    }
}
