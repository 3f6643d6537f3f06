//! From a segment as its process left it to one as the archive keeps it: a pure function.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use crate::format::header::{
    ARCHIVE_UNIT, CURSOR_LEN, Cursor, HEADER_LEN, Header, MAX_DESTINATIONS, SEALED_LEN, Sealed, Signal,
};
use crate::format::manifest::Manifest;
use crate::format::record::{self, Kind};
use crate::format::recovery;
use crate::store::segment::times;

/// A segment as the archive keeps it.
#[derive(Debug, Default)]
pub(crate) struct Trimmed {
    /// Its bytes; empty when there is no item in it.
    pub bytes: Vec<u8>,
    /// Whether some destination has not got all of it.
    pub is_pending: bool,
    /// Items that are damaged and that somebody was still to get, or that were to be kept.
    pub damaged: u64,
    /// The ranges of the segment in which they stand.
    pub torn: Vec<Range<usize>>,
    /// Sources that items name and whose records are damaged, by their numbers.
    pub lacks: HashSet<u32>,
}

/// What stands in a segment that can be trusted.
struct Content<'a> {
    records: Vec<(usize, record::Record<'a>)>,
    torn: Vec<Range<usize>>,
    /// Where the last whole record ends.
    end: usize,
}

/// What may be missing in a segment, to make it self-contained again.
pub(crate) struct Remedies<'a> {
    /// The name of the directory that the segment comes from.
    pub directory: &'a str,
    /// The manifest, encoded.
    pub process: &'a [u8],
    /// Source records of the directory, by their numbers.
    pub sources: &'a HashMap<u32, Box<[u8]>>,
}

/// Trims a segment to what it holds. The generation and all records stay as they are, unless the process record or that
/// of a source is damaged: then the records are laid out anew behind those.
pub(crate) fn trim(segment: &[u8], header: &Header, remedies: &Remedies<'_>) -> Trimmed {
    let content = read(segment, header.generation);
    let items = |from: u32| {
        content
            .records
            .iter()
            .filter(move |(at, record)| record.kind.is_item() && *at >= from as usize)
    };
    let found = items(0).count() as u32;
    let cursors = Cursor::read_all(segment, header);
    let least = cursors[..header.destinations].iter().map(|cursor| cursor.offset).min();
    let mut trimmed = Trimmed {
        damaged: damaged(
            segment,
            header,
            &content,
            least.unwrap_or(0),
            items(least.unwrap_or(0)).count() as u32,
        ),
        torn: content.torn.clone(),
        lacks: lacks(&content),
        ..Trimmed::default()
    };
    if found == 0 {
        return trimmed;
    }
    let sealed = seal(segment, header, &content, found);
    trimmed.is_pending = least.is_some_and(|least| items(least).next().is_some());
    // Each destination's cursor, with what is true of the records that are there.
    let cursors = cursors.map(|cursor| {
        let left = items(cursor.offset).count() as u32;
        Cursor {
            offset: if left == 0 { sealed.end } else { cursor.offset },
            settled: found - left,
            ..cursor
        }
    });
    trimmed.bytes = match is_self_contained(&content, &trimmed.lacks, remedies) {
        true => segment[..content.end].to_vec(),
        false => Vec::new(),
    };
    let (end, cursors) = match trimmed.bytes.is_empty() {
        false => (content.end, cursors),
        true => lay_out(&mut trimmed.bytes, header, &content, &cursors, remedies),
    };
    let sealed = Sealed {
        end: end as u32,
        ..sealed
    };
    write_header(&mut trimmed.bytes, header, sealed, &cursors[..header.destinations]);
    trimmed
}

fn read(segment: &[u8], generation: u64) -> Content<'_> {
    let mut walk = recovery::records(segment, generation, 0);
    let mut content = Content {
        records: Vec::new(),
        torn: Vec::new(),
        end: HEADER_LEN,
    };
    while let Some(found) = walk.next() {
        content.end = walk.at();
        content.records.push(found);
    }
    content.torn = walk.torn().to_vec();
    content
}

/// How many items are damaged that some destination was still to get; without destinations, that are damaged at all.
fn damaged(segment: &[u8], header: &Header, content: &Content<'_>, least: u32, left: u32) -> u64 {
    let torn = content.torn.iter().filter(|torn| torn.end > least as usize).count() as u64;
    let missing = Sealed::read(segment, header.generation).map(|sealed| {
        let cursors = Cursor::read_all(segment, header);
        let settled = cursors[..header.destinations].iter().map(|cursor| cursor.settled).min();
        sealed.records.saturating_sub(settled.unwrap_or(0)).saturating_sub(left)
    });
    // The header of a sealed segment knows; otherwise each damaged place was one item, as far as anybody can tell.
    missing.map_or(torn, u64::from)
}

