//! The tier for file systems that cannot be mapped safely: the same records by `write(2)`, read back by another process's
//! means while their own lives.

mod common;

use common::{settings, span};
use throughline_spool::{Limits, Place, Reader, Recorder, Root, State, Tier};
use throughline_wire::SpanView;

#[test]
fn written_files_keep_what_was_committed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = Root::open(directory.path().join("spool")).expect("it can be made");
    let recorder =
        Recorder::install(settings(Some(root.clone()), Some(Tier::Written), Limits::default(), 1)).expect("one");
    assert_eq!(
        (
            recorder.store().tier(),
            recorder.refusal(),
            recorder.store().is_failing()
        ),
        (Tier::Written, None, false)
    );
    // From short ones to those that have outgrown their slot and get a segment of their own.
    let sizes = (0..2_000).map(|n| n as usize * 7 % 3_000).chain([100_000, 1_500_000]);
    let count = sizes.enumerate().map(|(n, bytes)| span(n as u64, bytes)).count();

    let read = || {
        let contents = Reader::new(root.path()).read();
        assert_eq!(contents.problems, Vec::<String>::new());
        contents.spans
    };
    let spans = read();
    assert_eq!(spans.len(), count);
    for span in &spans {
        let view = SpanView::new(&span.body);
        assert_eq!((span.state, span.place), (State::Finished, Place::Pending));
        assert_eq!(view.end_time_unix_nano(), view.start_time_unix_nano() + 1_000);
        assert!(view.name().bytes().all(|byte| byte == b'x'));
    }

    // Cursors go to the file as well.
    let mut consumer = recorder.store().consumer(0).expect("nobody has it");
    while let Some(batch) = consumer.next(100, 2 << 20).expect("it can be read") {
        consumer.settle(batch, 0);
    }
    assert!(read().iter().all(|span| span.place == Place::Delivered));
}
