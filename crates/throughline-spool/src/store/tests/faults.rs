//! One kind of fault at a time.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Mutex;
use std::time::Instant;

use super::*;
use crate::files::FileSystem;
use crate::files::fake::{Fate, Operation, run_until_stop};
use crate::store::lease::{Body, Lease};
use crate::store::ledger::Dropped;
use crate::store::store::lock;
use crate::store::tier::Tier;

const MIB: u64 = 1 << 20;
/// How much is written, in batches.
const BATCHES: u64 = 100;

/// The ways of writing files, with what makes a store choose them.
const WAYS: [(Tier, FileSystem, bool); 3] = [
    (Tier::Mapped, FileSystem::Mappable, true),
    (Tier::Written, FileSystem::Other, true),
    (Tier::Written, FileSystem::Other, false),
];

fn disk_for(way: (Tier, FileSystem, bool)) -> FakeFiles {
    let files = disk();
    files.set_file_system(way.1);
    files.set_can_allocate(way.2);
    files
}

/// What is pending for the first destination, in the order of a consumer.
fn pending(store: &Arc<Store>) -> Vec<u64> {
    let mut consumer = store.consumer(0).expect("nobody has it");
    let batch = consumer.next(usize::MAX, usize::MAX).expect("it can be read");
    batch.map_or(Vec::new(), |batch| ids(&batch).into_iter().map(|(id, _)| id).collect())
}

/// Delivers everything to the first destination.
fn deliver(store: &Arc<Store>) {
    let mut consumer = store.consumer(0).expect("nobody has it");
    while let Some(batch) = consumer.next(usize::MAX, usize::MAX).expect("it can be read") {
        consumer.settle(batch, 0);
    }
}

