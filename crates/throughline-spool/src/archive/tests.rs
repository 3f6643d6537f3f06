use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::testing::{Dead, Faulty, Fixture, count, deliver, ids, limits, make_room, once, open, own, run};
use super::*;
use crate::directory::ProcessDir;
use crate::fixture::{id, manifest, slot, source, span};
use crate::format::header::{Signal, UNIT};
use crate::format::manifest::Manifest;
use crate::reader::State;
use crate::store::ledger::Dropped;
use crate::store::{Store, StoreSettings};

/// Three processes: one with two destinations of which one has got some, and with open spans; a local one; one of two
/// segments.
fn three_processes() -> Fixture {
    let fixture = Fixture::new();
    fixture.dead_with(Dead {
        manifest: manifest(2),
        batches: vec![(1..=20).collect()],
        settled: 5,
        slots: [
            slot(&span(21, "open"), None),
            slot(&span(3, "its record is there"), Some((1, 0))),
            slot(&span(22, "closing, and not committed"), Some((1, 9000))),
        ]
        .concat(),
    });
    fixture.dead(0, 100..=110);
    fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(200..=220).collect(), (221..=230).collect()],
        settled: 21,
        slots: Vec::new(),
    });
    fixture
}

fn all() -> BTreeMap<u64, usize> {
    once((1..=22).chain(100..=110).chain(200..=230))
}

/// What is pending for the first destination, and for the second.
fn pending() -> [BTreeMap<u64, usize>; 2] {
    [once((6..=22).chain(221..=230)), once(1..=22)]
}

fn delivered(archive: &Archive, destination: usize) -> BTreeMap<u64, usize> {
    let mut backlog = open(archive, own(destination));
    let delivered = deliver(&mut backlog, 7);
    count(archive);
    testing::times(delivered)
}

fn step(fixture: &Fixture, archive: &mut Archive) -> Progress {
    let progress = run(archive, Moment::now(), 100);
    let [pending, history] = ledger(fixture).bytes;
    assert_eq!(pending + history, fixture.archived_bytes(), "the totals are right");
    progress
}

fn ledger(fixture: &Fixture) -> ledger::Ledger {
    let bytes = fs::read(fixture.path("ledger")).expect("it is there");
    ledger::Ledger::from_bytes(&bytes)
        .expect("it is ours")
        .expect("a copy is whole")
}

#[test]
fn dead_processes_are_archived_and_delivered_once() {
    let fixture = three_processes();
    assert_eq!(fixture.seen(), all());
    let archive = fixture.archive_all();
    assert_eq!(fixture.seen(), all());
    let [first, second] = pending();
    assert_eq!(delivered(&archive, 0), first);
    assert_eq!(delivered(&archive, 0), once([]));
    assert_eq!(delivered(&archive, 1), second);
    assert_eq!(fixture.seen(), all());
    let contents = fixture.read();
    assert!(
        contents
            .processes
            .iter()
            .all(|process| process.pending == 0 && process.torn == 0)
    );
    let unfinished = contents.spans.iter().filter(|span| span.state == State::Unfinished);
    let mut unfinished: Vec<u64> = unfinished.map(|span| id(&span.body)).collect();
    unfinished.sort_unstable();
    assert_eq!(unfinished, [21, 22]);
    assert_eq!(fixture.quarantined(), 0);
    let rows: Vec<_> = ledger(&fixture).rows.iter().map(|row| row.1).collect();
    // The local process has delivered nothing, the stores of the others what was settled in them.
    assert_eq!(rows, [5 + 27 + 21, 22]);
    assert_eq!(ledger(&fixture).dropped, [0; 6]);
}

#[test]
fn step_that_dies_at_any_call_loses_and_doubles_nothing() {
    let template = three_processes();
    for tears in [false, true] {
        let mut calls = 0;
        loop {
            let fixture = template.copy();
            let faulty = Faulty::after(calls, tears);
            let mut archive = Archive::new(&faulty.root(&fixture.root), limits());
            // Whether it fails or puts something off: it ends there.
            let _ = archive.step(Moment::now(), 100);
            drop(archive);
            assert_eq!(fixture.seen(), all(), "a reader after {calls} calls, {tears}");
            let mut archive = fixture.archive();
            let progress = step(&fixture, &mut archive);
            assert_eq!(progress.problems, Vec::<String>::new(), "after {calls} calls");
            assert_eq!(fixture.root.processes().expect("it can be listed"), []);
            assert_eq!(fixture.seen(), all(), "after {calls} calls, {tears}");
            let [first, second] = pending();
            assert_eq!(delivered(&archive, 1), second, "after {calls} calls, {tears}");
            assert_eq!(delivered(&archive, 0), first, "after {calls} calls, {tears}");
            assert_eq!(ledger(&fixture).dropped, [0; 6], "after {calls} calls, {tears}");
            let rows: u64 = ledger(&fixture).rows.iter().map(|row| row.1).sum();
            assert_eq!(rows, 5 + 27 + 21 + 22, "after {calls} calls, {tears}");
            if !faulty.has_failed() {
                assert!(calls > 60, "{calls}");
                break;
            }
            calls += 1;
        }
    }
}

