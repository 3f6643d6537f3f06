//! What a store keeps is bounded, also when nobody asks it anything.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{append, disk, settings, source, store};
use crate::format::header::UNIT;
use crate::store::Store;
use crate::store::chunk::Chunk;
use crate::store::store::lock;

const MIB: u64 = 1 << 20;

fn deliver(store: &Arc<Store>) {
    let mut consumer = store.consumer(0).expect("nobody else reads");
    while let Some(batch) = consumer.next(1000, 1 << 20).expect("it can be read") {
        consumer.settle(batch, 0);
    }
}

#[test]
fn history_is_within_its_limit_soon_after_an_outage() {
    let files = disk();
    let store = store(&files, settings(1, 16 * MIB, MIB));
    let mut now = Instant::now();
    let mut id = 0;
    while store.file_bytes() < 14 * MIB {
        append(&store, id..id + 400).expect("there is room");
        id += 400;
        now += Duration::from_millis(10);
        store.maintain(now);
    }
    store.seal();
    deliver(&store);
    for _ in 0..20 {
        now += Duration::from_secs(30);
        store.maintain(now);
    }
    assert!(store.history_bytes() <= MIB, "{} bytes", store.history_bytes());
}

#[test]
fn segments_that_were_evicted_are_gone_although_nobody_counts() {
    let files = disk();
    let store = store(&files, settings(0, MIB, MIB));
    let number = store.source(&source(0));
    let mut now = Instant::now();
    let mut segments = Vec::new();
    for _ in 0..500 {
        let lease = store.lease(number, 100, UNIT).expect("something makes way");
        segments.push(Arc::downgrade(lease.segment()));
        store.close(&lease);
        drop(lease);
        now += Duration::from_millis(10);
        store.maintain(now);
    }
    let alive = segments.iter().filter(|segment| segment.strong_count() > 0).count();
    assert!(alive as u64 <= 2 * MIB / UNIT as u64, "{alive} of 500");
}

#[test]
fn memory_that_stood_in_for_a_full_disk_is_given_back() {
    let files = disk();
    let store = store(&files, settings(1, 64 * MIB, 0));
    let mut chunks: Vec<Weak<Chunk>> = Vec::new();
    let mut now = Instant::now();
    let mut id = 0;
    for _ in 0..3 {
        files.set_capacity(files.used());
        for _ in 0..100 {
            append(&store, id..id + 40).expect("memory stands in");
            id += 40;
        }
        let index = lock(&store.index);
        let ranges = index.active_from(0).map(|segment| segment.range());
        chunks.extend(
            ranges
                .filter(|range| range.chunk.is_in_memory())
                .map(|range| Arc::downgrade(&range.chunk)),
        );
        drop(index);
        files.set_capacity(u64::MAX);
        for _ in 0..3 {
            now += Duration::from_secs(100);
            store.maintain(now);
        }
        store.seal();
        deliver(&store);
        for _ in 0..3 {
            now += Duration::from_secs(100);
            store.maintain(now);
        }
    }
    assert!(!chunks.is_empty(), "the disk was full");
    let alive = chunks.iter().filter(|chunk| chunk.strong_count() > 0).count();
    assert_eq!((alive, store.memory_bytes()), (0, 0));
}
