use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::super::locked::Locked;
use super::super::testing::{Dead, Fixture, count, deliver, ids, limits, once, open, own, run};
use super::super::{Archive, Moment, Whose};
use super::*;
use crate::fixture::{destination, manifest, source, span};
use crate::format::header::Signal;
use crate::format::manifest::{Destination, Manifest};
use crate::store::ledger::Dropped;
use crate::store::quota::Limits;

fn next(backlog: &mut Undelivered, most_records: usize, most_bytes: usize) -> Option<Portion> {
    backlog.next(most_records, most_bytes).expect("it can be read")
}

fn ledger(fixture: &Fixture) -> crate::archive::ledger::Ledger {
    let layout = fixture.archive().layout;
    layout.read_ledger().expect("it can be read").expect("there is one")
}

#[test]
fn portion_spans_segments_and_files_oldest_first_within_limits() {
    let fixture = Fixture::new();
    let small = Limits {
        pending: 512 << 10,
        ..limits()
    };
    let mut archive = Archive::new(&fixture.root, small);
    for first in [1, 1001, 2001] {
        fixture.dead(1, first..first + 700);
        fixture.dead(1, first + 700..first + 705);
        run(&mut archive, Moment::now(), 10);
    }
    assert!(fixture.files("pending").len() > 2);
    let mut backlog = open(&archive, own(0));
    let all: Vec<u64> = [1, 1001, 2001]
        .into_iter()
        .flat_map(|first| first..first + 705)
        .collect();
    let portion = next(&mut backlog, 2000, 1 << 20).expect("there are records");
    assert_eq!(ids(&portion), all[..2000]);
    assert_eq!(ids(&next(&mut backlog, 2000, 1 << 20).expect("it peeks")), all[..2000]);
    let portion = next(&mut backlog, 2000, 1).expect("at least one");
    assert_eq!(ids(&portion), [1]);
    let portion = next(&mut backlog, 2000, 10_000).expect("there are records");
    assert!(portion.bytes() <= 10_000 && portion.bytes() > 9_000);
    assert_eq!(deliver(&mut backlog, 512), all);
    assert!(next(&mut backlog, 1, 1).is_none());
}

#[test]
fn hasty_delivery_that_was_not_ended_is_not_begun_again_for_ten_minutes() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=3);
    let archive = fixture.archive_all();
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let begins = |seconds| {
        open(&archive, own(0))
            .begin_hasty(at(seconds))
            .expect("it can be noted")
    };
    assert!(begins(10_000));
    assert_eq!([10_000, 10_599, 10_600].map(begins), [false, false, true]);
    // A clock that was set back, and a process that has seen the answer.
    assert!(begins(9_000));
    let mut backlog = open(&archive, own(0));
    backlog.end_hasty().expect("it can be noted");
    drop(backlog);
    assert!(begins(9_001));
    // It is no matter to those who live on.
    assert_eq!(deliver(&mut open(&archive, own(0)), 512), [1, 2, 3]);
}

#[test]
fn limited_search_does_not_look_behind_what_is_for_others() {
    let fixture = Fixture::new();
    // Each process leaves a segment of its own.
    for first in [1, 11, 21] {
        fixture.dead(1, first..first + 5);
    }
    let archive = fixture.archive_all();
    let mut backlog = open(&archive, own(1));
    backlog.limit_search(2);
    assert!(next(&mut backlog, 10, 1 << 20).is_none());
    assert_eq!(backlog.passes_left, Some(0));
    let at = backlog.files.values().map(|known| known.from).max();
    assert!(
        backlog
            .files
            .values()
            .all(|known| Some(known.from) == at && known.from < known.end)
    );
}

#[test]
fn long_segment_is_delivered_by_portions() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=20_000);
    let archive = fixture.archive_all();
    assert_eq!(
        deliver(&mut open(&archive, own(0)), 512),
        (1..=20_000).collect::<Vec<_>>()
    );
}

