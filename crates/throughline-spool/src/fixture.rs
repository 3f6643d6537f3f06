//! Spools of dead processes, made byte by byte, for tests.

use std::fs;
use std::time::SystemTime;

use throughline_wire::{encode, prefix};

use crate::directory::{self, ProcessDir, Root};
use crate::ledger::Ledger;
use crate::manifest::{Destination, Identity, Manifest};
use crate::record::{self, Kind};
use crate::segment::{HEADER_LEN, Header};
use crate::slot;

/// A spool in a temporary directory.
pub(crate) struct Fixture {
    pub root: Root,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        Self {
            root,
            _directory: directory,
        }
    }

    /// The directory of a dead process with these files besides the usual ones.
    pub fn dead(&self, destinations: usize, files: &[(&str, &[u8])]) -> ProcessDir {
        let owned = self
            .root
            .create_process(&manifest(destinations))
            .expect("it can be made");
        for (name, bytes) in files {
            directory::write_file(&owned.path.join(name), bytes).expect("it can be made");
        }
        Ledger::create(Some(&owned.path));
        let scopes = [
            8_u32.to_le_bytes(),
            crc32c::crc32c(b"scope no").to_le_bytes(),
            *b"scop",
            *b"e no",
        ]
        .concat();
        fs::write(owned.path.join(directory::SCOPES), scopes).expect("it can be written");
        let name = owned.path.file_name().expect("it has a name").to_owned();
        drop(owned);
        let processes = self.root.processes().expect("it can be listed");
        let found = processes.into_iter().find(|found| name == *found.name());
        found.expect("it was made above")
    }

    /// How many files are in quarantine.
    pub fn quarantined(&self) -> usize {
        fs::read_dir(self.root.path().join("quarantine")).map_or(0, Iterator::count)
    }
}

pub(crate) fn manifest(destinations: usize) -> Manifest {
    let destination = |number: usize| Destination {
        name: format!("destination {number}"),
        fingerprint: vec![number as u8],
    };
    Manifest {
        owner: Identity::default(),
        created: SystemTime::UNIX_EPOCH,
        service: "service".into(),
        resource: b"resource".to_vec(),
        schema_url: String::new(),
        destinations: (0..destinations).map(destination).collect(),
    }
}

/// The body of a root span with this id, open, which starts at `id` nanoseconds.
pub(crate) fn span(id: u64, name: &str) -> Vec<u8> {
    let mut body = prefix::TEMPLATE;
    body[prefix::TRACE_ID..][..16].fill(1);
    body[prefix::SPAN_ID..][..8].copy_from_slice(&id.to_be_bytes());
    body[prefix::START_TIME..][..8].copy_from_slice(&id.to_le_bytes());
    let mut body = body[prefix::ROOT_START..].to_vec();
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

/// A segment with these bodies.
pub(crate) fn segment(generation: u64, len: usize, bodies: &[Vec<u8>]) -> Vec<u8> {
    let mut segment = Header { generation, len }.to_bytes().to_vec();
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
    let len = prefix::ROOT_START + body.len();
    let mut slot = vec![0; slot::BODY + prefix::ROOT_START];
    slot[0..4].copy_from_slice(&(state << 30 | 1 << 12 | len as u32).to_le_bytes());
    slot[8..16].copy_from_slice(&generation.to_le_bytes());
    slot[16..20].copy_from_slice(&offset.to_le_bytes());
    slot.extend_from_slice(body);
    slot.resize(slot::LEN, 0);
    slot
}

/// Where the records of a segment begin, given their bodies.
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
