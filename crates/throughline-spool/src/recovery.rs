//! From the bytes of a file to what can be trusted in it, and a verdict on the rest.
//!
//! Pure functions, total over any bytes: nobody knows what a power cut, a full disk or somebody's editor has left behind.
//! Damage costs the records it hit and no others. A chunk is walked from header to header, a segment from record to
//! record; where the chain is broken it is taken up again at the next place whose checksum is right. A checksum knows
//! the generation of its segment and its own place there, so that what an earlier use of the segment left behind is
//! never taken for a record.

use std::ops::Range;

use crate::record::{self, ALIGN, FRAME, Found, HEADER, Record, read_u32};
use crate::segment::{HEADER_LEN, Header, UNIT};

/// What a chunk file holds.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// The segments in use, in the order of their places.
    pub segments: Vec<Placed>,
    /// Ranges that hold something, of which nothing can be made.
    pub damaged: Vec<Range<usize>>,
}

/// A segment and its place in the chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub generation: u64,
    /// Shorter than the header says where the file was cut off.
    pub range: Range<usize>,
}

/// Finds the segments of a chunk.
pub(crate) fn chunk(bytes: &[u8]) -> Chunk {
    let mut chunk = Chunk::default();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = match Header::from_bytes(rest).or_else(|| mend_header(rest)) {
            Some(header) => {
                let end = at + header.len.min(rest.len());
                if header.generation != 0 {
                    chunk.segments.push(Placed {
                        generation: header.generation,
                        range: at..end,
                    });
                }
                end
            }
            None => {
                let is_header = |at: &usize| Header::from_bytes(&bytes[*at..]).is_some();
                let end = (at + UNIT..bytes.len())
                    .step_by(UNIT)
                    .find(is_header)
                    .unwrap_or(bytes.len());
                if !is_zero(&bytes[at..end]) {
                    chunk.damaged.push(at..end);
                }
                end
            }
        };
        at = end;
    }
    chunk
}

/// Reads the records of a segment from `offset` on.
pub(crate) fn records(segment: &[u8], generation: u64, offset: usize) -> Records<'_> {
    Records {
        segment,
        generation,
        at: offset.max(HEADER_LEN).next_multiple_of(ALIGN),
        budget: CHECKS * segment.len(),
        torn: Vec::new(),
    }
}

/// The records of a segment, as pairs of a record's offset and the record.
#[derive(Debug)]
pub(crate) struct Records<'a> {
    segment: &'a [u8],
    generation: u64,
    at: usize,
    /// Bytes that may yet be checked in search of a record: `0 <= budget <= CHECKS * segment.len()`.
    budget: usize,
    torn: Vec<Range<usize>>,
}

/// How many times the segment's length is checked at most in search of records, so that time stays linear even in
/// bytes that were made to look like records everywhere.
const CHECKS: usize = 8;

impl<'a> Records<'a> {
    /// Where the next record would begin; once there are no more, where the records end.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What was passed over so far because it is no record.
    pub fn torn(&self) -> &[Range<usize>] {
        &self.torn
    }

    /// Passes over something that is no record. `false`: nothing follows.
    fn pass_over(&mut self, what: &Found<'_>) -> bool {
        let start = self.at;
        let is_torn = *what == Found::Torn;
        let end = match length_twice(self.segment, start) {
            // Both copies of the length agree: the damage is elsewhere in the record.
            Some(next) if is_torn => Some(next),
            _ => self.find(start + ALIGN),
        };
        match end {
            Some(end) => {
                self.torn.push(start..end);
                self.at = end;
                true
            }
            None => {
                if is_torn {
                    self.torn.push(start..self.segment.len());
                    self.at = self.segment.len();
                }
                false
            }
        }
    }

    /// The next place at or behind `from` where a record stands.
    fn find(&mut self, from: usize) -> Option<usize> {
        let mut at = from;
        while at + HEADER + FRAME <= self.segment.len() {
            if let Some(zeroes) = self.segment.get(at..at + BLOCK).filter(|block| is_zero(block)) {
                at += zeroes.len();
                continue;
            }
            if let Some(next) = length_twice(self.segment, at) {
                self.budget = self.budget.checked_sub(next - at)?;
                if let Found::Record(..) = record::read(self.segment, at, self.generation) {
                    return Some(at);
                }
            }
            at += ALIGN;
        }
        None
    }
}

/// Zeroes are passed over in blocks of this many bytes.
const BLOCK: usize = 256;

impl<'a> Iterator for Records<'a> {
    type Item = (usize, Record<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match record::read(self.segment, self.at, self.generation) {
                Found::Record(record, next) => return Some((std::mem::replace(&mut self.at, next), record)),
                other if self.pass_over(&other) => {}
                _ => return None,
            }
        }
    }
}

/// Where the next record begins, if the two lengths of the record at this place agree: its commit word's and its frame's.
fn length_twice(segment: &[u8], at: usize) -> Option<usize> {
    let (_, body, next) = record::check_commit_word(read_u32(segment, at)?, at, segment.len())?;
    let frame = segment.get(at + HEADER..at + HEADER + FRAME)?;
    (frame == record::frame(body)).then_some(next)
}

/// The header of which these bytes differ in one.
///
/// A lost header would take all records of its segment along, so it is worth a guess that its checksum confirms.
fn mend_header(bytes: &[u8]) -> Option<Header> {
    let mut fixed: [u8; HEADER_LEN] = bytes.get(..HEADER_LEN)?.try_into().ok()?;
    if is_zero(&fixed) {
        return None;
    }
    for at in 0..Header::CHECKED {
        let was = fixed[at];
        for byte in 0..=u8::MAX {
            fixed[at] = byte;
            if let Some(header) = Header::from_bytes(&fixed) {
                return Some(header);
            }
        }
        fixed[at] = was;
    }
    None
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}