#[test]
fn backlog_goes_on_where_another_one_ended() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=30);
    fixture.dead(1, 31..=60);
    let archive = fixture.archive_all();
    let mut delivered = Vec::new();
    for most in [7, 20, 5, 100] {
        let mut backlog = open(&archive, own(0));
        let portion = next(&mut backlog, most, 1 << 20).expect("there are records");
        delivered.extend(ids(&portion));
        backlog.settle(&portion, 0).expect("it can be written");
        backlog.settle(&portion, 0).expect("once more changes nothing");
    }
    assert_eq!(delivered, (1..=60).collect::<Vec<_>>());
    count(&archive);
    assert_eq!(ledger(&fixture).rows[0].1, 60);
}

#[test]
fn rotated_key_is_delivered_and_another_service_stays() {
    let fixture = Fixture::new();
    let left = |service: &str, credentials: u8, first: u64| {
        let mut manifest = manifest(1);
        manifest.service = service.into();
        manifest.destinations[0].credentials = [credentials; 16];
        fixture.dead_with(Dead {
            manifest,
            batches: vec![(first..first + 5).collect()],
            settled: 0,
            slots: Vec::new(),
        });
    };
    left("service", 7, 1);
    left("service", 8, 11);
    left("other", 7, 21);
    left("other", 8, 31);
    fixture.dead(0, 41..46);
    let archive = fixture.archive_all();
    assert_eq!(archive.pending(&own(0)).expect("it can be read").records, 15);
    let mut backlog = open(&archive, own(0));
    backlog.look_for_strangers();
    let delivered = deliver(&mut backlog, 512);
    let strangers: Vec<_> = backlog
        .strangers()
        .map(|other| (&*other.service, other.is_same_service))
        .collect();
    assert_eq!(strangers, [("other", false)], "the same destination with another key");
    drop(backlog);
    let mut unasked = open(&archive, own(0));
    assert_eq!(deliver(&mut unasked, 512), [] as [u64; 0]);
    assert_eq!(unasked.strangers().count(), 0, "nobody is looked for unasked");
    drop(unasked);
    assert_eq!(
        delivered,
        [1..6, 11..16, 21..26].into_iter().flatten().collect::<Vec<_>>()
    );
    let left = archive.left().expect("it can be read");
    let left: Vec<_> = left
        .iter()
        .map(|left| {
            (
                &*left.service,
                &*left.destination.name,
                left.summary.processes,
                left.summary.records,
            )
        })
        .collect();
    assert_eq!(left, [("other", "destination 0", 1, 5)]);
    assert_eq!(
        deliver(&mut open(&archive, Whose::Anybody), 512),
        (31..36).collect::<Vec<_>>()
    );
    assert_eq!(archive.left().expect("it can be read"), []);
}

#[test]
fn destination_known_to_nobody_is_delivered_by_order_only() {
    let fixture = Fixture::new();
    let unknown = Destination {
        identity: [0; 16],
        ..destination(0)
    };
    fixture.dead_with(Dead {
        manifest: Manifest {
            destinations: vec![unknown.clone()],
            ..manifest(0)
        },
        batches: vec![vec![1, 2]],
        settled: 0,
        slots: Vec::new(),
    });
    let archive = fixture.archive_all();
    let whose = Whose::Of {
        destination: unknown,
        service: "service".into(),
        namespace: String::new(),
    };
    assert_eq!(deliver(&mut open(&archive, whose), 512), []);
    assert_eq!(deliver(&mut open(&archive, Whose::Anybody), 512), [1, 2]);
}

#[test]
fn anybody_gets_what_any_destination_has_not_got() {
    let fixture = Fixture::new();
    fixture.dead_with(Dead {
        manifest: manifest(2),
        batches: vec![(1..=20).collect()],
        settled: 12,
        slots: Vec::new(),
    });
    let archive = fixture.archive_all();
    let mut backlog = open(&archive, Whose::Anybody);
    assert_eq!(deliver(&mut backlog, 7), (1..=20).collect::<Vec<_>>());
    count(&archive);
    let rows: Vec<u64> = ledger(&fixture).rows.iter().map(|row| row.1).collect();
    assert_eq!(rows, [20, 20], "12 of the first were counted by its process");
    drop(backlog);
    for number in 0..2 {
        assert_eq!(deliver(&mut open(&archive, own(number)), 7), []);
    }
}

