//! Every destination gets every span, whatever becomes of the others.

use std::time::Duration;

use throughline::{Destination, span};
use throughline_testkit::{Answer, Receiver, Spool};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_destination_gets_every_span_and_one_that_is_down_holds_up_nobody() {
    let spool = Spool::new().expect("a private directory");
    let well = Receiver::start().expect("loopback has a free port");
    let refusing = Receiver::with(|_| Answer::status(400)).expect("loopback has a free port");
    let mut down = Receiver::start().expect("loopback has a free port");
    down.stop();
    let to = |receiver: &Receiver, key: &str| {
        Destination::otlp(receiver.endpoint())
            .header("x-api-key", key)
            .timeout(Duration::from_secs(5))
    };
    let tracing = throughline::builder("many")
        .spool_dir(spool.path())
        .destination(to(&well, "one"))
        .destination(to(&refusing, "two"))
        .destination(to(&down, "three"))
        .destination(to(&well, "one"))
        .destination(Destination::otlp("ftp://nowhere"))
        .init();
    (0..1000).for_each(|n| span!("work", n).end());
    let open = span!("open");
    let report = tracing.flush(Duration::from_secs(3)).wait();
    let each: Vec<_> = report
        .destinations()
        .map(|to| (to.delivered(), to.pending(), to.dropped(), to.is_complete()))
        .collect();
    assert_eq!(
        each,
        [(1000, 0, 0, true), (0, 0, 1000, false), (0, 1000, 0, false)],
        "{report}"
    );
    assert_eq!(
        (report.started(), report.live(), report.is_complete()),
        (1001, 1, false)
    );
    let spans = well.spans();
    assert_eq!(spans.len(), 1000);
    assert!(
        spans
            .iter()
            .all(|span| span.headers.get("x-api-key").is_some_and(|key| key == "one"))
    );

    open.end();
    down.restart().expect("the port is still free");
    assert_eq!(down.wait_for(1001, PATIENCE).expect("it comes back").len(), 1001);
    let report = futures::executor::block_on(tracing.shutdown(PATIENCE));
    let delivered: Vec<_> = report.destinations().map(|to| to.delivered()).collect();
    assert_eq!(delivered, [1001, 0, 1001], "{report}");
}
