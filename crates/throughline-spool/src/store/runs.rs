//! Payloads of records, by runs of one source: what a request is made of.

use std::ops::Range;
use std::sync::Arc;

use crate::format::source::Source;

/// Consecutive records of one source.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Whose they are.
    pub source: &'a Source,
    /// Each a whole field of an OTLP `ScopeSpans` (tag 2), one for each record.
    pub payloads: Vec<&'a [u8]>,
}

/// Bytes in which payloads lie, and where, by runs of one source.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    /// The payloads, and perhaps what stands between them in a segment.
    pub bytes: Vec<u8>,
    runs: Vec<Ranges>,
}

#[derive(Debug)]
struct Ranges {
    source: Arc<Source>,
    payloads: Vec<Range<usize>>,
}

impl Runs {
    /// No payloads yet; `bytes` is memory to be used again.
    pub fn new(mut bytes: Vec<u8>) -> Self {
        bytes.clear();
        Self {
            bytes,
            runs: Vec::new(),
        }
    }

    /// Begins a run: the payloads that are added from here on are of this source.
    pub fn begin(&mut self, source: Arc<Source>) {
        self.runs.push(Ranges {
            source,
            payloads: Vec::new(),
        });
    }

    /// Adds a payload that lies in the bytes to the run that was begun last.
    pub fn add(&mut self, payload: Range<usize>) {
        debug_assert!(payload.end <= self.bytes.len(), "a payload lies in the bytes");
        match self.runs.last_mut() {
            Some(run) => run.payloads.push(payload),
            None => debug_assert!(false, "a run was begun"),
        }
    }

    /// The source of the run that was begun last.
    pub fn source(&self) -> Option<&Arc<Source>> {
        self.runs.last().map(|run| &run.source)
    }

    /// The runs, in the order in which they were begun.
    pub fn iter(&self) -> impl Iterator<Item = Run<'_>> {
        self.runs.iter().map(|run| Run {
            source: &run.source,
            payloads: run.payloads.iter().map(|range| &self.bytes[range.clone()]).collect(),
        })
    }
}