#[test]
fn delivery_that_dies_at_any_call_settles_nothing_twice() {
    let template = three_processes();
    template.archive_all();
    for tears in [false, true] {
        let mut calls = 0;
        loop {
            let fixture = template.copy();
            let faulty = Faulty::after(calls, tears);
            let archive = Archive::new(&faulty.root(&fixture.root), limits());
            let (mut settled, mut doubtful) = (Vec::new(), Vec::new());
            if let Ok(Some(mut backlog)) = archive.undelivered(own(1)) {
                while let Ok(Some(portion)) = backlog.next(5, 1 << 20) {
                    match backlog.settle(&portion, 0) {
                        Ok(()) => settled.extend(ids(&portion)),
                        Err(_) => {
                            doubtful.extend(ids(&portion));
                            break;
                        }
                    }
                }
            }
            drop(archive);
            let archive = fixture.archive();
            let again: Vec<u64> = delivered(&archive, 1).into_keys().collect();
            assert!(
                again.iter().all(|id| !settled.contains(id)),
                "after {calls} calls: {again:?}"
            );
            let [first, second] = pending();
            let got = settled.iter().chain(&doubtful).chain(&again).copied();
            assert_eq!(once(got), second, "after {calls} calls, {tears}");
            assert_eq!(delivered(&archive, 0), first, "after {calls} calls, {tears}");
            assert_eq!(fixture.seen(), all());
            if !faulty.has_failed() {
                break;
            }
            calls += 1;
        }
    }
}

#[test]
fn eviction_that_dies_at_any_call_counts_each_record_once() {
    let template = Fixture::new();
    let small = Limits { pending: 0, ..limits() };
    for first in [1, 101, 201] {
        template.dead(2, first..first + 10);
    }
    template.archive_all();
    let mut calls = 0;
    loop {
        let fixture = template.copy();
        let faulty = Faulty::after(calls, false);
        let mut archive = Archive::new(&faulty.root(&fixture.root), small);
        let _ = archive.make_room(Moment::now(), 0);
        drop(archive);
        let mut archive = Archive::new(&fixture.root, small);
        make_room(&mut archive, Moment::now(), 0);
        let (evicted, since) = archive.evicted().expect("it can be read");
        assert_eq!((evicted.quota, evicted.age), (30, 0), "after {calls} calls");
        assert!(since.is_some() && fixture.files("pending").is_empty());
        assert_eq!(fixture.read().evicted[Dropped::Quota as usize], 30);
        assert_eq!(archive.bytes().expect("it can be read"), (0, 0));
        if !faulty.has_failed() {
            break;
        }
        calls += 1;
    }
}

#[test]
fn torn_copies_of_the_ledger_lose_no_span_and_double_none() {
    type Change = fn(&Path);
    let template = three_processes();
    // Archived, and one directory more that is half archived.
    template.archive_all();
    let before = template.copy();
    before.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(300..=310).collect()],
        settled: 0,
        slots: Vec::new(),
    });
    let overwrite = |path: &Path, at: u64, len: usize| {
        let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
        file.write_all_at(&vec![0xee; len], at).expect("it can be written");
    };
    let changes: [(&str, Change); 5] = [
        ("gone", |path| fs::remove_file(path).expect("it is there")),
        ("empty", |path| fs::write(path, []).expect("it can be written")),
        ("zeroed", |path| fs::write(path, [0; 4096]).expect("it can be written")),
        ("a directory", |path| {
            fs::remove_file(path).expect("it is there");
            fs::create_dir(path).expect("it can be made");
        }),
        ("a link", |path| {
            fs::remove_file(path).expect("it is there");
            symlink("/dev/zero", path).expect("it can be made");
        }),
    ];
    for (name, change) in changes {
        let fixture = before.copy();
        change(&fixture.path("ledger"));
        check_after_loss(&fixture, name);
    }
    for copy in [0, 2048] {
        let fixture = before.copy();
        overwrite(&fixture.path("ledger"), copy, 100);
        check_after_loss(&fixture, "one copy");
    }
    // It is lost while a directory is half archived: at every call.
    for lost in [&[0, 2048][..], &[0], &[2048]] {
        for calls in 0.. {
            let fixture = before.copy();
            let faulty = Faulty::after(calls, false);
            let _ = Archive::new(&faulty.root(&fixture.root), limits()).step(Moment::now(), 100);
            lost.iter().for_each(|at| overwrite(&fixture.path("ledger"), *at, 100));
            check_after_loss(&fixture, &format!("after {calls} calls, {lost:?}"));
            if !faulty.has_failed() {
                break;
            }
        }
    }
}

