//! Everything that is in a process directory, read once from end to end.
//!
//! Both the [`Reader`](crate::Reader) and whoever adopts a directory begin with this.

use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use throughline_wire::SpanView;

use crate::directory::{Life, ProcessDir};
use crate::record::Record;
use crate::recovery::{self, Placed};
use crate::segment::{Cursor, MAX_DESTINATIONS};
use crate::slot;
use crate::unfinished;

/// The chunk that an adopter makes of the spans that were open. Where it stands, the files of open spans are void.
pub(crate) const RECOVERED: &str = "chunk-recovered";
const CHUNK: &str = "chunk-";
const SLOTS: &str = "open-";

/// What is in a process directory.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The names of the chunk files.
    pub chunks: Vec<String>,
    /// Segments in use, oldest first.
    pub segments: Vec<Surveyed>,
    /// Spans that are, or at the death of the process were, open.
    pub open: Vec<OpenSlot>,
    /// The newest time in any of its spans, in nanoseconds since 1970; only known when spans are open.
    pub known_alive: u64,
    /// Parts of chunks of which nothing can be made.
    pub damaged: Vec<Damage>,
    /// Files that cannot be read, and why.
    pub unreadable: Vec<(String, io::Error)>,
}

/// A segment, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Surveyed {
    /// Its chunk's index in [`Survey::chunks`].
    pub chunk: usize,
    pub generation: u64,
    /// Its place in the chunk.
    pub range: Range<usize>,
    pub cursors: [Cursor; MAX_DESTINATIONS],
    /// Where the last record ends; 0 when there is none.
    pub end: u32,
}

/// A part of a chunk of which nothing can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// The chunk's index in [`Survey::chunks`].
    pub chunk: usize,
    /// Its place in the chunk.
    pub range: Range<usize>,
}

/// A span that is in no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenSlot {
    pub scope: u32,
    /// As the slot shows it.
    pub body: Vec<u8>,
}

impl Survey {
    /// The generation of the youngest segment; 0 when there is none.
    pub fn generation(&self) -> u64 {
        self.segments.last().map_or(0, |youngest| youngest.generation)
    }
}

/// Reads a directory, and shows each record with its segment and its offset there.
pub(crate) fn survey(
    directory: &ProcessDir,
    life: Life,
    mut visit: impl FnMut(&Surveyed, usize, &Record<'_>),
) -> io::Result<Survey> {
    let mut survey = Survey {
        chunks: chunk_files(directory)?,
        ..Survey::default()
    };
    let is_recovered = directory.path().join(RECOVERED).try_exists()?;
    // Before the records: a span that ends meanwhile is then seen twice rather than not at all.
    let mut open = HashMap::new();
    if !is_recovered || life == Life::Living {
        for name in slot_files(directory)? {
            match read_slots(directory, &name, life) {
                Ok(slots) => open.extend(slots),
                Err(error) => survey.unreadable.push((name, error)),
            }
        }
    }
    for slot in open.values() {
        survey.known_alive = survey.known_alive.max(unfinished::newest(&SpanView::new(&slot.body)));
    }
    if is_recovered {
        survey.chunks.push(RECOVERED.to_owned());
    }
    let wants_times = !open.is_empty();
    for (index, name) in survey.chunks.iter().enumerate() {
        let (bytes, chunk) = match read_chunk(directory, name, life) {
            Ok(read) => read,
            Err(error) => {
                survey.unreadable.push((name.clone(), error));
                continue;
            }
        };
        let damaged = chunk.damaged.into_iter();
        survey
            .damaged
            .extend(damaged.map(|range| Damage { chunk: index, range }));
        for Placed { generation, range } in chunk.segments {
            let segment = &bytes[range.clone()];
            let mut surveyed = Surveyed {
                chunk: index,
                generation,
                cursors: std::array::from_fn(|destination| Cursor::read(segment, destination, generation)),
                end: 0,
                range,
            };
            let mut records = recovery::records(segment, generation, 0);
            while let Some((offset, record)) = records.next() {
                if wants_times {
                    let span = SpanView::new(record.body());
                    survey.known_alive = survey.known_alive.max(unfinished::newest(&span));
                    open.remove(&Ids::of(&span));
                }
                visit(&surveyed, offset, &record);
                surveyed.end = records.at() as u32;
            }
            survey.damaged.extend(records.torn().iter().map(|torn| Damage {
                chunk: index,
                range: surveyed.range.start + torn.start..surveyed.range.start + torn.end,
            }));
            survey.segments.push(surveyed);
        }
    }
    // A clock that was wrong once must not make spans last into the future.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    survey.known_alive = survey.known_alive.min(now.as_nanos() as u64);
    survey.segments.sort_by_key(|segment| segment.generation);
    survey.open = open.into_values().collect();
    Ok(survey)
}

/// Reads a chunk. What looks damaged while its process lives may be in the middle of being written: it is read again.
fn read_chunk(directory: &ProcessDir, name: &str, life: Life) -> io::Result<(Vec<u8>, recovery::Chunk)> {
    let mut tries = if life == Life::Living { 3 } else { 1 };
    loop {
        let bytes = directory.read(name)?;
        let chunk = recovery::chunk(&bytes);
        tries -= 1;
        let is_whole = || {
            chunk.segments.iter().all(|placed| {
                let mut records = recovery::records(&bytes[placed.range.clone()], placed.generation, 0);
                records.by_ref().for_each(drop);
                records.torn().is_empty()
            })
        };
        if tries == 0 || chunk.damaged.is_empty() && is_whole() {
            return Ok((bytes, chunk));
        }
    }
}

/// Reads the open spans of a file. Those of a living process count when two looks show the same.
fn read_slots(directory: &ProcessDir, name: &str, life: Life) -> io::Result<Vec<(Ids, OpenSlot)>> {
    let first = directory.read(name)?;
    let second = match life {
        Life::Dead => None,
        Life::Living => Some(directory.read(name)?),
    };
    let mut open = Vec::new();
    for (number, bytes) in first.chunks_exact(slot::LEN).enumerate() {
        let Some(seen) = slot::read(bytes) else { continue };
        if let Some(second) = &second {
            let again = second.chunks_exact(slot::LEN).nth(number).and_then(slot::read);
            if again != Some(seen) {
                continue;
            }
        }
        let span = SpanView::new(seen.body);
        open.push((
            Ids::of(&span),
            OpenSlot {
                scope: seen.scope,
                body: seen.body.to_vec(),
            },
        ));
    }
    Ok(open)
}

/// What a span is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Ids([u8; 16], [u8; 8]);

impl Ids {
    fn of(span: &SpanView<'_>) -> Self {
        let trace = span.trace_id().map_or([0; 16], |id| id.to_bytes());
        let span = span.span_id().map_or([0; 8], |id| id.to_bytes());
        Self(trace, span)
    }
}

/// The chunk files that the process itself has made.
pub(crate) fn chunk_files(directory: &ProcessDir) -> io::Result<Vec<String>> {
    numbered(directory, CHUNK)
}

/// The files of open spans.
pub(crate) fn slot_files(directory: &ProcessDir) -> io::Result<Vec<String>> {
    numbered(directory, SLOTS)
}

/// The files of this kind, by the order of their numbers; others with such a beginning are not ours.
fn numbered(directory: &ProcessDir, prefix: &str) -> io::Result<Vec<String>> {
    let mut names = directory.files(prefix)?;
    names.retain(|name| {
        let number = &name[prefix.len()..];
        number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    Ok(names)
}
