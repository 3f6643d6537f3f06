//! Spans that are closed after tracing was shut down harm nobody, and none is lost.

use std::collections::HashMap;
use std::time::Duration;

use throughline::{extract, inject};
use throughline_tracing::{SpanExt as _, layer, subscriber};
use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

const PATIENCE: Duration = Duration::from_secs(30);

/// One process, and so one test: the counts are those of the process.
#[test]
fn spans_around_a_shutdown_are_all_accounted_for() {
    let directory = tempfile::tempdir().expect("a directory");
    let tracing = throughline::builder("shutdown").spool_dir(directory.path()).init();
    // It belongs to the same tracing, which the first call has set up.
    let same = throughline::builder("shutdown").spool_dir(directory.path()).init();
    let dispatches = [
        Dispatch::new(registry().with(layer())),
        Dispatch::new(subscriber().no_lines()),
    ];
    let headers = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let late: Vec<_> = dispatches
        .iter()
        .map(|dispatch| {
            dispatcher::with_default(dispatch, || {
                let late = info_span!("late");
                late.set_parent(extract(headers)).expect("it is new");
                for _ in 0..100 {
                    info_span!("early").in_scope(|| info!("event"));
                }
                late
            })
        })
        .collect();
    drop(tracing.shutdown(PATIENCE).wait());
    for (dispatch, late) in dispatches.iter().zip(late) {
        dispatcher::with_default(dispatch, || {
            late.in_scope(|| {
                let headers: HashMap<String, String> = inject(HashMap::new());
                assert!(headers["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
                info_span!("after").in_scope(|| info!("event"));
            });
            drop(late);
        });
    }
    let report = same.flush(PATIENCE).wait();
    assert_eq!((report.live(), report.dropped()), (0, 0), "{report:?}");
    assert_eq!(
        report.started(),
        204,
        "a parent that is set makes no span more: {report:?}"
    );
    assert_eq!(report.delivered() + report.pending(), report.started(), "{report:?}");
}