fn check_after_loss(fixture: &Fixture, name: &str) {
    let mut all = all();
    all.extend(once(300..=310));
    assert_eq!(fixture.seen(), all, "{name}");
    let mut archive = fixture.archive();
    step(fixture, &mut archive);
    assert_eq!(fixture.seen(), all, "{name}");
    let [mut first, second] = pending();
    first.extend(once(300..=310));
    assert_eq!(delivered(&archive, 0), first, "{name}");
    assert_eq!(delivered(&archive, 1), second, "{name}");
    assert_eq!(fixture.quarantined(), 0, "{name}");
}

#[test]
fn second_archive_gets_no_lock_and_does_nothing() {
    let fixture = three_processes();
    let archive = fixture.archive();
    let locked = Locked::take(&archive.layout)
        .expect("it can be made")
        .expect("nobody has it");
    let mut second = fixture.archive();
    let progress = second.step(Moment::now(), 3).expect("it is no error");
    assert!(progress.is_busy && !progress.has_more && progress.processes == 0);
    assert!(second.make_room(Moment::now(), 0).expect("it is no error").is_busy);
    drop(locked);
    assert_eq!(step(&fixture, &mut second).processes, 3);
}

#[test]
fn archives_that_race_take_each_directory_in_once() {
    let fixture = Fixture::new();
    for first in 0..24 {
        fixture.dead(1, first * 10 + 1..first * 10 + 11);
    }
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut archive = fixture.archive();
                for _ in 0..200 {
                    run(&mut archive, Moment::now(), 2);
                }
            });
        }
    });
    let archive = fixture.archive_all();
    assert_eq!(fixture.seen(), once(1..241));
    assert_eq!(delivered(&archive, 0), once(1..241));
}

#[test]
fn living_process_is_left_alone() {
    let fixture = Fixture::new();
    let mut living = manifest(1);
    let owned = fixture.root.create_process(&mut living).expect("it can be made");
    assert_eq!(run(&mut fixture.archive(), Moment::now(), 10), Progress::default());
    assert!(owned.path().exists() && !fixture.path("archive").exists());
}

#[test]
fn process_of_another_namespace_is_dead_when_its_lock_stays_free() {
    let fixture = Fixture::new();
    let directory = fixture.dead(1, 1..=3);
    let mut elsewhere = directory.manifest().expect("it is whole");
    elsewhere.owner.pid_namespace += 1;
    fs::write(directory.path().join("manifest"), elsewhere.to_bytes()).expect("it can be written");
    let mut archive = fixture.archive();
    let start = Moment::now();
    let at = |seconds| Moment {
        instant: start.instant + Duration::from_secs(seconds),
        ..start
    };
    for (seconds, expected) in [(0, 0), (100, 0), (179, 0), (190, 1)] {
        let progress = run(&mut archive, at(seconds), 10);
        assert_eq!(progress.processes, expected, "{seconds}");
    }
}

#[test]
fn many_living_processes_do_not_hide_a_dead_one() {
    let fixture = Fixture::new();
    let living: Vec<_> = (0..150)
        .map(|_| fixture.root.create_process(&mut manifest(0)).expect("it can be made"))
        .collect();
    fixture.dead(1, 1..=3);
    let mut archive = fixture.archive();
    let now = Moment::now();
    let archived: usize = (0..4).map(|_| run(&mut archive, now, 1).processes).sum();
    assert_eq!(archived, 1);
    drop(living);
}

#[test]
fn slots_of_another_boot_are_void() {
    let fixture = Fixture::new();
    let directory = fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![vec![1, 2]],
        settled: 0,
        slots: slot(&span(3, "open"), None),
    });
    let mut manifest = directory.manifest().expect("it is whole");
    manifest.owner.boot_id = "another boot".into();
    fs::write(directory.path().join("manifest"), manifest.to_bytes()).expect("it can be written");
    assert_eq!(fixture.seen(), once(1..=2));
    fixture.archive_all();
    assert_eq!(fixture.seen(), once(1..=2));
}