fn after(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

// ---- a full disk --------------------------------------------------------------------------------------------------

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn full_disk_costs_no_records_and_few_calls_until_it_has_room() {
    for way in WAYS {
        for batches_before in [0, 20] {
            let name = format!("{way:?}, full after {batches_before} batches");
            let files = disk_for(way);
            if batches_before == 0 {
                files.set_capacity(0);
            }
            let store = store(&files, settings(1, 64 * MIB, MIB));
            let batch = |n: u64| n * 20..n * 20 + 20;
            (0..batches_before).for_each(|n| append(&store, batch(n)).expect("there is room"));
            files.set_capacity(files.used());
            let calls = files.calls();
            let all = batches_before + BATCHES;
            (batches_before..all).for_each(|n| append(&store, batch(n)).expect("there is memory"));
            let calls = files.calls() - calls;
            // What has room is written on, one call for each record: the file, or the page.
            let room = if way.2 { 64 << 10 } else { 4096 };
            let writes_before = if way.0 == Tier::Written { room / 90 } else { 0 };
            assert!(calls <= 30 + writes_before, "{name}: {calls} calls");
            assert!(store.refusal().is_some(), "{name}");
            assert_eq!(pending(&store), (0..all * 20).collect::<Vec<_>>(), "{name}");
            assert_eq!(store.account(0).pending, all * 20, "{name}");
            store.sync().expect_err("what is in memory is not durable");

            // Each try while it is full takes a few calls, and there are ever fewer of them.
            let calls = files.calls();
            (0..60).for_each(|second| store.maintain(after(second)));
            let calls = files.calls() - calls;
            assert!(calls <= 60 * 4, "{name}: {calls} calls");

            files.set_capacity(u64::MAX);
            (0..3).for_each(|n| store.maintain(after(100 + 100 * n)));
            assert_eq!(store.refusal(), None, "{name}");
            // Room in memory is used no more.
            store.seal();
            append(&store, batch(all)).expect("there is room");
            let found = recover(&files.after_crash());
            assert!(batch(all).all(|id| found.records.contains_key(&id)), "{name}");
            deliver(&store);
            store.seal();
            deliver(&store);
            store.sync().unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(store.account(0).delivered, (all + 1) * 20, "{name}");
            assert_eq!(store.account(0).dropped, [0; 6], "{name}");
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn memory_that_stands_in_for_a_full_disk_is_bounded_and_counted() {
    let files = disk();
    files.set_capacity(0);
    let store = store(&files, settings(1, MIB, 0));
    let calls = files.calls();
    let batches = 2000;
    (0..batches).for_each(|n| append(&store, n * 20..n * 20 + 20).expect("the oldest make way"));
    assert!(files.calls() - calls <= 4, "no file is tried in vain");
    let bytes = store.memory_bytes() as u64;
    assert!(bytes <= MIB + (256 << 10), "{bytes}");
    let account = store.account(0);
    let evicted = account.dropped[Dropped::Quota as usize];
    assert_eq!(account.pending + evicted, batches * 20);
    assert!(evicted > 0);
    assert_eq!(pending(&store).len() as u64, account.pending);
}

#[test]
fn batch_that_could_never_fit_evicts_nothing() {
    for directory in [Some(DIRECTORY.into()), None] {
        let store = store(
            &disk(),
            StoreSettings {
                directory: directory.clone(),
                ..settings(1, 256 << 10, 64 << 10)
            },
        );
        (0..10).for_each(|n| append(&store, n * 10..n * 10 + 10).expect("there is room"));
        let body = vec![0; MIB as usize];
        let appended = store.append_batch(&source(0), [&body[..]]);
        if directory.is_some() {
            assert_eq!(appended.expect_err("it is too long").kind(), ErrorKind::StorageFull);
        }
        assert_eq!(store.account(0).dropped, [0; 6]);
        assert!(store.account(0).pending >= 100);
    }
}

/// Only short files can be made while a disk is nearly full. When it has room again they go for longer ones.
#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn short_files_of_a_full_disk_make_way_for_a_long_batch() {
    let files = disk();
    let store = store(&files, settings(1, 256 << 10, 0));
    for n in 0..40 {
        // Room for one file of 64 KiB more.
        files.set_capacity(files.used() + (64 << 10));
        append(&store, n * 100 + 20..n * 100 + 60).expect("there is room");
        store.maintain(after(60 * n));
    }
    files.set_capacity(u64::MAX);
    store.seal();
    deliver(&store);
    let long = (0..6).map(|n| 13 + 61 * n);
    append(&store, long.clone()).expect("the store is empty");
    assert_eq!(pending(&store), long.collect::<Vec<_>>());
    assert!(store.file_bytes() <= 256 << 10);
}

/// Each file is open for as long as it is there: many small ones would take the host's descriptors.
#[test]
fn file_of_a_nearly_full_disk_is_as_large_as_there_is_room() {
    let files = disk();
    let store = store(&files, settings(1, 64 * MIB, MIB));
    while store.file_bytes() < 8 * MIB {
        assert!(store.grow(0), "there is room");
    }
    let before = store.file_bytes();
    files.set_capacity(files.used() + MIB + (128 << 10));
    assert!(store.grow(0));
    let grown = store.file_bytes() - before;
    assert!((256 << 10..=MIB).contains(&grown), "{grown}");
}

/// The thread that took a lease ends without a span, or ends none of the source that it had begun one of.
#[test]
fn segment_without_records_becomes_history() {
    let store = store(&disk(), settings(2, MIB, 0));
    for with_source in [false, true] {
        let mut lease = store.lease(store.source(&source(0)), 0, UNIT).expect("there is room");
        if with_source {
            assert!(store.append_source(&mut lease, store.source(&source(1)), 0));
        }
        store.close(&lease);
        store.seal();
        for destination in 0..2 {
            let active = lock(&store.index).active_from(0).count();
            assert_eq!(active, 1, "{destination} has not looked");
            let mut consumer = store.consumer(destination).expect("nobody has it");
            assert!(consumer.next(1, 1).expect("it can be read").is_none());
        }
        assert_eq!(lock(&store.index).active_from(0).count(), 0);
    }
    assert_eq!(store.account(0), super::super::Account::default());
}

// ---- allocation, writes, the ledger ---------------------------------------------------------------------------------

#[test]
fn disk_without_allocation_is_written_and_never_mapped() {
    let files = disk();
    files.set_can_allocate(false);
    let store = store(&files, settings(1, MIB, 0));
    assert_eq!(store.tier(), Tier::Written);
    (0..10).for_each(|n| append(&store, n * 10..n * 10 + 10).expect("there is room"));
    store.maintain(after(1));
    assert_eq!(files.calls_of(Operation::Map), 0);
    assert_eq!(recover(&files.after_crash()).records.len(), 100);
    assert_eq!(pending(&store).len(), 100);
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn write_that_fails_anywhere_costs_no_record_while_the_process_lives() {
    for can_allocate in [true, false] {
        for is_short in [false, true] {
            for failing in (1..130).step_by(3) {
                let name = format!("write {failing}, allocated: {can_allocate}, short: {is_short}");
                let files = disk_for((Tier::Written, FileSystem::Other, can_allocate));
                let mut writes = 0;
                files.plan(move |call| {
                    writes += u64::from(call.operation == Operation::WriteAt);
                    match (call.operation == Operation::WriteAt && writes == failing, is_short) {
                        (true, true) => Fate::Short,
                        (true, false) => Fate::Fail(ErrorKind::Other),
                        _ => Fate::Succeed,
                    }
                });
                let store = store(&files, settings(1, MIB, 0));
                let mut durable = BTreeSet::new();
                for n in 0..6 {
                    append(&store, n * 20..n * 20 + 20).expect("there is room");
                    if !store.is_failing() && store.refusal().is_none() {
                        durable.extend(0..n * 20 + 20);
                    }
                }
                assert_eq!(pending(&store), (0..120).collect::<Vec<_>>(), "{name}");
                let found = recover(&files.after_crash()).records;
                assert!(durable.iter().all(|id| found.contains_key(id)), "{name}");
                store.seal();
                assert_eq!(pending(&store), (0..120).collect::<Vec<_>>(), "{name}, sealed");
                deliver(&store);
                assert_eq!(store.account(0).delivered, 120, "{name}");
                files.forget_plan();
                store.maintain(after(60));
                append(&store, 120..140).expect("there is room");
                let found = recover(&files.after_crash()).records;
                assert!((120..140).all(|id| found.contains_key(&id)), "{name}: it goes on");
                store.sync().unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn ledger_that_cannot_be_made_is_kept_in_memory() {
    type Prepare = fn(&FakeFiles);
    const PATH: &str = "/spool/ledger";
    let cases: [(&str, Prepare); 6] = [
        ("a directory", |files| files.add_directory(PATH)),
        ("a FIFO", |files| files.add_fifo(PATH)),
        ("a link", |files| files.add_symlink(PATH)),
        ("a file", |files| files.add_file(PATH, b"somebody's")),
        ("no open", |files| {
            files.plan(|call| match call.path.ends_with(LEDGER) {
                true => Fate::Fail(ErrorKind::PermissionDenied),
                false => Fate::Succeed,
            });
        }),
        ("no write", |files| {
            files.plan(|call| match (call.operation, call.path.ends_with(LEDGER)) {
                (Operation::Allocate | Operation::Map | Operation::WriteAt, true) => Fate::Fail(ErrorKind::StorageFull),
                _ => Fate::Succeed,
            });
        }),
    ];
    for (name, prepare) in cases {
        for way in WAYS {
            let files = disk_for(way);
            prepare(&files);
            let content = files.content(PATH);
            let store = store(&files, settings(1, MIB, 0));
            append(&store, 0..50).expect("there is room");
            deliver(&store);
            store.maintain(after(1));
            assert_eq!(store.account(0).delivered, 50, "{name}, {way:?}");
            if content.is_some() {
                assert_eq!(files.content(PATH), content, "{name} is not ours to write");
            }
        }
    }
}

// ---- syncs ----------------------------------------------------------------------------------------------------------

/// The kernel tells of pages that it could not write once, and takes them for written after that.
#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn sync_that_failed_fails_until_nobody_needs_the_file_any_more() {
    for way in WAYS {
        let files = disk_for(way);
        let store = store(&files, settings(1, 16 * MIB, MIB));
        append(&store, 0..50).expect("there is room");
        files.plan(|call| match call.operation {
            Operation::Sync => Fate::Fail(ErrorKind::Other),
            _ => Fate::Succeed,
        });
        store.sync().expect_err("it was made to fail");
        files.forget_plan();
        for n in 1..4 {
            store.sync().expect_err("the file may have lost something");
            append(&store, n * 50..n * 50 + 50).expect("there is room");
        }
        assert_eq!(
            recover(&files.after_crash()).records.len(),
            200,
            "{way:?}: a killed process loses nothing"
        );
        store.seal();
        // What comes from here on lies in another file.
        append(&store, 200..250).expect("there is room");
        store.sync().expect_err("the file is still needed");
        let found = recover(&files.after_power_cut(1)).records;
        assert!((200..250).all(|id| found.contains_key(&id)), "{way:?}");
        let mut consumer = store.consumer(0).expect("nobody has it");
        let batch = consumer
            .next(200, usize::MAX)
            .expect("it can be read")
            .expect("there is some");
        consumer.settle(batch, 0);
        store.sync().unwrap_or_else(|error| panic!("{way:?}: {error}"));
        assert_eq!(store.account(0).pending, 50);
    }
}

#[test]
fn directory_sync_that_failed_is_tried_again() {
    let files = disk();
    let store = store(&files, settings(1, MIB, 0));
    append(&store, 0..10).expect("there is room");
    files.plan(|call| match call.operation {
        Operation::SyncDir => Fate::Fail(ErrorKind::Other),
        _ => Fate::Succeed,
    });
    store.sync().expect_err("it was made to fail");
    files.forget_plan();
    store.sync().expect("all is well");
    for seed in 0..CUTS {
        assert_eq!(recover(&files.after_power_cut(seed)).records.len(), 10);
    }
}

// ---- any call ---------------------------------------------------------------------------------------------------------

/// Everything a store does, in some 200 calls. Tells what was committed and what was delivered.
fn use_store(files: &FakeFiles, progress: &Mutex<Progress>) {
    let store = store(files, settings(1, 300 << 10, 0));
    let mut consumer = store.consumer(0).expect("nobody has it");
    let mut lease: Option<Lease> = None;
    let number = store.source(&source(1));
    for n in 0..10 {
        let ids = n * 100..n * 100 + 60;
        lock(progress).begun.extend(ids.clone());
        if append(&store, ids.clone()).is_ok() {
            lock(progress).committed.extend(ids);
        }
        for id in n * 100 + 60..n * 100 + 100 {
            let body = body(id);
            if lease
                .as_ref()
                .is_none_or(|lease| lease.place(number, body.len()).is_none())
            {
                lease.take().iter().for_each(|lease| store.close(lease));
                lease = store.lease(number, body.len(), UNIT);
            }
            let Some(lease) = &mut lease else { continue };
            let place = lease.place(number, body.len()).expect("there is room");
            lock(progress).begun.insert(id);
            lease.append(place, Kind::Finished, number, Body::new(&body));
            lock(progress).committed.insert(id);
        }
        store.seal();
        store.maintain(after(n * 100));
        let _ = store.sync();
        if let Ok(Some(batch)) = consumer.next(80, usize::MAX) {
            let ids: Vec<_> = super::ids(&batch).into_iter().map(|(id, _)| id).collect();
            lock(progress).settled.extend(&ids);
            consumer.settle(batch, 0);
        }
    }
    lease.iter().for_each(|lease| store.close(lease));
    let evicted = store.account(0).dropped[Dropped::Quota as usize];
    lock(progress).evicted = Some(evicted);
    let account = store.account(0);
    let progress = lock(progress);
    assert_eq!(account.delivered, progress.settled.len() as u64);
    let all = account.delivered + account.pending + evicted;
    assert_eq!(all, progress.committed.len() as u64);
}

#[derive(Default)]
struct Progress {
    begun: BTreeSet<u64>,
    committed: BTreeSet<u64>,
    settled: BTreeSet<u64>,
    evicted: Option<u64>,
}

fn calls_of_use(way: (Tier, FileSystem, bool)) -> u64 {
    let files = disk_for(way);
    use_store(&files, &Mutex::default());
    files.calls()
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn process_stopped_at_any_call_leaves_every_pending_record() {
    for way in WAYS {
        let calls = calls_of_use(way);
        for last in (1..=calls).step_by(1 + calls as usize / 60) {
            let files = disk_for(way);
            files.plan(move |call| if call.number == last { Fate::Stop } else { Fate::Succeed });
            let progress = Mutex::default();
            assert!(run_until_stop(|| use_store(&files, &progress)).is_none());
            let progress = lock(&progress);
            let found = recover(&files.after_crash());
            assert!(
                found.records.keys().all(|id| progress.begun.contains(id)),
                "{way:?}, {last}"
            );
            // The store is as large as what is pending: none of that was evicted.
            let lost = progress.committed.iter().filter(|id| !found.records.contains_key(id));
            let lost: Vec<_> = lost.filter(|id| !progress.settled.contains(id)).collect();
            assert!(lost.is_empty(), "{way:?}, stopped at {last}: {lost:?}");
            assert!(
                found.damaged.len() <= 1,
                "at most one record was being written: {:?}",
                found.damaged
            );
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn call_that_fails_leaves_the_accounts_right() {
    for way in WAYS {
        let calls = calls_of_use(way);
        for failing in (1..=calls).step_by(1 + calls as usize / 30) {
            for kind in [ErrorKind::StorageFull, ErrorKind::PermissionDenied] {
                let files = disk_for(way);
                files.plan(move |call| {
                    if call.number == failing {
                        Fate::Fail(kind)
                    } else {
                        Fate::Succeed
                    }
                });
                use_store(&files, &Mutex::default());
            }
        }
    }
}

// ---- damage -----------------------------------------------------------------------------------------------------------

/// Somebody writes into a file of a living process.
#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn damaged_records_are_counted_and_the_others_delivered() {
    const RECORDS: u64 = 60;
    for way in WAYS {
        for is_cut in [false, true] {
            let files = disk_for(way);
            let store = store(&files, settings(2, MIB, 0));
            append(&store, 1..=RECORDS).expect("there is room");
            store.seal();
            let places = recover(&files.after_crash()).records;
            let name = format!("{DIRECTORY}/segments-0000");
            let file = files
                .shared()
                .open(name.as_ref(), crate::files::How::Write)
                .expect("it is there");
            // A byte of a body costs the record, a commit word that nobody understands all behind it.
            let (_, at) = places[&30];
            let hit = if is_cut { at } else { at + 40 };
            file.write_at(&[0xff; 3], hit as u64).expect("there is room");
            let damaged = if is_cut { RECORDS - 29 } else { 1 };
            let mut consumer = store.consumer(0).expect("nobody has it");
            let mut delivered = BTreeSet::new();
            while let Some(batch) = consumer.next(7, usize::MAX).expect("it can be read") {
                for run in batch.runs() {
                    let bodies = run
                        .payloads
                        .iter()
                        .map(|payload| &payload[crate::format::record::FRAME..]);
                    delivered.extend(bodies.map(id));
                }
                consumer.settle(batch, 0);
            }
            let lost = if is_cut { 30..=RECORDS } else { 30..=30 };
            let expected: BTreeSet<_> = (1..=RECORDS).filter(|id| !lost.contains(id)).collect();
            assert_eq!(delivered, expected, "{way:?}, {is_cut}");
            let account = store.account(0);
            assert_eq!(
                (account.delivered, account.pending),
                (RECORDS - damaged, 0),
                "{way:?}, {is_cut}"
            );
            assert_eq!(account.dropped[Dropped::Damaged as usize], damaged, "{way:?}, {is_cut}");
            assert_eq!(store.pending(0), (0, 0));
            assert_eq!(store.account(1).pending, RECORDS);
        }
    }
}

/// A free range of 416 KiB is cut: its first part becomes warm, the second is leased. Recovery, which goes from header to
/// header, stepped over both.
#[test]
#[cfg_attr(miri, ignore = "it takes minutes")]
fn range_cut_into_parts_hides_none_of_them() {
    let files = disk();
    let store = store(&files, settings(1, 480 << 10, 0));
    // Bodies of some 20 KB: the first batch takes all of the second file.
    let long = |ids: std::ops::Range<u64>| ids.map(|n| 13 + 61 * n);
    append(&store, long(0..20)).expect("there is room");
    store.seal();
    deliver(&store);
    let lease = store
        .lease(store.source(&source(0)), 0, 48 << 10)
        .expect("there is a stock");
    store.maintain(after(1));
    append(&store, long(20..28)).expect("there is room");
    let found = recover(&files.after_crash());
    assert_eq!(
        found.records.into_keys().collect::<Vec<_>>(),
        long(20..28).collect::<Vec<_>>()
    );
    assert_eq!(found.damaged, Vec::<String>::new());
    store.close(&lease);
}