#[test]
fn one_backlog_delivers_to_a_destination_at_a_time() {
    let fixture = Fixture::new();
    fixture.dead(2, 1..=5);
    let archive = fixture.archive_all();
    let mut first = open(&archive, own(0));
    assert!(archive.undelivered(own(0)).expect("it is no error").is_none());
    let mut second = open(&archive, own(1));
    let mut anybody = open(&archive, Whose::Anybody);
    assert!(archive.undelivered(Whose::Anybody).expect("it is no error").is_none());
    assert_eq!(deliver(&mut anybody, 7), [], "both have somebody");
    drop(second);
    assert_eq!(deliver(&mut anybody, 7), [1, 2, 3, 4, 5]);
    second = open(
        &fixture.archive(),
        Whose::Of {
            destination: destination(2),
            service: String::new(),
            namespace: String::new(),
        },
    );
    assert_eq!(deliver(&mut second, 7), []);
    assert_eq!(deliver(&mut first, 7), [1, 2, 3, 4, 5]);
}

#[test]
fn what_is_archived_later_is_found() {
    let fixture = Fixture::new();
    let mut archive = fixture.archive();
    let mut backlog = open(&archive, own(0));
    assert!(next(&mut backlog, 10, 1 << 20).is_none());
    for first in [1, 11, 21] {
        fixture.dead(1, first..first + 10);
        run(&mut archive, Moment::now(), 10);
        assert_eq!(deliver(&mut backlog, 3), (first..first + 10).collect::<Vec<_>>());
    }
    assert_eq!(
        fixture.files("pending").len() + fixture.files("history").len(),
        1,
        "no file for each"
    );
}

#[test]
fn segments_that_are_not_committed_are_not_delivered() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=5);
    let archive = fixture.archive_all();
    let path = &fixture.files("pending")[0];
    let bytes = fs::read(path).expect("it is there");
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.write_all_at(&bytes, bytes.len() as u64)
        .expect("it can be written");
    let next_file = fixture.path("archive").join("00000000000000000002.pending");
    fs::write(next_file, &bytes).expect("it can be written");
    let mut backlog = open(&archive, own(0));
    assert_eq!(
        ids(&next(&mut backlog, 100, 1 << 20).expect("there are records")),
        [1, 2, 3, 4, 5]
    );
}

#[test]
fn file_that_everybody_has_becomes_history() {
    let fixture = Fixture::new();
    let small = Limits {
        pending: 512 << 10,
        ..limits()
    };
    fixture.dead(2, 1..=700);
    let mut archive = Archive::new(&fixture.root, small);
    run(&mut archive, Moment::now(), 10);
    deliver(&mut open(&archive, own(0)), 512);
    assert_eq!(
        (fixture.files("pending").len(), fixture.files("history").len()),
        (1, 0),
        "the second has nothing"
    );
    deliver(&mut open(&archive, own(1)), 512);
    assert_eq!((fixture.files("pending").len(), fixture.files("history").len()), (0, 1));
    let ledger = ledger(&fixture);
    assert_eq!(ledger.bytes, [0, fixture.archived_bytes()]);
    assert_eq!(ledger.current[0], None, "it is appended to no more");
    fixture.dead(2, 1001..=1005);
    run(&mut archive, Moment::now(), 10);
    assert_eq!(
        deliver(&mut open(&archive, own(0)), 512),
        (1001..=1005).collect::<Vec<_>>()
    );
    assert_eq!(fixture.seen(), once((1..=700).chain(1001..=1005)));
}

#[test]
fn counts_wait_while_somebody_else_has_the_lock() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    let mut archive = fixture.archive_all();
    let other = fixture.archive();
    let mut backlog = open(&archive, own(0));
    let portion = next(&mut backlog, 4, 1 << 20).expect("there are records");
    let lock = Locked::take(&other.layout)
        .expect("it is there")
        .expect("nobody has it");
    backlog.settle(&portion, 1).expect("the cursor is stored");
    assert_eq!(ledger(&fixture).rows[0].1, 0);
    drop(lock);
    run(&mut archive, Moment::now(), 1);
    let row = ledger(&fixture).rows[0];
    assert_eq!((row.1, row.2[Dropped::Rejected as usize]), (3, 1));
    let portion = next(&mut backlog, 100, 1 << 20).expect("there are records");
    assert_eq!(ids(&portion), (5..=10).collect::<Vec<_>>());
}