#[test]
fn process_with_nothing_but_open_spans_is_delivered() {
    let fixture = Fixture::new();
    let directory = fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: Vec::new(),
        settled: 0,
        slots: slot(&span(3, "open"), None),
    });
    fs::remove_file(directory.path().join("segments-0000")).expect("it is there");
    let archive = fixture.archive_all();
    assert_eq!(delivered(&archive, 0), once([3]));
}

#[test]
fn one_span_process_leaves_at_most_2_kib() {
    let fixture = Fixture::new();
    fixture.dead(1, [1]);
    fixture.archive_all();
    let before = tree_bytes(fixture.root.path());
    fixture.dead(1, [2]);
    fixture.archive_all();
    let grown = tree_bytes(fixture.root.path()) - before;
    assert!(grown <= 2048, "{grown}");
}

#[test]
fn three_hundred_one_span_processes_take_300_kib() {
    let fixture = Fixture::new();
    (1..=300).for_each(|id| drop(fixture.dead(1, [id])));
    let archive = fixture.archive_all();
    let bytes = tree_bytes(fixture.root.path());
    assert!(bytes <= 300 << 10, "{bytes}");
    let mut backlog = open(&archive, own(0));
    let portion = backlog
        .next(512, 2 << 20)
        .expect("it can be read")
        .expect("there are some");
    assert_eq!(portion.records(), 300, "one request");
    assert_eq!(portion.runs().count(), 1, "of one source");
}

fn tree_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path)
        .expect("it can be listed")
        .map(|entry| entry.expect("it is there"));
    entries
        .map(|entry| match entry.file_type().expect("it has one").is_dir() {
            true => tree_bytes(&entry.path()),
            false => entry.metadata().expect("it is there").len(),
        })
        .sum()
}

#[test]
fn oldest_files_go_first_and_what_was_pending_is_counted() {
    let fixture = Fixture::new();
    let small = Limits {
        pending: 256 << 10,
        ..limits()
    };
    let mut archive = Archive::new(&fixture.root, small);
    // Each of them some 70 KiB: one file each.
    for number in 0..8 {
        fixture.dead(2, number * 1000 + 1..number * 1000 + 701);
        let now = Moment::now();
        let progress = run(&mut archive, now, 10);
        assert_eq!(progress.processes, 1);
        assert!(fixture.archived_bytes() <= small.pending, "at every instant");
    }
    let left = fixture.seen();
    let (evicted, _) = archive.evicted().expect("it can be read");
    assert_eq!(evicted.quota + left.len() as u64, 8 * 700);
    assert!(evicted.quota > 0 && evicted.age == 0);
    let oldest = *left.keys().next().expect("some are left");
    assert_eq!(
        left,
        once((oldest / 1000..8).flat_map(|n| n * 1000 + 1..n * 1000 + 701)),
        "the youngest are left"
    );
    // The files of living processes count as well.
    let progress = make_room(&mut archive, Moment::now(), 200 << 10);
    assert!(progress.evicted.quota > 0 && fixture.archived_bytes() <= 56 << 10);
    let rows = ledger(&fixture).rows;
    let evicted = archive.evicted().expect("it can be read").0.quota;
    assert_eq!(
        rows.iter()
            .map(|row| row.2[Dropped::Quota as usize])
            .collect::<Vec<_>>(),
        [evicted, evicted]
    );
}

#[test]
fn settled_records_are_not_counted_when_they_go() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    let mut archive = fixture.archive_all();
    let mut backlog = open(&archive, own(0));
    let portion = backlog
        .next(4, 1 << 20)
        .expect("it can be read")
        .expect("there are some");
    backlog.settle(&portion, 1).expect("it can be written");
    count(&archive);
    archive.layout.limits.pending = 0;
    let progress = make_room(&mut archive, Moment::now(), 0);
    assert_eq!(progress.evicted.quota, 6);
    // What was read before and is settled after it went is not counted as delivered.
    let row = ledger(&fixture).rows[0];
    assert_eq!(
        (row.1, row.2[Dropped::Rejected as usize], row.2[Dropped::Quota as usize]),
        (3, 1, 6)
    );
    backlog.settle(&portion, 0).expect("it is gone");
    assert_eq!(ledger(&fixture).rows[0], row);
}

#[test]
fn age_limits_go_by_the_given_clock() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    fixture.dead(0, 11..=20);
    let mut archive = fixture.archive_all();
    let at = |days: u32| Moment {
        time: SystemTime::now() + DAY * days,
        ..Moment::now()
    };
    for (days, left, evicted) in [(6, 20, 0), (8, 10, 0), (29, 10, 0), (31, 0, 10)] {
        make_room(&mut archive, at(days), 0);
        assert_eq!(fixture.seen().len(), left, "{days} days");
        assert_eq!(archive.evicted().expect("it can be read").0.age, evicted, "{days} days");
    }
}