/// What the header is to say of the items. The times are kept where they are known and nothing is missing.
fn seal(segment: &[u8], header: &Header, content: &Content<'_>, records: u32) -> Sealed {
    let known = Sealed::read(segment, header.generation).filter(|sealed| sealed.records == records);
    let mut sealed = Sealed {
        end: content.end as u32,
        records,
        first: u64::MAX,
        last: 0,
    };
    if header.signal == Signal::Traces && known.is_none() {
        for (_, record) in content.records.iter().filter(|(_, record)| record.kind.is_item()) {
            let (first, last) = times(record.body());
            (sealed.first, sealed.last) = (sealed.first.min(first), sealed.last.max(last));
        }
    }
    let (first, last) = match known {
        Some(known) => (known.first, known.last),
        None if sealed.first == u64::MAX => (0, 0),
        None => (sealed.first, sealed.last),
    };
    Sealed { first, last, ..sealed }
}

/// The sources that items name before, or without, their records.
fn lacks(content: &Content<'_>) -> HashSet<u32> {
    let (mut known, mut lacks) = (HashSet::new(), HashSet::new());
    for (_, record) in &content.records {
        if record.kind == Kind::Source {
            known.insert(record.source);
        } else if record.kind.is_item() && !known.contains(&record.source) {
            lacks.insert(record.source);
        }
    }
    lacks
}

/// Whether the process record is there and right, and each source as far as it can be had.
fn is_self_contained(content: &Content<'_>, lacks: &HashSet<u32>, remedies: &Remedies<'_>) -> bool {
    let process = content
        .records
        .first()
        .filter(|(at, record)| *at == HEADER_LEN && record.kind == Kind::Process);
    let manifest = process.and_then(|(_, process)| Manifest::from_bytes(process.body()).ok());
    manifest.is_some_and(|manifest| manifest.directory == remedies.directory)
        && !lacks.iter().any(|number| remedies.sources.contains_key(number))
}

/// Lays the records out anew, behind a process record and the sources. Returns where they end, and the cursors there.
fn lay_out(
    bytes: &mut Vec<u8>,
    header: &Header,
    content: &Content<'_>,
    cursors: &[Cursor; MAX_DESTINATIONS],
    remedies: &Remedies<'_>,
) -> (usize, [Cursor; MAX_DESTINATIONS]) {
    let mut cursors = *cursors;
    let mut moved = [false; MAX_DESTINATIONS];
    let mut known = HashSet::new();
    bytes.resize(HEADER_LEN, 0);
    let put = |bytes: &mut Vec<u8>, kind: Kind, source: u32, body: &[u8]| {
        let record = record::build(kind, source, body, header.generation, bytes.len());
        bytes.extend_from_slice(&record);
    };
    put(bytes, Kind::Process, 0, remedies.process);
    for (at, record) in &content.records {
        if record.kind == Kind::Process {
            continue;
        }
        if record.kind == Kind::Source {
            known.insert(record.source);
        } else if !known.contains(&record.source) {
            if let Some(source) = remedies.sources.get(&record.source) {
                known.insert(record.source);
                put(bytes, Kind::Source, record.source, source);
            }
        }
        for (cursor, moved) in cursors.iter_mut().zip(&mut moved) {
            if !*moved && *at >= cursor.offset as usize {
                (cursor.offset, *moved) = (bytes.len() as u32, true);
            }
        }
        put(bytes, record.kind, record.source, record.body());
    }
    for (cursor, moved) in cursors.iter_mut().zip(moved) {
        if !moved {
            cursor.offset = bytes.len() as u32;
        }
    }
    (bytes.len(), cursors)
}

fn write_header(bytes: &mut Vec<u8>, header: &Header, sealed: Sealed, cursors: &[Cursor]) {
    bytes.resize(bytes.len().next_multiple_of(ARCHIVE_UNIT), 0);
    let header = Header {
        len: bytes.len(),
        ..*header
    };
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    bytes[Sealed::AT..][..SEALED_LEN].copy_from_slice(&sealed.to_bytes(header.generation));
    for (destination, cursor) in cursors.iter().enumerate() {
        let at = cursor.position(destination);
        bytes[at..at + CURSOR_LEN].copy_from_slice(&cursor.to_bytes(header.generation));
    }
}
