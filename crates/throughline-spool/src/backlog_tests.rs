use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use proptest::prelude::*;

use super::*;
use crate::fixture::{Fixture, id, offsets, segment, slot, span};
use crate::reader::{Reader, State};
use crate::segment::UNIT;

fn spans(ids: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    ids.map(|id| span(id, "a span")).collect()
}

fn open(directory: &ProcessDir) -> Backlog {
    let adoption = directory.adopt().expect("its locks are there");
    Backlog::open(adoption.expect("nobody else has it")).expect("it can be read")
}

/// The ids of a portion's spans, in order.
fn ids(portion: &Portion) -> Vec<u64> {
    let mut ids = Vec::new();
    for run in portion.runs() {
        let request = {
            let mut out = Vec::new();
            throughline_wire::request::append_resource_spans(&mut out, &[], "", &[(&[], &run.payload)]);
            out
        };
        for resource in throughline_wire::request::resource_spans(&request) {
            for scope in resource.expect("it is whole").scope_spans() {
                ids.extend(
                    scope
                        .expect("it is whole")
                        .spans()
                        .map(|span| id(span.expect("it is whole").as_bytes())),
                );
            }
        }
    }
    assert_eq!(ids.len() as u64, portion.records());
    ids
}

fn deliver_all(backlog: &mut Backlog, destination: usize) -> Vec<u64> {
    let mut delivered = Vec::new();
    while let Some(portion) = backlog.next(destination, 7, 1 << 20) {
        delivered.extend(ids(&portion));
        backlog.settle(&portion, 0).expect("the cursor can be stored");
    }
    delivered
}

#[test]
fn records_come_oldest_segment_first_and_within_the_limits() {
    let fixture = Fixture::new();
    let chunk = [segment(2, UNIT, &spans(10..15)), segment(1, UNIT, &spans(1..4))].concat();
    let directory = fixture.dead(1, &[("chunk-0000", &chunk)]);
    let mut backlog = open(&directory);
    assert_eq!((backlog.pending(0), backlog.pending(1)), (8, 0));
    let portion = backlog.next(0, 4, 1 << 20).expect("there are records");
    assert_eq!(ids(&portion), [1, 2, 3, 10], "over the border of segments");
    assert_eq!(&*portion.runs()[0].scope, b"scope no");
    assert_eq!(backlog.next(0, 4, 1 << 20), Some(portion), "it peeks");
    assert_eq!(backlog.next(0, 4, 1).expect("at least one").records(), 1);
    assert_eq!(backlog.next(1, 4, 1 << 20), None, "there is no such destination");
    assert_eq!(backlog.next(usize::MAX, 4, 1 << 20), None);
}

#[test]
fn every_span_is_delivered_once_wherever_the_adopter_died() {
    let bodies = spans(1..6);
    let closed = (1, offsets(&bodies)[4] as u32);
    let slots = [
        slot(&span(5, "ended, but its slot not freed"), Some(closed)),
        slot(&span(6, "open"), None),
        vec![0; crate::slot::LEN],
        slot(&span(7, "closing, not committed"), Some((1, 9_000))),
    ]
    .concat();
    let mut chunk = segment(1, UNIT, &bodies);
    chunk[HEADER_LEN + 20] ^= 1;
    for died_after in 0..=STEPS.len() {
        let fixture = Fixture::new();
        let directory = fixture.dead(1, &[("chunk-0000", &chunk), ("open-0000", &slots)]);
        let adoption = directory.adopt().expect("its locks are there").expect("nobody has it");
        let first = Backlog::open_by(adoption, &STEPS[..died_after]).expect("it can be read");
        drop(first);
        let seen = Reader::new(fixture.root.path()).read();
        let mut all: Vec<u64> = seen.spans.iter().map(|span| id(&span.body)).collect();
        all.sort_unstable();
        assert_eq!(all, [2, 3, 4, 5, 6, 7], "as a reader sees it, died after {died_after}");
        let mut backlog = open(&directory);
        assert!(!directory.path().join("open-0000").exists(), "died after {died_after}");
        let mut delivered = deliver_all(&mut backlog, 0);
        delivered.sort_unstable();
        assert_eq!(delivered, [2, 3, 4, 5, 6, 7], "died after {died_after}");
        let ledger = backlog.ledger.as_ref().expect("it is there");
        assert_eq!(ledger.delivered(0), 6);
        // The one step that two others surround: the count may be lost, it is never doubled.
        let counted = ledger.dropped(Dropped::Damaged);
        assert_eq!(counted, u64::from(died_after != 2), "died after {died_after}");
        let again = Reader::new(fixture.root.path()).read();
        let unfinished = again.spans.iter().filter(|span| span.state == State::Unfinished);
        assert_eq!(unfinished.count(), 2);
        backlog.finish(false).expect("all is settled");
        assert!(!directory.path().exists());
        assert_eq!(fixture.quarantined(), 1, "the record that was damaged");
    }
}

#[test]
fn nothing_is_removed_that_some_destination_has_not_got() {
    let fixture = Fixture::new();
    let directory = fixture.dead(2, &[("chunk-0000", &segment(1, UNIT, &spans(1..4)))]);
    let mut backlog = open(&directory);
    deliver_all(&mut backlog, 1);
    assert!(backlog.is_settled(1) && !backlog.is_settled(0));
    let error = backlog.finish(false).expect_err("destination 0 has nothing");
    assert!(error.to_string().contains("destination 0"), "{error}");
    assert_eq!(open(&directory).pending(0), 3);
}