#[test]
fn history_of_no_bytes_keeps_none() {
    let fixture = Fixture::new();
    fixture.dead(0, 1..=10);
    fixture.dead(1, 11..=20);
    let none = Limits { history: 0, ..limits() };
    let mut archive = Archive::new(&fixture.root, none);
    run(&mut archive, Moment::now(), 10);
    assert_eq!(fixture.seen(), once(11..=20));
    assert_eq!(delivered(&archive, 0), once(11..=20));
    assert_eq!((fixture.seen(), fixture.archived_bytes()), (once([]), 0));
    assert_eq!(archive.evicted().expect("it can be read").0, Evicted::default());
}

#[test]
fn segment_longer_than_a_file_gets_one_of_its_own() {
    let fixture = Fixture::new();
    let small = Limits {
        pending: 512 << 10,
        ..limits()
    };
    for (number, count) in [(0, 10), (1, 1000), (2, 10), (3, 10)] {
        fixture.dead(1, number * 10_000 + 1..number * 10_000 + 1 + count);
        let mut archive = Archive::new(&fixture.root, small);
        run(&mut archive, Moment::now(), 10);
    }
    let lens: Vec<u64> = fixture
        .files("pending")
        .iter()
        .map(|path| fs::metadata(path).expect("it is there").len())
        .collect();
    assert_eq!(lens.len(), 3, "{lens:?}");
    assert!(lens[1] > 64 << 10, "{lens:?}");
}

/// What is done to a file of a directory; how many spans are lost at most; whether the directory stays.
type Case = (
    &'static str,
    &'static str,
    fn(&Path),
    std::ops::RangeInclusive<usize>,
    bool,
);

fn remove(path: &Path) {
    fs::remove_file(path).expect("it is there");
}

fn replace_by_link(path: &Path) {
    fs::remove_file(path).expect("it is there");
    symlink("/etc/passwd", path).expect("it can be made");
}

fn replace_by_directory(path: &Path) {
    fs::remove_file(path).expect("it is there");
    fs::create_dir(path).expect("it can be made");
}

fn replace_by_fifo(path: &Path) {
    fs::remove_file(path).expect("it is there");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).expect("it can be made");
}

fn truncate(path: &Path) {
    let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
    file.set_len(1000).expect("it is ours");
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    let at = (bytes.len() - 1).min(900);
    bytes[at] ^= 4;
    fs::write(path, bytes).expect("it can be written");
}

fn zero(path: &Path) {
    let len = fs::metadata(path).expect("it is there").len();
    fs::write(path, vec![0; len as usize]).expect("it can be written");
}

fn make_newer(path: &Path) {
    let mut bytes = fs::read(path).expect("it is there");
    if bytes.starts_with(b"TLM2") {
        bytes[4] = 9;
        let end = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&crc.to_le_bytes());
    } else {
        bytes[3] = b'9';
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..28]), &bytes[64..128]);
        bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    }
    fs::write(path, bytes).expect("it can be written");
}

