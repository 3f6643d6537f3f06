//! Tracestate and baggage that came in travel through all local spans without an allocation per span, sampled or not.

use allocation_counter::measure;
use throughline::{extract, span};
use throughline_testkit::Spool;

#[test]
fn tracestate_and_baggage_allocate_nothing_for_children() {
    let spool = Spool::new().expect("a private directory");
    let _tracing = throughline::builder("relaying").spool_dir(spool.path()).init();
    for flags in ["00", "01"] {
        let incoming = extract([
            (
                "traceparent",
                format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}"),
            ),
            ("tracestate", "vendor=1".to_owned()),
            ("baggage", "user=ada,shop=ulm".to_owned()),
        ])
        .expect("all three are valid");
        let work = || {
            let mut outer = span!(parent: &incoming, kind: Server, "outer", id = 1);
            outer.in_scope(|| {
                let inner = span!("inner").enter();
                inner.set("key", "value");
                inner.status_error("with a message");
            });
        };
        // The first spans get slots, and memory that is kept for the next.
        (0..100).for_each(|_| work());
        // The spool takes a new segment now and then.
        let fewest = (0..20).map(|_| measure(work).count_total).min();
        assert_eq!(fewest, Some(0), "{flags}");
    }
}
