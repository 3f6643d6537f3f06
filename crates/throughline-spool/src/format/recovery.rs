//! From the bytes of a file to what can be trusted in it, and a verdict on the rest.
//!
//! Pure functions, total over any bytes: nobody knows what a power cut, a full disk or somebody's editor has left behind.
//! Damage costs the records it hit and no others. A file is walked from header to header, a segment from record to
//! record; where the chain is broken it is taken up again at the next place whose checksum is right. A checksum knows
//! the generation of its segment and its own place there, so that what an earlier use of the segment left behind is
//! never taken for a record.

use std::ops::Range;

use super::header::{HEADER_LEN, Header};
use super::record::{self, ALIGN, FRAME, Found, HEADER, Record, read_u32};

/// What a file of segments holds.
#[derive(Debug, Default)]
pub(crate) struct Segments {
    /// The segments in use, in the order of their places.
    pub placed: Vec<Placed>,
    /// Ranges that hold something, of which nothing can be made.
    pub damaged: Vec<Range<usize>>,
}

/// A segment and its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub header: Header,
    /// Shorter than the header says where the file was cut off.
    pub range: Range<usize>,
}

/// Finds the segments of a file, in which they begin at multiples of `unit`.
pub(crate) fn segments(bytes: &[u8], unit: usize) -> Segments {
    let mut found = Segments::default();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = match Header::from_bytes(rest).or_else(|| Header::mend(rest)) {
            Some(header) => {
                let end = at + header.len.min(rest.len());
                if header.generation != 0 {
                    found.placed.push(Placed { header, range: at..end });
                }
                end
            }
            None => {
                let is_header = |at: &usize| Header::from_bytes(&bytes[*at..]).is_some();
                let end = (at + unit..bytes.len())
                    .step_by(unit)
                    .find(is_header)
                    .unwrap_or(bytes.len());
                if !is_zero(&bytes[at..end]) {
                    found.damaged.push(at..end);
                }
                end
            }
        };
        at = end.next_multiple_of(unit);
    }
    found
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

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{id, offsets, segment, span};
    use crate::format::header::UNIT;
    use crate::format::record::stride;

    const GENERATION: u64 = 0x1_0000_0005;

    fn bodies(count: u64) -> Vec<Vec<u8>> {
        (1..=count).map(|n| span(n, &"name".repeat(n as usize % 8))).collect()
    }

    /// The ids of what is found in a file, and how many places are damaged.
    fn found(bytes: &[u8]) -> (Vec<u64>, usize) {
        let file = segments(bytes, UNIT);
        let mut ids = Vec::new();
        let mut damaged = file.damaged.len();
        for placed in &file.placed {
            let mut records = records(&bytes[placed.range.clone()], placed.header.generation, 0);
            ids.extend(records.by_ref().map(|(_, record)| id(record.body())));
            damaged += records.torn().len();
        }
        (ids, damaged)
    }

    #[test]
    fn any_wrong_byte_costs_the_record_it_is_in_and_no_other() {
        let bodies = bodies(64);
        let whole = segment(GENERATION, UNIT, &bodies);
        let offsets = offsets(&bodies);
        let end = offsets[63] + stride(bodies[63].len());
        for at in 0..end {
            let hit = offsets.iter().rposition(|offset| *offset <= at);
            let is_padding = hit.is_some_and(|hit| at >= offsets[hit] + HEADER + FRAME + bodies[hit].len());
            let hit = hit.filter(|_| !is_padding).map(|hit| hit as u64 + 1);
            let expected: Vec<u64> = (1..=64).filter(|id| Some(*id) != hit).collect();
            for change in [1, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] ^= change;
                let expected = (expected.clone(), usize::from(hit.is_some()));
                assert_eq!(found(&bytes), expected, "byte {at} ^ {change:#x}");
            }
        }
    }

    #[test]
    fn each_kind_of_damage_is_told_from_the_end() {
        let bodies = bodies(8);
        let offsets = offsets(&bodies);
        let last_end = offsets[7] + stride(bodies[7].len());
        type Change<'a> = &'a dyn Fn(&mut Vec<u8>);
        let word = |bytes: &mut Vec<u8>, at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        let cases: [(&str, Change<'_>, &[u64], usize); 9] = [
            ("nothing", &|_| {}, &[1, 2, 3, 4, 5, 6, 7, 8], 0),
            (
                "a page lost",
                &|b| b[offsets[2]..offsets[5]].fill(0),
                &[1, 2, 6, 7, 8],
                1,
            ),
            (
                "a commit word lost",
                &|b| word(b, offsets[3], 0),
                &[1, 2, 3, 5, 6, 7, 8],
                1,
            ),
            (
                "a length that fits another record's end",
                &|b| {
                    let body = offsets[4] - offsets[2] - HEADER - FRAME;
                    word(b, offsets[2], record::commit_word(record::Kind::Finished, body));
                },
                &[1, 2, 4, 5, 6, 7, 8],
                1,
            ),
            (
                "a length beyond the segment",
                &|b| word(b, offsets[2], 0x01ff_ffff),
                &[1, 2, 4, 5, 6, 7, 8],
                1,
            ),
            (
                "a length of nothing",
                &|b| word(b, offsets[2], 0x0100_0000),
                &[1, 2, 4, 5, 6, 7, 8],
                1,
            ),
            (
                "a kind that is not known",
                &|b| b[offsets[2] + 3] = 9,
                &[1, 2, 4, 5, 6, 7, 8],
                1,
            ),
            (
                "a torn last record",
                &|b| b[last_end - 20] ^= 1,
                &[1, 2, 3, 4, 5, 6, 7],
                1,
            ),
            (
                "a record of another generation",
                &|b| {
                    let old = record::build(record::Kind::Finished, 0, &bodies[3], GENERATION - 1, offsets[3]);
                    b[offsets[3]..][..old.len()].copy_from_slice(&old);
                },
                &[1, 2, 3, 5, 6, 7, 8],
                1,
            ),
        ];
        for (name, change, ids, damaged) in cases {
            let mut bytes = segment(GENERATION, UNIT, &bodies);
            change(&mut bytes);
            assert_eq!(found(&bytes), (ids.to_vec(), damaged), "{name}");
        }
    }

    #[test]
    fn torn_record_cannot_smuggle_another_one_in() {
        let at = HEADER_LEN + HEADER + FRAME;
        // The body that begins at `at` holds, further on, a record that would verify at its place.
        let mut body = span(1, "");
        body.resize(body.len().next_multiple_of(ALIGN), 0);
        let smuggled = record::build(record::Kind::Finished, 0, &span(99, ""), GENERATION, at + body.len());
        body.extend_from_slice(&smuggled);
        let mut bytes = segment(GENERATION, UNIT, &[body, span(2, "")]);
        assert_eq!(found(&bytes), (vec![1, 2], 0));
        bytes[at + 1] ^= 1;
        assert_eq!(found(&bytes), (vec![2], 1));
    }

    #[test]
    fn what_an_earlier_use_of_the_segment_left_behind_is_no_record() {
        let mut bytes = segment(GENERATION, UNIT, &bodies(64));
        let young = segment(GENERATION + 1, UNIT, &bodies(3));
        let end = offsets(&bodies(4))[3];
        bytes[..end].copy_from_slice(&young[..end]);
        bytes[end..end + 8].fill(0);
        assert_eq!(found(&bytes), (vec![1, 2, 3], 0));
    }

    #[test]
    fn file_cut_anywhere_gives_the_records_before_the_cut() {
        let bodies = bodies(100);
        let both = [
            segment(GENERATION, UNIT, &bodies[..64]),
            segment(GENERATION + 1, UNIT, &bodies[64..]),
        ]
        .concat();
        let ends = |range: Range<usize>, base: usize| -> Vec<usize> {
            let bodies = &bodies[range];
            let offsets = offsets(bodies);
            offsets
                .iter()
                .zip(bodies)
                .map(|(at, body)| base + at + stride(body.len()))
                .collect()
        };
        let ends = [ends(0..64, 0), ends(64..100, UNIT)].concat();
        for len in (0..both.len()).step_by(64).chain(ends.iter().copied()) {
            let before = ends.iter().filter(|end| **end <= len).count() as u64;
            assert_eq!(found(&both[..len]).0, (1..=before).collect::<Vec<_>>(), "{len}");
        }
    }

    #[test]
    fn chunk_is_walked_past_free_segments_and_lost_headers() {
        let one = segment(1, UNIT, &bodies(1));
        let free = Header::free(2 * UNIT).to_bytes();
        let free = [&free[..], &segment(2, 2 * UNIT, &bodies(5))[HEADER_LEN..]].concat();
        let lost = {
            let mut lost = segment(3, 2 * UNIT, &bodies(5));
            lost[0..32].fill(0xaa);
            lost
        };
        let unused = vec![0; 3 * UNIT];
        let bytes = [&one[..], &free, &lost, &one, &unused].concat();
        let file = segments(&bytes, UNIT);
        let ranges: Vec<_> = file.placed.iter().map(|placed| placed.range.clone()).collect();
        assert_eq!(ranges, [0..UNIT, 5 * UNIT..6 * UNIT]);
        assert_eq!(file.damaged, vec![3 * UNIT..5 * UNIT]);
    }

    #[test]
    fn bytes_that_look_like_records_everywhere_take_bounded_work() {
        let len = 64 * UNIT;
        let mut bytes = crate::fixture::header(1, len).to_bytes().to_vec();
        while bytes.len() + HEADER + FRAME < len {
            let body = (len - bytes.len()) / 2;
            bytes.extend_from_slice(&record::commit_word(record::Kind::Finished, body).to_le_bytes());
            bytes.extend_from_slice(&[0; 8]);
            bytes.extend_from_slice(&record::frame(body));
        }
        bytes.resize(len, 0);
        // The first is not followed by its length: it has to be searched behind it.
        bytes[HEADER_LEN..HEADER_LEN + 4].fill(0xff);
        let mut records = records(&bytes, 1, 0);
        assert_eq!(records.next(), None);
        assert!(records.budget < len, "the search was given up");
        assert_eq!(records.torn().first(), Some(&(HEADER_LEN..len)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_without_a_panic(bytes: Vec<u8>, generation: u64, offset in 0usize..500) {
            let _ = (segments(&bytes, UNIT), segments(&bytes, 64));
            records(&bytes, generation, offset).for_each(drop);
        }

        #[test]
        fn any_change_of_a_few_bytes_costs_no_more_records_than_bytes(
            changes in proptest::collection::vec((HEADER_LEN..UNIT, 0u8..), 1..6),
        ) {
            let mut bytes = segment(GENERATION, UNIT, &bodies(64));
            for (at, byte) in &changes {
                bytes[*at] = *byte;
            }
            proptest::prop_assert!(found(&bytes).0.len() + changes.len() >= 64);
        }
    }
}
