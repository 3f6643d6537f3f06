//! A registry gives the same id to another span after 8191 uses of a place.

use throughline::Context;
use tracing::info_span;
use tracing::subscriber::with_default;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[test]
fn span_with_the_id_of_a_suppressed_one_is_entered() {
    let directory = tempfile::tempdir().expect("a directory");
    let _tracing = throughline::builder("ids").spool_dir(directory.path()).init();
    with_default(registry().with(throughline_tracing::layer()), || {
        {
            let _nothing_is_traced = throughline_context::suppress();
            drop(info_span!("suppressed"));
        }
        for number in 0..20_000 {
            info_span!("request").in_scope(|| assert!(Context::current().span_id().is_some(), "request {number}"));
        }
    });
}
