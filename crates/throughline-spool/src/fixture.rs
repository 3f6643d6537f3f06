//! Segments, slots and spans made byte by byte, for tests.

use throughline_wire::{encode, span_prefix};

use crate::format::header::{HEADER_LEN, Header, Signal};
use crate::format::manifest::{Destination, Manifest};
use crate::format::record::{self, Kind};
use crate::format::slot;
use crate::format::source::Source;

/// Random numbers that a seed repeats (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// `0 <= number < end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn is_heads(&mut self) -> bool {
        self.next() & 1 == 1
    }

    /// True once in so many times.
    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

pub(crate) fn manifest(destinations: usize) -> Manifest {
    Manifest {
        service: "service".into(),
        destinations: (0..destinations).map(destination).collect(),
        ..Manifest::default()
    }
}

pub(crate) fn destination(number: usize) -> Destination {
    Destination {
        name: format!("destination {number}"),
        identity: [number as u8 + 1; 16],
        credentials: [7; 16],
    }
}

pub(crate) fn source(scope: &str) -> Source {
    Source {
        resource: b"resource".as_slice().into(),
        scope: scope.as_bytes().into(),
        ..Source::default()
    }
}

/// The body of a root span with this id, open, which starts at `id` nanoseconds.
pub(crate) fn span(id: u64, name: &str) -> Vec<u8> {
    let mut body = span_prefix::TEMPLATE;
    body[span_prefix::TRACE_ID..][..16].fill(1);
    body[span_prefix::SPAN_ID..][..8].copy_from_slice(&id.to_be_bytes());
    body[span_prefix::START_TIME..][..8].copy_from_slice(&id.to_le_bytes());
    let mut body = body[span_prefix::ROOT_START..].to_vec();
    let at = body.len();
    body.resize(at + encode::text_len(name), 0);
    encode::write_text(&mut body[at..], encode::tag::NAME, name);
    body
}

/// The id of a span made by `span`.
pub(crate) fn id(body: &[u8]) -> u64 {
    let id = throughline_wire::SpanView::new(body)
        .span_id()
        .expect("a span has an id");
    u64::from_be_bytes(id.to_bytes())
}

/// A header without destinations.
pub(crate) fn header(generation: u64, len: usize) -> Header {
    Header {
        generation,
        len,
        signal: Signal::Traces,
        ..Header::free(len)
    }
}

/// A segment with these bodies.
pub(crate) fn segment(generation: u64, len: usize, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut segment = header(generation, len).to_bytes().to_vec();
    for body in bodies {
        let record = record::build(Kind::Finished, 0, body, generation, segment.len());
        segment.extend_from_slice(&record);
    }
    segment.resize(len, 0);
    segment
}

/// A slot with this body, open, or closing to a generation and an offset.
pub(crate) fn slot(body: &[u8], closing: Option<(u64, u32)>) -> Vec<u8> {
    let state: u32 = if closing.is_some() { 2 } else { 1 };
    let (generation, offset) = closing.unwrap_or_default();
    let len = span_prefix::ROOT_START + body.len();
    let mut slot = vec![0; slot::BODY + span_prefix::ROOT_START];
    slot[0..4].copy_from_slice(&(state << 30 | 1 << 12 | len as u32).to_le_bytes());
    slot[8..16].copy_from_slice(&generation.to_le_bytes());
    slot[16..20].copy_from_slice(&offset.to_le_bytes());
    slot.extend_from_slice(body);
    slot.resize(slot::LEN, 0);
    slot
}

/// Where the records of a segment made by `segment` begin, given their bodies.
pub(crate) fn offsets(bodies: &[Vec<u8>]) -> Vec<usize> {
    let mut at = HEADER_LEN;
    bodies
        .iter()
        .map(|body| {
            let next = at + record::stride(body.len());
            std::mem::replace(&mut at, next)
        })
        .collect()
}
