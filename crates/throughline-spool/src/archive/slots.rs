//! The spans that were open when their process died, or are open in a living one: those that are in no record.

use std::collections::HashMap;
use std::sync::Arc;

use throughline_wire::SpanView;

use crate::format::header::{ARCHIVE_UNIT, HEADER_LEN, Header, MAX_DESTINATIONS, Signal};
use crate::format::manifest::Manifest;
use crate::format::record::{self, Kind, Record};
use crate::format::{slot, unfinished};

/// What a span is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ids([u8; 16], [u8; 8]);

impl Ids {
    pub fn of(span: &SpanView<'_>) -> Self {
        let trace = span.trace_id().map_or([0; 16], |id| id.to_bytes());
        let span = span.span_id().map_or([0; 8], |id| id.to_bytes());
        Self(trace, span)
    }
}

/// A span as its slot shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenSpan {
    pub source: u32,
    pub body: Vec<u8>,
    /// Where it was being committed: generation and offset.
    pub closing: Option<(u64, u32)>,
}

/// Open spans of one directory; those that turn out to be in a record are taken out.
#[derive(Debug, Default)]
pub(crate) struct OpenSpans {
    pub spans: HashMap<Ids, OpenSpan>,
    /// The bodies of source records, by their numbers: those that an open span names.
    pub sources: HashMap<u32, Arc<[u8]>>,
    /// The newest time in any span of the process, in nanoseconds since 1970.
    pub known_alive: u64,
    /// The highest generation of any segment.
    pub generation: u64,
}

impl OpenSpans {
    /// Adds the spans of a file of slots.
    pub fn add(&mut self, slots: &[u8]) {
        slots
            .chunks_exact(slot::LEN)
            .filter_map(slot::read)
            .for_each(|seen| self.add_one(&seen));
    }

    /// Adds the span of one slot.
    pub fn add_one(&mut self, seen: &slot::Seen<'_>) {
        let span = SpanView::new(seen.body);
        self.known_alive = self.known_alive.max(unfinished::newest(&span));
        let open = OpenSpan {
            source: seen.source,
            body: seen.body.to_vec(),
            closing: seen.closing,
        };
        self.spans.insert(Ids::of(&span), open);
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Takes note of a record of the same process, at its offset in the segment of this header.
    pub fn note(&mut self, header: &Header, offset: usize, record: &Record<'_>) {
        self.generation = self.generation.max(header.generation);
        if self.spans.is_empty() {
            return;
        }
        if record.kind == Kind::Source {
            if !self.sources.contains_key(&record.source)
                && self.spans.values().any(|open| open.source == record.source)
            {
                self.sources.insert(record.source, record.body().into());
            }
        } else if record.kind.is_item() && header.signal == Signal::Traces {
            let span = SpanView::new(record.body());
            self.known_alive = self.known_alive.max(unfinished::newest(&span));
            self.spans.remove(&Ids::of(&span));
            // A hook may have changed what the record says; the slot says where it stands.
            let place = Some((header.generation, offset as u32));
            self.spans.retain(|_, open| open.closing != place);
        }
    }

    /// Takes note of a segment in which there may be no record.
    pub fn note_segment(&mut self, header: &Header) {
        self.generation = self.generation.max(header.generation);
    }

    /// One segment with all the spans that are left, as unfinished ones; and how many slots held no span.
    pub fn close(&self, manifest: &Manifest, now: u64) -> (Vec<u8>, u64) {
        // A clock that was wrong once must not make spans last into the future.
        let known_alive = self.known_alive.min(now);
        let closed = |open: &OpenSpan| Some((open.source, unfinished::close(&open.body, known_alive)?));
        let mut bodies: Vec<_> = self
            .spans
            .iter()
            .filter_map(|(ids, open)| Some((*ids, closed(open)?)))
            .collect();
        bodies.sort();
        let refused = (self.spans.len() - bodies.len()) as u64;
        let generation = self.generation + 1;
        let mut identities = [0; MAX_DESTINATIONS];
        for (identity, destination) in identities.iter_mut().zip(&manifest.destinations) {
            *identity = destination.short_identity();
        }
        let mut segment = vec![0; HEADER_LEN];
        let mut put = |kind: Kind, source: u32, body: &[u8]| {
            let record = record::build(kind, source, body, generation, segment.len());
            segment.extend_from_slice(&record);
        };
        put(Kind::Process, 0, &manifest.to_bytes());
        let mut sources: Vec<_> = self.sources.iter().collect();
        sources.sort();
        sources
            .into_iter()
            .for_each(|(number, body)| put(Kind::Source, *number, body));
        bodies
            .iter()
            .for_each(|(_, (source, body))| put(Kind::Unfinished, *source, body));
        segment.resize(segment.len().next_multiple_of(ARCHIVE_UNIT), 0);
        let header = Header {
            generation,
            len: segment.len(),
            signal: Signal::Traces,
            identities,
            destinations: manifest.destinations.len().min(MAX_DESTINATIONS),
        };
        segment[..HEADER_LEN].copy_from_slice(&header.to_bytes());
        if bodies.is_empty() {
            segment.clear();
        }
        (segment, refused)
    }
}