#[test]
fn records_damaged_in_the_archive_are_counted_once() {
    for damaged in [vec![3], vec![1], vec![10], (1..=10).collect::<Vec<u64>>()] {
        let fixture = Fixture::new();
        fixture.dead(1, 1..=10);
        let archive = fixture.archive_all();
        let path = &fixture.files("pending")[0];
        let mut bytes = fs::read(path).expect("it is there");
        for id in &damaged {
            let id = id.to_be_bytes();
            let at = bytes.windows(8).position(|window| *window == id).expect("it has an id");
            bytes[at] ^= 1;
        }
        fs::write(path, bytes).expect("it can be written");
        let expected: Vec<u64> = (1..=10).filter(|id| !damaged.contains(id)).collect();
        assert_eq!(deliver(&mut open(&archive, own(0)), 3), expected);
        let row = ledger(&fixture).rows[0];
        assert_eq!(
            (row.1, row.2[Dropped::Damaged as usize]),
            (expected.len() as u64, damaged.len() as u64)
        );
        assert_eq!(archive.pending(&own(0)).expect("it can be read").records, 0);
    }
}

#[test]
fn torn_cursor_falls_back_to_the_one_before() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    let archive = fixture.archive_all();
    let mut backlog = open(&archive, own(0));
    for _ in 0..3 {
        let portion = next(&mut backlog, 2, 1 << 20).expect("there are records");
        backlog.settle(&portion, 0).expect("it can be written");
    }
    drop(backlog);
    let path = &fixture.files("pending")[0];
    let mut bytes = fs::read(path).expect("it is there");
    let third = Cursor {
        offset: 0,
        sequence: 3,
        settled: 0,
    };
    bytes[third.position(0)] ^= 1;
    fs::write(path, bytes).expect("it can be written");
    assert_eq!(deliver(&mut open(&archive, own(0)), 100), (5..=10).collect::<Vec<_>>());
}

#[test]
fn unreadable_file_is_said_once_and_does_not_hide_the_others() {
    let fixture = Fixture::new();
    let small = Limits {
        pending: 512 << 10,
        ..limits()
    };
    let mut archive = Archive::new(&fixture.root, small);
    for first in [1, 1001] {
        fixture.dead(1, first..first + 700);
        run(&mut archive, Moment::now(), 10);
    }
    let mut backlog = open(&archive, own(0));
    next(&mut backlog, 1, 1).expect("the files are known");
    backlog.walk = None;
    let path = &fixture.files("pending")[0];
    let aside = fixture.path("aside");
    fs::rename(path, &aside).expect("it is there");
    fs::create_dir(path).expect("it can be made");
    backlog
        .next(10_000, 1 << 20)
        .expect("the others are delivered")
        .expect("there are others");
    fs::remove_dir(path).expect("it is empty");
    fs::rename(&aside, path).expect("it is there");
    assert_eq!(deliver(&mut backlog, 512).len(), 1400);
}

#[test]
fn portion_holds_one_signal() {
    let fixture = Fixture::new();
    let mut all = BTreeMap::new();
    for (signal, first) in [(Signal::Traces, 1), (Signal::Metrics, 11), (Signal::Traces, 21)] {
        let (_, store) = fixture.dying(manifest(1), signal);
        let bodies: Vec<_> = (first..first + 5).map(|id| span(id, "an item")).collect();
        store
            .append_batch(&source("scope"), bodies.iter().map(Vec::as_slice))
            .expect("there is room");
    }
    let archive = fixture.archive_all();
    let mut backlog = open(&archive, own(0));
    while let Some(portion) = next(&mut backlog, 512, 1 << 20) {
        let entry: &mut Vec<u64> = all.entry(format!("{:?}", portion.signal())).or_default();
        entry.extend(ids(&portion));
        backlog.settle(&portion, 0).expect("it can be written");
    }
    let traces: Vec<u64> = (1..6).chain(21..26).collect();
    assert_eq!(
        all,
        BTreeMap::from([("Traces".into(), traces), ("Metrics".into(), (11..16).collect())])
    );
    assert_eq!(fixture.seen(), once((1..6).chain(21..26)), "a reader shows spans");
}