#[test]
fn damaged_files_cost_what_they_held_and_are_not_removed_unread() {
    // 20 spans in one file, and an open one.
    const CASES: [Case; 22] = [
        ("segments-0000", "link", replace_by_link, 20..=20, true),
        ("segments-0000", "directory", replace_by_directory, 20..=20, true),
        ("segments-0000", "FIFO", replace_by_fifo, 20..=20, true),
        ("segments-0000", "newer", make_newer, 20..=20, true),
        ("segments-0000", "truncated", truncate, 15..=20, false),
        ("segments-0000", "zeroed", zero, 20..=20, false),
        ("segments-0000", "flipped", flip, 1..=1, false),
        ("manifest", "link", replace_by_link, 21..=21, true),
        ("manifest", "directory", replace_by_directory, 21..=21, true),
        ("manifest", "FIFO", replace_by_fifo, 21..=21, true),
        ("manifest", "newer", make_newer, 21..=21, true),
        ("open-0000", "link", replace_by_link, 1..=1, true),
        ("open-0000", "directory", replace_by_directory, 1..=1, true),
        ("open-0000", "FIFO", replace_by_fifo, 1..=1, true),
        ("open-0000", "truncated", truncate, 1..=1, false),
        ("open-0000", "zeroed", zero, 1..=1, false),
        ("ledger", "link", replace_by_link, 0..=0, true),
        ("ledger", "directory", replace_by_directory, 0..=0, true),
        ("ledger", "FIFO", replace_by_fifo, 0..=0, true),
        ("ledger", "truncated", truncate, 0..=0, false),
        ("ledger", "zeroed", zero, 0..=0, false),
        ("lock", "directory", replace_by_directory, 0..=0, true),
    ];
    for (file, name, change, lost, stays) in CASES {
        let fixture = Fixture::new();
        let directory = fixture.dead_with(Dead {
            manifest: manifest(1),
            batches: vec![(1..=20).collect()],
            settled: 0,
            slots: slot(&span(21, "open"), None),
        });
        let path = directory.path().join(file);
        change(&path);
        let bytes = fs::symlink_metadata(&path).map(|seen| seen.len()).expect("it is there");
        fixture.read();
        let mut archive = fixture.archive();
        let now = Moment::now();
        // Without a manifest that can be read the lock has to be seen free for some time.
        let mut problems = Vec::new();
        for seconds in [0, 200, 400] {
            let now = Moment {
                instant: now.instant + Duration::from_secs(seconds),
                ..now
            };
            problems.extend(run(&mut archive, now, 10).problems);
        }
        let case = format!("{file}, {name}: {problems:?}");
        let found = delivered(&archive, 0);
        assert!(lost.contains(&(21 - found.len())), "{case}: {} found", found.len());
        assert!(found.values().all(|times| *times == 1), "{case}");
        assert_eq!(directory.path().exists(), stays, "{case}");
        assert_eq!(problems.len(), usize::from(stays), "{case}");
        if stays {
            let same = fs::symlink_metadata(&path).map(|seen| seen.len()).expect("it is there");
            assert_eq!(same, bytes, "{case}");
        }
        let counted = ledger(&fixture).dropped[Dropped::Damaged as usize];
        // Nobody knows how many spans zeroes were, nor what was in a part that is gone.
        let is_known = matches!((file, name), ("segments-0000", "flipped" | "truncated"));
        assert_eq!(counted, if is_known { 21 - found.len() as u64 } else { 0 }, "{case}");
        assert_eq!(fixture.quarantined(), usize::from(is_known), "{case}");
    }
}

#[test]
fn damaged_records_of_one_file_are_kept_in_one_file() {
    const NAME: &[u8] = b"a span";
    let fixture = Fixture::new();
    let file = fixture.dead(1, 1..=300).path().join("segments-0000");
    let mut bytes = fs::read(&file).expect("it is there");
    let marked: Vec<_> = (0..bytes.len() - NAME.len())
        .filter(|at| bytes[*at..].starts_with(NAME))
        .collect();
    assert_eq!(marked.len(), 300);
    marked.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&file, bytes).expect("it can be written");
    let archive = fixture.archive_all();
    assert!(delivered(&archive, 0).is_empty());
    assert_eq!(ledger(&fixture).dropped[Dropped::Damaged as usize], 300);
    assert_eq!(fixture.quarantined(), 1);
}

#[test]
fn lost_manifest_is_replaced_by_the_process_record_of_a_segment() {
    for change in [zero, flip, truncate, remove] {
        let fixture = Fixture::new();
        let directory = fixture.dead(1, 1..=20);
        change(&directory.path().join("manifest"));
        let mut archive = fixture.archive();
        let now = Moment::now();
        for seconds in [0, 200] {
            let now = Moment {
                instant: now.instant + Duration::from_secs(seconds),
                ..now
            };
            run(&mut archive, now, 10);
        }
        assert!(!directory.path().exists());
        assert_eq!(delivered(&archive, 0), once(1..=20));
    }
}

#[test]
fn any_flipped_bit_of_a_segment_costs_its_record_and_no_other() {
    let template = Fixture::new();
    let directory = template.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(1..=5).collect(), (6..=10).collect()],
        settled: 0,
        slots: Vec::new(),
    });
    let name = directory.name().to_owned();
    let used = UNIT + 1400;
    for at in (0..1400).chain(UNIT..used).step_by(7) {
        let fixture = template.copy();
        let path = fixture.path(&name).join("segments-0000");
        let mut bytes = fs::read(&path).expect("it is there");
        bytes[at] ^= 1 << (at % 8);
        fs::write(&path, bytes).expect("it can be written");
        let archive = fixture.archive_all();
        let mut backlog = open(&archive, own(0));
        let mut found = Vec::new();
        while let Some(portion) = backlog.next(3, 1 << 20).expect("it can be read") {
            found.extend(ids(&portion));
            // The records of a source or process that is damaged still know whose they are.
            portion
                .runs()
                .for_each(|run| assert_eq!(*run.source, source("scope"), "byte {at}"));
            backlog.settle(&portion, 0).expect("it can be written");
        }
        assert!(found.len() >= 9, "byte {at}: {found:?}");
        count(&archive);
        let dropped = ledger(&fixture).dropped[Dropped::Damaged as usize];
        let row = ledger(&fixture).rows[0];
        assert_eq!((row.1, row.1 + dropped), (found.len() as u64, 10), "byte {at}");
    }
}

