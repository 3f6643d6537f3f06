//! The store on a disk that fails, fills up, stops and loses power.

mod batch;
mod bounds;
mod faults;
mod power_cut;
mod reading;
mod stock;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::Batch;
use super::quota::Limits;
use super::store::{LEDGER, SEGMENTS};
use super::{Store, StoreSettings};
use crate::files::fake::FakeFiles;
use crate::fixture;
use crate::format::header::{Cursor, MAX_DESTINATIONS, Signal, UNIT};
use crate::format::record::Kind;
use crate::format::recovery;
use crate::format::source::Source;

const DIRECTORY: &str = "/spool";
/// How often the power is cut at one moment.
const CUTS: u64 = if cfg!(miri) { 1 } else { 16 };

/// A disk with an empty directory for a store.
fn disk() -> FakeFiles {
    let files = FakeFiles::new();
    files.add_directory(DIRECTORY);
    files
}

fn settings(destinations: usize, pending: u64, history: u64) -> StoreSettings {
    StoreSettings {
        directory: Some(DIRECTORY.into()),
        manifest: fixture::manifest(destinations),
        signal: Signal::Traces,
        limits: Limits {
            pending,
            history,
            history_age: Duration::from_secs(3600),
            pending_age: Duration::from_secs(3600),
        },
        tier: None,
        refuse_when_full: false,
    }
}

fn store(files: &FakeFiles, settings: StoreSettings) -> Arc<Store> {
    Arc::new(Store::with_files(settings, files.shared()))
}

/// The one body that the record of this id has: mostly some 100 bytes, now and then thousands.
fn body(id: u64) -> Vec<u8> {
    let len = match id % 61 {
        7 | 13 if cfg!(miri) => 3000,
        7 => 3000 + id % 5000,
        13 => 20_000 + id % 20_000,
        _ => id % 97,
    };
    // 0 is no span's id.
    fixture::span(id + 1, &"n".repeat(len as usize))
}

fn id(body: &[u8]) -> u64 {
    fixture::id(body) - 1
}

fn source(number: usize) -> Source {
    fixture::source(&format!("scope {number}"))
}

/// Appends records of these ids as one batch.
fn append(store: &Store, ids: impl IntoIterator<Item = u64>) -> std::io::Result<()> {
    let bodies: Vec<_> = ids.into_iter().map(body).collect();
    store.append_batch(&source(0), bodies.iter().map(Vec::as_slice))
}

/// What recovery finds on a disk.
#[derive(Debug, Default)]
struct Recovered {
    /// By id: the generation of its segment, and where it stands in it.
    records: BTreeMap<u64, (u64, usize)>,
    cursors: BTreeMap<u64, [Cursor; MAX_DESTINATIONS]>,
    /// Ranges that recovery can make nothing of.
    damaged: Vec<String>,
}

/// Recovers what lies on a disk, and checks that each record is one that `body` made, and there once.
fn recover(files: &FakeFiles) -> Recovered {
    let mut found = Recovered::default();
    for name in files.names(DIRECTORY) {
        if !name.starts_with(SEGMENTS) {
            assert_eq!(name, LEDGER);
            continue;
        }
        let bytes = files.content(format!("{DIRECTORY}/{name}")).expect("a file");
        let file = recovery::segments(&bytes, UNIT);
        found
            .damaged
            .extend(file.damaged.iter().map(|range| format!("{name} {range:?}")));
        for placed in file.placed {
            let segment = &bytes[placed.range.clone()];
            let generation = placed.header.generation;
            let mut records = recovery::records(segment, generation, 0);
            for (at, record) in records.by_ref().filter(|(_, record)| record.kind.is_item()) {
                assert_eq!(record.kind, Kind::Finished);
                let id = id(record.body());
                assert!(
                    record.body() == body(id),
                    "a wrong record of id {id} at {at} of {placed:?}"
                );
                let before = found.records.insert(id, (generation, at));
                assert_eq!(before, None, "{id} is there twice");
            }
            let torn = records.torn().iter();
            found
                .damaged
                .extend(torn.map(|range| format!("{name} {range:?} of {placed:?}")));
            found
                .cursors
                .insert(generation, Cursor::read_all(segment, &placed.header));
        }
    }
    found
}

/// The ids in a batch, in its order, and their sources.
fn ids(batch: &Batch) -> Vec<(u64, Source)> {
    let runs = batch.runs();
    let mut ids = Vec::new();
    for run in runs {
        for payload in run.payloads {
            let found = &payload[crate::format::record::FRAME..];
            let id = id(found);
            assert!(found == body(id), "a wrong record of id {id}");
            ids.push((id, run.source.clone()));
        }
    }
    assert_eq!(ids.len() as u64, batch.records());
    ids
}

/// Runs a random test, and says how to repeat it if it fails.
fn with_seed(seed: u64, test: impl FnOnce(&mut fixture::Random)) {
    struct Say(u64);
    impl Drop for Say {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("the seed was {}", self.0);
            }
        }
    }
    let _say = Say(seed);
    test(&mut fixture::Random::new(seed));
}
