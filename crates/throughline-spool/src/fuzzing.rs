//! The readers of bytes from outside, for the fuzz targets; only there with `cfg(fuzzing)`.

use throughline_wire::SpanView;

use crate::manifest::Manifest;
use crate::segment::{Cursor, MAX_DESTINATIONS};
use crate::{recovery, scopes, slot, unfinished};

/// Walks a chunk.
pub fn chunk(bytes: &[u8]) {
    let chunk = recovery::chunk(bytes);
    let mut end = 0;
    for placed in &chunk.segments {
        assert!(placed.range.start >= end && placed.range.end <= bytes.len());
        end = placed.range.end;
        let segment = &bytes[placed.range.clone()];
        for destination in 0..MAX_DESTINATIONS {
            let cursor = Cursor::read(segment, destination, placed.generation);
            assert!(cursor.offset as usize <= segment.len().max(crate::segment::HEADER_LEN));
        }
        let mut records = recovery::records(segment, placed.generation, 0);
        let mut before = 0;
        while let Some((offset, record)) = records.next() {
            assert!(offset >= before && offset.is_multiple_of(8));
            assert_eq!(record.payload.len(), record.body().len() + 4);
            before = records.at();
        }
        assert!(
            records
                .torn()
                .iter()
                .all(|torn| torn.start < torn.end && torn.end <= segment.len())
        );
    }
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
    let _ = Manifest::from_bytes(bytes);
    let read: usize = scopes::read(bytes).iter().map(|scope| scope.len() + 8).sum();
    assert!(read <= bytes.len());
}
