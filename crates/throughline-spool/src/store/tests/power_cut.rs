//! What was reported to be synced survives a power cut at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::*;
use crate::files::FileSystem;
use crate::files::fake::{Fate, Operation, run_until_stop};
use crate::fixture::Random;
use crate::store::lease::Body;
use crate::store::store::lock;

const SEEDS: u64 = if cfg!(miri) { 1 } else { 400 };

/// What a client of the store knows when the power goes.
#[derive(Default)]
struct Known {
    /// Given to the store, whether it had returned or not.
    attempted: BTreeSet<u64>,
    /// Appended and not yet synced.
    appended: BTreeSet<u64>,
    synced: BTreeSet<u64>,
    /// By destination: settled, whether that had returned or not.
    settled: BTreeMap<u64, BTreeSet<usize>>,
}

#[test]
fn synced_records_survive_power_cuts() {
    let mut survivors = 0;
    for seed in 0..SEEDS {
        with_seed(seed, |random| survivors += cut_somewhere(random));
    }
    assert!(
        cfg!(miri) || survivors > 50 * SEEDS,
        "the test tests something: {survivors}"
    );
}

/// Uses a store until the power goes. Returns how many records had to survive.
fn cut_somewhere(random: &mut Random) -> u64 {
    let files = disk();
    match random.below(4) {
        0 => files.set_file_system(FileSystem::Other),
        1 => {
            files.set_file_system(FileSystem::Other);
            files.set_can_allocate(false);
        }
        _ => {}
    }
    let destinations = 1 + random.below(3);
    let limits = [(96 << 10, 0), (256 << 10, 64 << 10), (2 << 20, 1 << 20)][random.below(3)];
    let settings = StoreSettings {
        // So that a record that somebody is to get never makes way.
        refuse_when_full: true,
        ..settings(destinations, limits.0, limits.1)
    };
    if random.is_heads() {
        let last = 1 + random.below(60) as u64;
        files.plan(move |call| if call.number == last { Fate::Stop } else { Fate::Succeed });
    }
    let mut known = Known::default();
    run_until_stop(|| use_store(&files, settings, random, &mut known));
    let mut checked = 0;
    for _ in 0..if cfg!(miri) { 1 } else { 3 } {
        let found = recover(&files.after_power_cut(random.next()));
        let is_settled = |id: &u64| known.settled.get(id).is_some_and(|by| by.len() == destinations);
        for id in known.synced.iter().filter(|id| !is_settled(id)) {
            let place = found.records.get(id);
            let Some((generation, at)) = place else {
                panic!("{id} was synced and is lost")
            };
            for (destination, cursor) in found.cursors[generation][..destinations].iter().enumerate() {
                let may_be_settled = known.settled.get(id).is_some_and(|by| by.contains(&destination));
                assert!(
                    may_be_settled || cursor.offset as usize <= *at,
                    "{id} is skipped for {destination}"
                );
            }
            checked += 1;
        }
        let wrong: Vec<_> = found
            .records
            .keys()
            .filter(|id| !known.attempted.contains(id))
            .collect();
        assert!(wrong.is_empty(), "never appended: {wrong:?}");
    }
    checked
}

fn use_store(files: &FakeFiles, settings: StoreSettings, random: &mut Random, known: &mut Known) {
    let destinations = settings.manifest.destinations.len();
    let store = store(files, settings);
    let mut consumers: Vec<_> = (0..destinations)
        .map(|n| store.consumer(n).expect("nobody has it"))
        .collect();
    let mut now = Instant::now();
    let mut next_id = 1;
    for _ in 0..10 + random.below(40) {
        match random.below(8) {
            0..=3 => {
                let ids = next_id..next_id + 1 + random.below(if cfg!(miri) { 10 } else { 60 }) as u64;
                next_id = ids.end;
                known.attempted.extend(ids.clone());
                if append(&store, ids.clone()).is_ok() {
                    known.appended.extend(ids);
                }
            }
            4 | 5 => {
                if store.sync().is_ok() {
                    known.synced.append(&mut known.appended);
                }
            }
            6 => {
                for (destination, consumer) in consumers.iter_mut().enumerate() {
                    let most = 1 + random.below(300);
                    if let Ok(Some(batch)) = consumer.next(most, usize::MAX) {
                        for (id, _) in ids(&batch) {
                            known.settled.entry(id).or_default().insert(destination);
                        }
                        consumer.settle(batch, 0);
                    }
                }
            }
            _ => {
                if random.is_heads() {
                    store.seal();
                }
                now += Duration::from_secs(random.below(30) as u64);
                store.maintain(now);
            }
        }
    }
    // The power goes while the store is in use: nothing of its end is seen.
    files.plan(|_| Fate::Stop);
    let _ = files.shared().look(DIRECTORY.as_ref());
}

/// A lease is written and closed by another thread just after the file was synced, and before `sync` is back.
#[test]
fn record_committed_beside_a_sync_is_made_durable_by_the_next() {
    let files = disk();
    let store = store(&files, settings(1, 1 << 20, 0));
    let number = store.source(&source(0));
    let lease = store.lease(number, body(1).len(), UNIT).expect("there is room");
    let late = Arc::new(Mutex::new(Some((store.clone(), lease))));
    let taken = late.clone();
    files.plan(move |call| {
        let is_sync = call.operation == Operation::Sync;
        let Some((store, mut lease)) = is_sync.then(|| lock(&taken).take()).flatten() else {
            return Fate::Succeed;
        };
        Fate::Then(Box::new(move || {
            let body = body(1);
            let place = lease.place(number, body.len()).expect("it was leased for it");
            lease.append(place, Kind::Finished, number, Body::new(&body));
            store.close(&lease);
        }))
    });
    store.sync().expect("all is well");
    assert!(lock(&late).is_none(), "the other thread has come");
    files.forget_plan();
    store.sync().expect("all is well");
    for seed in 0..CUTS {
        assert!(
            recover(&files.after_power_cut(seed)).records.contains_key(&1),
            "seed {seed}"
        );
    }
}

#[test]
fn sync_in_memory_fails_and_says_why() {
    let store = Arc::new(Store::new(StoreSettings {
        directory: None,
        ..settings(1, 1 << 20, 0)
    }));
    append(&store, 1..9).expect("there is room");
    assert_eq!(
        store.sync().expect_err("it fails").kind(),
        std::io::ErrorKind::Unsupported
    );
}
