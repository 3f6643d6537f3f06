//! Records that somebody is still to get, of as many processes as fit in one request.

use std::sync::Arc;

use crate::format::header::{Header, Sealed, Signal};
use crate::format::source::Source;
use crate::store::runs::{Run, Runs};

/// Records of dead processes that a destination has not got.
#[derive(Debug)]
pub struct Portion {
    runs: Runs,
    records: u64,
    pub(super) signal: Option<Signal>,
    pub(super) marks: Vec<Mark>,
}

/// How much of one segment a portion holds.
#[derive(Debug)]
pub(super) struct Mark {
    /// The file's number, and where the segment begins there.
    pub number: u64,
    pub at: u64,
    pub header: Header,
    pub sealed: Sealed,
    /// The destinations whose records these are.
    pub destinations: Vec<usize>,
    /// Everything before this is in this portion, or was settled before.
    pub end: u32,
    /// The offsets of the items.
    pub items: Vec<u32>,
}

impl Portion {
    pub(super) fn new() -> Self {
        Self {
            runs: Runs::default(),
            records: 0,
            signal: None,
            marks: Vec::new(),
        }
    }

    /// Whether a payload of this length goes in. The first one always does.
    pub(super) fn has_room(&self, len: usize, most_records: usize, most_bytes: usize) -> bool {
        self.records == 0 || (self.records as usize) < most_records && self.runs.bytes.len() + len <= most_bytes
    }

    pub(super) fn push(&mut self, source: &Arc<Source>, payload: &[u8]) {
        let start = self.runs.bytes.len();
        self.runs.bytes.extend_from_slice(payload);
        self.records += 1;
        // Processes of one program mostly differ in their resource, but need not.
        if self.runs.source() != Some(source) {
            self.runs.begin(source.clone());
        }
        self.runs.add(start..self.runs.bytes.len());
    }

    /// The records, by runs of one source.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.runs.iter()
    }

    /// How many records there are; at least one.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// What the records are; a portion holds those of one signal only.
    #[must_use]
    pub fn signal(&self) -> Signal {
        self.signal.unwrap_or_default()
    }

    /// The bytes of all payloads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.runs.bytes.len()
    }
}
