use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::archive::Moment;
use crate::archive::testing::{Dead, Fixture, run};
use crate::directory::{Owned, Root};
use crate::fixture::{id, manifest, slot, source, span};
use crate::format::header::Signal;
use crate::store::quota::Limits;
use crate::store::{Store, StoreSettings};

fn living(root: &Root, limits: Limits) -> (Owned, Store) {
    let mut manifest = manifest(0);
    let owned = root.create_process(&mut manifest).expect("it can be made");
    let store = Store::new(StoreSettings {
        directory: Some(owned.path().to_owned()),
        manifest,
        signal: Signal::Traces,
        limits,
        tier: None,
        refuse_when_full: false,
    });
    (owned, store)
}

fn append(store: &Store, ids: impl IntoIterator<Item = u64>) {
    let bodies: Vec<_> = ids.into_iter().map(|id| span(id, &"x".repeat(500))).collect();
    for bodies in bodies.chunks(1000) {
        let bodies = bodies.iter().map(Vec::as_slice);
        store.append_batch(&source("scope"), bodies).expect("there is room");
    }
}

/// What a look shows: how often each span, and its state.
fn look(follower: &mut Follower) -> BTreeMap<u64, (State, usize)> {
    let mut seen = BTreeMap::new();
    let problems = follower.look(&mut |new| {
        if new.state == State::Finished {
            assert_eq!(**new.source, source("scope"));
        }
        seen.entry(id(new.body)).or_insert((new.state, 0)).1 += 1;
    });
    assert_eq!(problems, Vec::<String>::new());
    seen
}

fn once(ids: impl IntoIterator<Item = u64>) -> BTreeMap<u64, (State, usize)> {
    ids.into_iter().map(|id| (id, (State::Finished, 1))).collect()
}

#[test]
fn look_shows_what_was_appended_since_the_last() {
    let fixture = Fixture::new();
    let (_owned, store) = living(&fixture.root, Limits::default());
    append(&store, 1..=3);
    let mut follower = Follower::new(fixture.root.path());
    let mut from_the_beginning = Follower::from_the_beginning(fixture.root.path());
    assert_eq!(look(&mut follower), once([]));
    assert_eq!(look(&mut from_the_beginning), once(1..=3));
    // Over the ends of segments, and of files.
    let mut next = 4;
    for count in [1, 2, 100, 5000, 1, 1] {
        append(&store, next..next + count);
        assert_eq!(look(&mut follower), once(next..next + count));
        assert_eq!(look(&mut follower), once([]));
        next += count;
    }
    assert_eq!(look(&mut from_the_beginning), once(4..next));
}

#[test]
fn recycled_segments_are_read_again() {
    let fixture = Fixture::new();
    let limits = Limits {
        pending: 1 << 20,
        history: 1 << 20,
        ..Limits::default()
    };
    let (_owned, store) = living(&fixture.root, limits);
    let mut follower = Follower::new(fixture.root.path());
    assert_eq!(look(&mut follower), once([]));
    // Some 25 MiB through a store of 2.
    for batch in 0..1000 {
        let ids = batch * 50 + 1..batch * 50 + 51;
        append(&store, ids.clone());
        store.maintain(std::time::Instant::now());
        assert_eq!(look(&mut follower), once(ids), "batch {batch}");
    }
    let known: usize = follower.processes.values().map(Followed::known_segments).sum();
    assert!(known < 300, "{known} segments are remembered");
}

#[test]
fn span_is_shown_once_whoever_archives_it() {
    let fixture = Fixture::new();
    let mut follower = Follower::new(fixture.root.path());
    assert_eq!(look(&mut follower), once([]));
    // Seen in their directory, then in the archive.
    fixture.dead(1, 1..=5);
    assert_eq!(look(&mut follower), once(1..=5));
    fixture.archive_all();
    assert_eq!(look(&mut follower), once([]));
    assert_eq!(follower.processes.len(), 0);
    // Seen in the archive only; and step by step.
    fixture.dead(0, 11..=15);
    fixture.archive_all();
    assert_eq!(look(&mut follower), once(11..=15));
    for n in 2..5_u64 {
        fixture.dead(1, n * 10 + 1..=n * 10 + 5);
    }
    let mut archive = fixture.archive();
    let mut all = BTreeMap::new();
    for _ in 0..10 {
        run(&mut archive, Moment::now(), 1);
        all.extend(look(&mut follower));
    }
    assert_eq!(all, once((2..5).flat_map(|n| n * 10 + 1..=n * 10 + 5)));
    assert_eq!(look(&mut follower), once([]));
}

#[test]
fn open_span_is_shown_once_as_open_and_once_as_unfinished() {
    let fixture = Fixture::new();
    let (owned, store) = living(&fixture.root, Limits::default());
    append(&store, [1]);
    let mut follower = Follower::new(fixture.root.path());
    fs::write(owned.path().join("open-0000"), slot(&span(2, "open"), None)).expect("it can be written");
    let open = BTreeMap::from([(2, (State::Open, 1))]);
    assert_eq!(look(&mut follower), open);
    assert_eq!(look(&mut follower), once([]));

    fixture.dead_with(Dead {
        manifest: manifest(0),
        batches: vec![vec![11]],
        settled: 0,
        slots: slot(&span(12, "open"), None),
    });
    let mut dead = once([11]);
    dead.insert(12, (State::Unfinished, 1));
    assert_eq!(look(&mut follower), dead);
    let mut archive = fixture.archive();
    run(&mut archive, Moment::now(), 100);
    assert_eq!(look(&mut follower), once([]));
    drop(store);
}

#[test]
fn spool_need_not_be_there_yet() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("spool");
    let mut follower = Follower::new(&path);
    assert_eq!(look(&mut follower), once([]));
    assert!(!path.exists());
    let root = Root::open(&path).expect("it can be made");
    let (_owned, store) = living(&root, Limits::default());
    append(&store, [1]);
    assert_eq!(look(&mut follower), once([1]));
}

#[test]
fn damaged_record_costs_no_other() {
    let fixture = Fixture::new();
    let (owned, store) = living(&fixture.root, Limits::default());
    append(&store, 1..=9);
    let path = owned.path().join("segments-0000");
    let mut bytes = fs::read(&path).expect("it is there");
    let fifth = span(5, &"x".repeat(500));
    let at = bytes
        .windows(fifth.len())
        .position(|window| window == fifth)
        .expect("it is there");
    bytes[at + 3] ^= 0xff;
    fs::write(&path, bytes).expect("it is ours");
    let mut follower = Follower::from_the_beginning(fixture.root.path());
    let mut all = BTreeMap::new();
    for _ in 0..30 {
        all.extend(look(&mut follower));
    }
    assert_eq!(all, once((1..=9).filter(|id| *id != 5)));
}
