//! Formats other than W3C carry a trace through a program: ids, decision, debug flag, baggage and what else came along.

use std::collections::BTreeMap;

use throughline::{Propagator, Sampler, extract, inject, propagation_fields, span};
use throughline_testkit::Spool;

#[test]
fn formats_of_others_go_through_local_spans() {
    let spool = Spool::new().expect("a private directory");
    let _tracing = throughline::builder("propagators")
        .spool_dir(spool.path())
        .sampler(Sampler::always_off().parent_based())
        .propagators([
            Propagator::B3,
            Propagator::B3Multi,
            Propagator::Jaeger,
            Propagator::XRay,
            Propagator::B3,
        ])
        .init();
    assert_eq!(propagation_fields().len(), 8, "{:?}", propagation_fields());

    for (headers, trace_id, is_recorded, b3) in [
        (
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d")][..],
            "80f198ee56343ba864fe8b2a57d3eff7",
            true,
            "d",
        ),
        (
            &[("b3", "64fe8b2a57d3eff7-e457b5a2e4d86bd1-1")],
            "000000000000000064fe8b2a57d3eff7",
            true,
            "1",
        ),
        // The decision is left to this side, whose sampler records no new trace.
        (
            &[("b3", "64fe8b2a57d3eff7-e457b5a2e4d86bd1")],
            "000000000000000064fe8b2a57d3eff7",
            false,
            "0",
        ),
        (
            &[("uber-trace-id", "1:2:0:1"), ("uberctx-plan", "pro")],
            "00000000000000000000000000000001",
            true,
            "1",
        ),
        (
            &[(
                "x-amzn-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=7",
            )],
            "5759e988bd862e3fe1be46a994272793",
            true,
            "1",
        ),
    ] {
        let remote = extract(headers.iter().copied()).expect("it is valid");
        let server = span!(parent: &remote, kind: Server, "server").enter();
        assert_eq!(server.is_recording(), is_recorded, "{headers:?}");
        let client = span!(kind: Client, "client").enter();
        let span_id = client.context().span_id().expect("it has one").to_string();
        let sent: BTreeMap<String, String> = inject(BTreeMap::new());
        assert_eq!(sent["b3"], format!("{trace_id}-{span_id}-{b3}"));
        assert_eq!(sent["x-b3-traceid"], trace_id);
        assert_eq!(sent.contains_key("x-b3-flags"), b3 == "d");
        assert!(sent["uber-trace-id"].starts_with(&format!("{trace_id}:{span_id}:0:")));
        assert_eq!(
            sent.get("uberctx-plan").map(String::as_str),
            headers.get(1).map(|_| "pro")
        );
        assert_eq!(
            sent["x-amzn-trace-id"].ends_with(";Lineage=7"),
            headers[0].0.starts_with("x-amzn")
        );
    }

    let denied = extract([("b3", "0")]).expect("a decision");
    assert!(!span!(parent: &denied, "not recorded").is_recording());
    assert!(extract([("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]).is_none());
}
