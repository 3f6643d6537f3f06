//! Where telemetry is suppressed nothing is recorded, whatever is entered there.

use throughline::testing;
use throughline_tracing::{layer, subscriber};
use tracing::{Dispatch, dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[test]
fn span_that_is_entered_leaves_suppression_as_it_is() {
    for (how, dispatch) in [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().no_lines())),
    ] {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let a = info_span!("a").entered();
            let suppressed = throughline_context::suppress();
            let (b, c) = (info_span!("b"), info_span!("c"));
            for span in [&b, &c, &a] {
                span.in_scope(|| {
                    info!("not recorded");
                    info_span!("not recorded").in_scope(|| {});
                    assert!(throughline_context::ids().is_suppressed(), "{how}");
                });
            }
            drop(suppressed);
            info_span!("d").in_scope(|| info!("recorded"));
        });
        capture.assert_tree("a\n  d");
        assert_eq!(capture.span("a").events().count(), 0, "{how}");
        assert_eq!(capture.span("d").events().count(), 1, "{how}");
    }
}