#[test]
fn a_cursor_that_was_torn_falls_back_to_the_one_before() {
    let fixture = Fixture::new();
    let directory = fixture.dead(1, &[("chunk-0000", &segment(1, UNIT, &spans(1..11)))]);
    let mut backlog = open(&directory);
    for _ in 0..3 {
        let portion = backlog.next(0, 2, 1 << 20).expect("there are records");
        backlog.settle(&portion, 0).expect("the cursor can be stored");
    }
    assert_eq!(backlog.pending(0), 4);
    drop(backlog);
    let path = directory.path().join("chunk-0000");
    let mut bytes = fs::read(&path).expect("it is there");
    bytes[Cursor::position(0, 3)] ^= 1;
    fs::write(&path, &bytes).expect("it can be written");
    assert_eq!(open(&directory).pending(0), 6, "two come again, none is lost");
}

#[test]
fn what_is_settled_is_counted_by_what_became_of_it() {
    let fixture = Fixture::new();
    let directory = fixture.dead(1, &[("chunk-0000", &segment(1, UNIT, &spans(1..11)))]);
    let mut backlog = open(&directory);
    let portion = backlog.next(0, 100, 1 << 20).expect("there are records");
    backlog.settle(&portion, 3).expect("the cursor can be stored");
    let ledger = backlog.ledger.as_ref().expect("it is there");
    assert_eq!((ledger.delivered(0), ledger.dropped(Dropped::Rejected)), (7, 3));
    drop(backlog);
    let seen = Reader::new(fixture.root.path()).read();
    assert_eq!(seen.processes[0].dropped[Dropped::Rejected as usize], 3);
}

#[test]
fn what_cannot_be_read_keeps_its_directory() {
    let fixture = Fixture::new();
    let directory = fixture.dead(0, &[]);
    std::os::unix::fs::symlink("/etc/passwd", directory.path().join("chunk-0000")).expect("it can be made");
    open(&directory)
        .finish(false)
        .expect_err("there is a file that cannot be read");
    assert!(directory.path().exists());
}

#[test]
fn a_manifest_that_cannot_be_understood_keeps_its_directory() {
    let fixture = Fixture::new();
    let directory = fixture.dead(1, &[("chunk-0000", &segment(1, UNIT, &spans(1..4)))]);
    for manifest in [&b"garbage"[..], b""] {
        fs::write(directory.path().join("manifest"), manifest).expect("it can be written");
        let adoption = directory.adopt().expect("its locks are there").expect("nobody has it");
        Backlog::open(adoption).expect_err("the destinations are not known");
    }
    assert!(directory.path().join("chunk-0000").exists());
}

#[test]
fn the_quarantine_keeps_the_newest_parts_within_its_limit() {
    let fixture = Fixture::new();
    let directory = fixture.dead(0, &[]);
    for offset in 0..5 {
        let part = vec![0xee; 5 << 20];
        quarantine::keep(&directory, "chunk-0000", offset, &part).expect("it can be kept");
    }
    let kept = fs::read_dir(fixture.root.path().join("quarantine")).expect("it is there");
    let names: BTreeSet<String> = kept
        .map(|entry| entry.expect("it is there").file_name().into_string().expect("ours"))
        .collect();
    let ends: Vec<char> = names.iter().filter_map(|name| name.chars().last()).collect();
    assert_eq!(ends, ['2', '3', '4']);
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// Reads a portion and settles it, or dies before.
    Next {
        destination: usize,
        most: usize,
        settles: bool,
    },
    /// The adopter dies and another one begins.
    Adopt,
}

fn action() -> impl Strategy<Value = Action> {
    let next = (0_usize..2, 1_usize..40, any::<bool>());
    prop_oneof![
        5 => next.prop_map(|(destination, most, settles)| Action::Next { destination, most, settles }),
        1 => Just(Action::Adopt),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Against a model: for each destination, the spans that it has not got.
    #[test]
    fn each_destination_gets_each_span_once_whatever_happens(
        counts in proptest::collection::vec(0_u64..60, 1..6),
        open_spans in 0_u64..5,
        actions in proptest::collection::vec(action(), 0..40),
    ) {
        let fixture = Fixture::new();
        let mut model: BTreeMap<usize, BTreeSet<u64>> = BTreeMap::new();
        let mut chunk = Vec::new();
        let mut first = 1;
        for (number, count) in counts.iter().enumerate() {
            chunk.extend(segment(number as u64 + 1, UNIT, &spans(first..first + count)));
            first += count;
        }
        let slots: Vec<u8> = (first..first + open_spans).flat_map(|id| slot(&span(id, "open"), None)).collect();
        for destination in 0..2 {
            model.insert(destination, (1..first + open_spans).collect());
        }
        let directory = fixture.dead(2, &[("chunk-0000", &chunk), ("open-0000", &slots)]);
        let mut backlog = open(&directory);
        for action in actions {
            match action {
                Action::Adopt => {
                    drop(backlog);
                    backlog = open(&directory);
                }
                Action::Next { destination, most, settles } => {
                    let missing = model.get_mut(&destination).expect("there are two");
                    let Some(portion) = backlog.next(destination, most, 1 << 20) else {
                        prop_assert!(missing.is_empty());
                        continue;
                    };
                    prop_assert!(portion.records() as usize <= most);
                    prop_assert!(ids(&portion).iter().all(|id| missing.contains(id)));
                    if settles {
                        for id in ids(&portion) {
                            missing.remove(&id);
                        }
                        backlog.settle(&portion, 0).expect("the cursor can be stored");
                    }
                    prop_assert_eq!(backlog.pending(destination), missing.len() as u64);
                }
            }
        }
        for (destination, missing) in model {
            let got: BTreeSet<u64> = deliver_all(&mut backlog, destination).into_iter().collect();
            prop_assert_eq!(got, missing);
        }
        backlog.finish(false).expect("all is settled");
        prop_assert_eq!(fixture.root.processes().expect("it can be listed").len(), 0);
    }
}
