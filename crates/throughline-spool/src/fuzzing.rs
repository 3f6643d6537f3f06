//! The readers of bytes from outside, for the fuzz targets; only there with `cfg(fuzzing)`.

use throughline_wire::SpanView;

use crate::format::header::{Cursor, HEADER_LEN, MAX_DESTINATIONS, Sealed};
use crate::format::manifest::Manifest;
use crate::format::source::Source;
use crate::format::{recovery, slot, unfinished};
use crate::store::ledger::Counts;

/// Walks a file of segments, in which they begin at multiples of 16384 or, in an archive file, of 64.
pub fn segments(bytes: &[u8]) {
    for unit in [16 << 10, 64] {
        let found = recovery::segments(bytes, unit);
        let mut end = 0;
        for placed in &found.placed {
            assert!(placed.range.start >= end && placed.range.end <= bytes.len());
            end = placed.range.end;
            records(&bytes[placed.range.clone()], placed.header.generation);
            let cursors = Cursor::read_all(&bytes[placed.range.clone()], &placed.header);
            assert_eq!(cursors.len(), MAX_DESTINATIONS);
            for cursor in cursors {
                assert!((HEADER_LEN..=placed.header.len.max(HEADER_LEN)).contains(&(cursor.offset as usize)));
            }
            let _ = Sealed::read(&bytes[placed.range.clone()], placed.header.generation);
        }
    }
}

fn records(segment: &[u8], generation: u64) {
    let mut records = recovery::records(segment, generation, 0);
    let mut before = 0;
    while let Some((offset, record)) = records.next() {
        assert!(offset >= before && offset.is_multiple_of(8));
        assert_eq!(record.payload.len(), record.body().len() + 4);
        let _ = crate::store::segment::times(record.body());
        before = records.at();
    }
    let is_in_segment = |torn: &std::ops::Range<usize>| torn.start < torn.end && torn.end <= segment.len();
    assert!(records.torn().iter().all(is_in_segment));
}

/// Reads slots, and closes what is open; and the small files, which begin with their magic anyway.
pub fn slots(bytes: &[u8]) {
    for seen in bytes.chunks(slot::LEN).filter_map(slot::read) {
        if let Some(closed) = unfinished::close(seen.body, 5) {
            let mark = SpanView::new(&closed).attribute(unfinished::MARK);
            assert_eq!(mark.and_then(|mark| mark.as_bool()), Some(true));
            assert!(unfinished::so_far(seen.body).is_some());
        }
    }
    let _ = (
        Manifest::from_bytes(bytes),
        Source::from_bytes(bytes),
        Counts::from_bytes(bytes),
    );
}
