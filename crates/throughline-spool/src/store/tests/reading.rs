//! Readers and what stands in their way.

use std::sync::Arc;

use super::{append, disk, ids, settings, store};
use crate::files::fake::{Fate, Operation};
use crate::store::StoreSettings;
use crate::store::segment::Segment;
use crate::store::store::lock;
use crate::store::tier::Tier;

#[test]
fn segment_that_cannot_be_read_does_not_keep_back_the_others() {
    let files = disk();
    let tier = Some(Tier::Written);
    let store = store(
        &files,
        StoreSettings {
            tier,
            ..settings(1, 16 << 20, 0)
        },
    );
    for n in 0..3 {
        append(&store, n * 10..n * 10 + 10).expect("there is room");
        store.seal();
    }
    let fail_reads = |most: u32| {
        let mut reads = 0;
        files.plan(move |call| {
            reads += u32::from(call.operation == Operation::ReadAt);
            match call.operation {
                Operation::ReadAt if reads <= most => Fate::Fail(std::io::ErrorKind::Other),
                _ => Fate::Succeed,
            }
        });
    };
    fail_reads(1);
    let mut consumer = store.consumer(0).expect("nobody else reads");
    let batch = consumer
        .next(1000, 1 << 20)
        .expect("two can be read")
        .expect("there are records");
    let found: Vec<_> = ids(&batch).into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, (10..30).collect::<Vec<_>>());
    consumer.settle(batch, 0);
    fail_reads(u32::MAX);
    assert!(consumer.next(1000, 1 << 20).is_err(), "the first is still there");
    files.forget_plan();
    let batch = consumer
        .next(1000, 1 << 20)
        .expect("now it can")
        .expect("there are records");
    assert_eq!(batch.records(), 10);
}

/// What somebody reads does not make way, so it must not count as room either: all else would go for nothing.
#[test]
fn batch_that_finds_no_room_beside_what_is_read_evicts_nothing() {
    for tier in [Tier::Mapped, Tier::Written] {
        let files = disk();
        let tier = Some(tier);
        let store = store(
            &files,
            StoreSettings {
                tier,
                ..settings(1, 256 << 10, 0)
            },
        );
        let mut n = 0;
        while store.evicted_undelivered() == 0 {
            append(&store, n * 10..n * 10 + 8).expect("the oldest make way");
            store.seal();
            n += 1;
        }
        let middle =
            |segment: &&Arc<Segment>| segment.range().chunk.number() == 1 && segment.range().offset >= 96 << 10;
        let middle = lock(&store.index).active_from(0).find(middle).cloned();
        let pin = middle.and_then(|middle| middle.pin()).expect("it is there");
        let before = store.account(0);
        // Some 150 KB, for which there is room on neither side.
        append(&store, (0..5).map(|n| 13 + 61 * (1000 + n))).expect_err("there is no room in one piece");
        assert_eq!(store.account(0), before, "{tier:?}");
        drop(pin);
    }
}