#[test]
fn errors_of_reads_delete_nothing() {
    // Every call but those that write fails, one at a time.
    let template = three_processes();
    for calls in 0..400 {
        let fixture = template.copy();
        let faulty = Faulty::after(calls, false);
        let root = faulty.root(&fixture.root);
        let _ = Archive::new(&root, limits()).step(Moment::now(), 1);
        assert_eq!(fixture.seen(), all(), "after {calls} calls");
        if !faulty.has_failed() {
            return;
        }
    }
}

#[test]
fn damaged_archive_files_cost_what_they_held() {
    type Change = fn(&Path);
    let changes: [(&str, Change, std::ops::RangeInclusive<usize>); 7] = [
        ("link", replace_by_link, 10..=10),
        ("directory", replace_by_directory, 10..=10),
        ("FIFO", replace_by_fifo, 10..=10),
        ("truncated", truncate, 6..=10),
        ("zeroed", zero, 10..=10),
        ("flipped", flip, 1..=1),
        ("gone", |path| fs::remove_file(path).expect("it is there"), 10..=10),
    ];
    for (name, change, lost) in changes {
        let fixture = Fixture::new();
        fixture.dead(1, 1..=10);
        fixture.archive_all();
        change(&fixture.files("pending")[0]);
        fixture.read();
        fixture.dead(1, 11..=20);
        let mut archive = fixture.archive();
        run(&mut archive, Moment::now(), 10);
        let found = delivered(&archive, 0);
        assert!(lost.contains(&(20 - found.len())), "{name}: {found:?}");
        assert!((11..=20).all(|id| found.contains_key(&id)), "{name}: {found:?}");
        make_room(&mut archive, Moment::now(), u64::MAX);
        assert_eq!(
            fixture
                .read()
                .processes
                .iter()
                .map(|process| process.pending)
                .sum::<u64>(),
            0,
            "{name}"
        );
    }
}

#[test]
fn left_over_directories_are_removed_but_not_those_being_made() {
    let fixture = Fixture::new();
    let name = "20261121T095930.123Z-1-0123456789abcdef";
    for prefix in [".gone-", ".new-"] {
        let path = fixture.path(&format!("{prefix}{name}"));
        fs::create_dir(&path).expect("it can be made");
        fs::write(path.join("lock"), b"").expect("it can be written");
    }
    let mut archive = fixture.archive();
    for (hours, expected) in [(0, [false, true]), (2, [false, false])] {
        let now = Moment {
            time: SystemTime::now() + Duration::from_secs(hours * 3600),
            ..Moment::now()
        };
        let progress = run(&mut archive, now, 1);
        assert_eq!(progress.problems, Vec::<String>::new());
        let there = [".gone-", ".new-"].map(|prefix| fixture.path(&format!("{prefix}{name}")).exists());
        assert_eq!(there, expected, "after {hours} hours");
    }
}

#[test]
fn what_is_settled_already_becomes_history() {
    let fixture = Fixture::new();
    fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(1..=10).collect()],
        settled: 10,
        slots: Vec::new(),
    });
    let archive = fixture.archive_all();
    assert_eq!((fixture.files("pending").len(), fixture.files("history").len()), (0, 1));
    assert_eq!(
        archive.pending(&Whose::Anybody).expect("it can be read"),
        Summary::default()
    );
    assert_eq!(fixture.seen(), once(1..=10));
}

#[test]
fn nothing_is_archived_of_a_directory_without_spans() {
    let fixture = Fixture::new();
    fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: Vec::new(),
        settled: 0,
        slots: Vec::new(),
    });
    fixture.archive_all();
    assert_eq!(fixture.archived_bytes(), 0);
}

#[test]
fn directory_whose_file_cannot_be_read_is_tried_again_later() {
    let fixture = Fixture::new();
    let directory: ProcessDir = fixture.dead(1, 1..=10);
    let path = directory.path().join("segments-0000");
    let aside = fixture.path("aside");
    fs::rename(&path, &aside).expect("it is there");
    fs::create_dir(&path).expect("it can be made");
    let mut archive = fixture.archive();
    let start = Moment::now();
    let at = |seconds| Moment {
        instant: start.instant + Duration::from_secs(seconds),
        ..start
    };
    let said = |archive: &mut Archive, seconds| run(archive, at(seconds), 10).problems.len();
    assert_eq!(
        [0, 1, 40].map(|seconds| said(&mut archive, seconds)),
        [1, 0, 0],
        "it is said once"
    );
    fs::remove_dir(&path).expect("it is empty");
    fs::rename(&aside, &path).expect("it is there");
    assert_eq!(run(&mut archive, at(41), 10).processes, 0, "not yet");
    assert_eq!(run(&mut archive, at(200), 10).processes, 1);
    assert_eq!(fixture.seen(), once(1..=10));
}

