//! Readers and what stands in their way.

use super::{append, disk, ids, settings, store};
use crate::files::fake::{Fate, Operation};
use crate::store::StoreSettings;
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
    let mut tail = store.tail(0).expect("nobody else reads");
    let batch = tail
        .next(1000, 1 << 20)
        .expect("two can be read")
        .expect("there are records");
    let found: Vec<_> = ids(&batch).into_iter().map(|(id, _)| id).collect();
    assert_eq!(found, (10..30).collect::<Vec<_>>());
    tail.settle(batch, 0);
    fail_reads(u32::MAX);
    assert!(tail.next(1000, 1 << 20).is_err(), "the first is still there");
    files.forget_plan();
    let batch = tail
        .next(1000, 1 << 20)
        .expect("now it can")
        .expect("there are records");
    assert_eq!(batch.records(), 10);
}
