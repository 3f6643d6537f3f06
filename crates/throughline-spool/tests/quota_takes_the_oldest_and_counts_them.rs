//! With a backend that takes nothing, a spool stays within its limit, and what is evicted is counted.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;

use common::{settings, span};
use throughline_spool::{Dropped, Limits, Reader, Recorder, Root};
use throughline_wire::SpanView;

const LIMIT: u64 = 8 << 20;
const HISTORY: u64 = 1 << 20;
const SPANS: u64 = 60_000;

#[test]
fn quota_takes_the_oldest_and_counts_them() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::open(directory.path().join("spool")).expect("it can be made");
    let limits = Limits {
        pending: LIMIT - HISTORY,
        history: HISTORY,
        ..Limits::default()
    };
    let recorder = Recorder::install(settings(Some(root.clone()), None, limits, 1)).expect("the first one");
    // Some 24 MB, three times what there is room for.
    (0..SPANS).for_each(|n| span(n, 400));

    // What is read is of the moment between two accounts that are the same: maintenance goes on evicting for a while.
    let (account, contents) = loop {
        let before = recorder.account(0);
        let contents = Reader::new(root.path()).read();
        let after = recorder.account(0);
        assert_eq!(after.pending + after.dropped.iter().sum::<u64>(), SPANS, "{after:?}");
        if before == after {
            break (after, contents);
        }
    };
    let dropped: u64 = account.dropped.iter().sum();
    assert_eq!((account.started, account.live, account.delivered), (SPANS, 0, 0));
    assert_eq!(account.pending + dropped, SPANS, "{account:?}");
    assert_eq!(account.dropped[Dropped::Quota as usize], dropped, "for no other reason");
    assert!(dropped > SPANS / 2 && account.pending > SPANS / 5, "{account:?}");

    // What is left is the newest, without a gap.
    assert_eq!(contents.problems, Vec::<String>::new());
    let mut starts: Vec<_> = contents
        .spans
        .iter()
        .map(|span| SpanView::new(&span.body).start_time_unix_nano())
        .collect();
    starts.sort_unstable();
    assert!(starts.into_iter().eq(1_000 + dropped..1_000 + SPANS));
    let chunks = fs::read_dir(recorder.path().expect("it is in files")).expect("it can be listed");
    let bytes: u64 = chunks
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("it is there").blocks() * 512)
        .sum();
    assert!(bytes <= LIMIT + (1 << 20), "{bytes} bytes are on file");

    // Once delivered, all of it is history, and of that less is kept.
    let mut consumer = recorder.store().consumer(0).expect("nobody has it");
    while let Some(batch) = consumer.next(512, 2 << 20).expect("it can be read") {
        consumer.settle(batch, 0);
    }
    let delivered = recorder.account(0);
    assert_eq!(
        (
            delivered.pending,
            delivered.delivered + delivered.dropped[Dropped::Quota as usize]
        ),
        (0, SPANS)
    );
    (SPANS..SPANS + 10_000).for_each(|n| span(n, 400));
    let account = recorder.account(0);
    assert_eq!(
        account.dropped, delivered.dropped,
        "history that is evicted is not dropped"
    );
    assert_eq!(account.pending, 10_000);
}