#[test]
fn full_disk_makes_history_go() {
    let fixture = Fixture::new();
    fixture.dead(0, 1..=10);
    let archive = fixture.archive_all();
    let full = io::Error::from(io::ErrorKind::StorageFull);
    let progress = make_way_on_disk(&archive.layout, Moment::now(), full, Progress::default()).expect("history goes");
    assert!(progress.has_more && fixture.files("history").is_empty());
    let full = io::Error::from(io::ErrorKind::StorageFull);
    make_way_on_disk(&archive.layout, Moment::now(), full, Progress::default()).expect_err("nothing else goes");
}

/// Appended to several files at once, synced, and dying twice in a row.
#[test]
fn step_over_several_files_that_dies_twice_loses_nothing() {
    let template = Fixture::new();
    let small = Limits {
        pending: 512 << 10,
        history: 512 << 10,
        ..limits()
    };
    let batches = |first: u64| -> Vec<Vec<u64>> {
        let starts = (0..4).map(|batch| first + batch * 400);
        starts.map(|start| (start..start + 400).collect()).collect()
    };
    for (first, settled) in [(1, 800), (2001, 0)] {
        template.dead_with(Dead {
            manifest: Manifest {
                synced: true,
                ..manifest(1)
            },
            batches: batches(first),
            settled,
            slots: slot(&span(first + 1999, "open"), None),
        });
    }
    let all = once((1..=1600).chain([2000]).chain(2001..=3600).chain([4000]));
    let pending = once((801..=1600).chain([2000]).chain(2001..=3600).chain([4000]));
    for calls in (0..).step_by(5) {
        let fixture = template.copy();
        let faulty = Faulty::after(calls, calls % 2 == 0);
        let _ = Archive::new(&faulty.root(&fixture.root), small).step(Moment::now(), 100);
        let second = Faulty::after(calls * 7 % 61, calls % 3 == 0);
        let _ = Archive::new(&second.root(&fixture.root), small).step(Moment::now(), 100);
        let mut archive = Archive::new(&fixture.root, small);
        let progress = run(&mut archive, Moment::now(), 100);
        assert_eq!(progress.problems, Vec::<String>::new(), "after {calls} calls");
        assert_eq!(fixture.seen(), all, "after {calls} calls");
        assert!(fixture.files("pending").len() > 2, "after {calls} calls");
        assert_eq!(
            testing::times(deliver(&mut open(&archive, own(0)), 512)),
            pending,
            "after {calls} calls"
        );
        // The beginning of a segment that was being written may be too short to tell whose it is.
        assert!(fixture.quarantined() <= 1, "after {calls} calls");
        assert_eq!(
            ledger(&fixture).bytes.iter().sum::<u64>(),
            fixture.archived_bytes(),
            "after {calls} calls"
        );
        if !faulty.has_failed() {
            break;
        }
    }
}

#[test]
fn history_of_living_processes_does_not_make_go_what_dead_ones_left() {
    let fixture = Fixture::new();
    let limits = Limits {
        pending: 1 << 20,
        history: 8 << 20,
        ..limits()
    };
    let mut living = Vec::new();
    for _ in 0..3 {
        let mut manifest = manifest(1);
        let owned = fixture.root.create_process(&mut manifest).expect("it can be made");
        let store = Arc::new(Store::new(StoreSettings {
            directory: Some(owned.path().to_owned()),
            manifest,
            signal: Signal::Traces,
            limits,
            tier: None,
            refuse_when_full: false,
        }));
        let body = span(1, &"n".repeat(100_000));
        for _ in 0..10 {
            store
                .append_batch(&source("scope"), [&body[..]])
                .expect("there is room");
        }
        store.seal();
        let mut consumer = store.consumer(0).expect("nobody else reads");
        while let Some(batch) = consumer.next(1000, 1 << 20).expect("it can be read") {
            consumer.settle(batch, 0);
        }
        assert_eq!(store.pending(0), (0, 0));
        drop(consumer);
        living.push((owned, store));
    }
    fixture.dead(1, 1000..1010);
    let mut archive = Archive::new(&fixture.root, limits);
    let progress = run(&mut archive, Moment::now(), 100);
    assert_eq!((progress.processes, progress.evicted.quota), (1, 0));
}