#[test]
fn sources_of_different_processes_stay_apart() {
    let fixture = Fixture::new();
    for (number, name) in ["one", "two", "two"].into_iter().enumerate() {
        let (_, store) = fixture.dying(manifest(1), Signal::Traces);
        let body = span(number as u64 + 1, "a span");
        store.append_batch(&source(name), [&*body]).expect("there is room");
    }
    let archive = fixture.archive_all();
    let portion = next(&mut open(&archive, own(0)), 512, 1 << 20).expect("there are records");
    let runs: BTreeSet<(Vec<u8>, usize)> = portion
        .runs()
        .map(|run| (run.source.scope.to_vec(), run.payloads.len()))
        .collect();
    assert_eq!(runs, BTreeSet::from([(b"one".to_vec(), 1), (b"two".to_vec(), 2)]));
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// A process dies with so many spans for so many destinations.
    Die {
        spans: u64,
        destinations: usize,
    },
    Step,
    /// Reads a portion and settles it, or dies before.
    Next {
        destination: usize,
        most: usize,
        settles: bool,
    },
    /// Whoever delivers to this destination begins anew.
    Reopen {
        destination: usize,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => (1_u64..60, 0_usize..3).prop_map(|(spans, destinations)| Action::Die { spans, destinations }),
        3 => Just(Action::Step),
        8 => (0_usize..2, 1_usize..40, any::<bool>())
            .prop_map(|(destination, most, settles)| Action::Next { destination, most, settles }),
        1 => (0_usize..2).prop_map(|destination| Action::Reopen { destination }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against a model: for each destination, the spans that are archived and that it has not got.
    #[test]
    fn each_destination_gets_each_span_once_whatever_happens(actions in proptest::collection::vec(action(), 0..40)) {
        let fixture = Fixture::new();
        let mut archive = fixture.archive();
        let mut backlogs = [0, 1].map(|number| open(&archive, own(number)));
        let mut missing: [BTreeSet<u64>; 2] = Default::default();
        let mut dead: [BTreeSet<u64>; 2] = Default::default();
        let mut last = 0;
        for action in actions.into_iter().chain([Action::Step]) {
            match action {
                Action::Die { spans, destinations } => {
                    fixture.dead(destinations, last + 1..=last + spans);
                    for dead in &mut dead[..destinations] {
                        dead.extend(last + 1..=last + spans);
                    }
                    last += spans;
                }
                Action::Step => {
                    run(&mut archive, Moment::now(), 100);
                    for (missing, dead) in missing.iter_mut().zip(&mut dead) {
                        missing.append(dead);
                    }
                }
                Action::Next { destination, most, settles } => {
                    let missing = &mut missing[destination];
                    let Some(portion) = next(&mut backlogs[destination], most, 1 << 20) else {
                        prop_assert!(missing.is_empty());
                        continue;
                    };
                    prop_assert!(portion.records() as usize <= most);
                    prop_assert!(ids(&portion).iter().all(|id| missing.contains(id)));
                    if settles {
                        ids(&portion).iter().for_each(|id| { missing.remove(id); });
                        backlogs[destination].settle(&portion, 0).expect("it can be written");
                    }
                    let pending = archive.pending(&own(destination)).expect("it can be read");
                    prop_assert_eq!(pending.records, missing.len() as u64);
                }
                Action::Reopen { destination } => {
                    // The old one has the lock until it is gone.
                    let other = Whose::Of {
                        destination: crate::fixture::destination(7),
                        service: String::new(),
                        namespace: String::new(),
                    };
                    backlogs[destination] = open(&archive, other);
                    backlogs[destination] = open(&archive, own(destination));
                }
            }
        }
        for (backlog, missing) in backlogs.iter_mut().zip(missing) {
            prop_assert_eq!(deliver(backlog, 512).into_iter().collect::<BTreeSet<_>>(), missing);
        }
        prop_assert_eq!(fixture.seen(), once(1..=last));
    }
}
