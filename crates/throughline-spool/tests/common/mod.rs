//! A recorder and spans to write, for tests that need a process of their own.

use throughline_spool::{Destination, Limits, Manifest, OpenSpan, Root, Settings, Start, Tier};

pub fn settings(root: Option<Root>, tier: Option<Tier>, limits: Limits, destinations: u8) -> Settings {
    let destination = |n: u8| Destination {
        name: format!("backend {n}"),
        identity: [n + 1; 16],
        ..Destination::default()
    };
    let manifest = Manifest {
        service: "test".into(),
        destinations: (0..destinations).map(destination).collect(),
        ..Manifest::default()
    };
    Settings {
        limits,
        tier,
        ..Settings::new(root, manifest)
    }
}

/// Starts and ends the nth span, which has about `bytes` bytes.
pub fn span(n: u64, bytes: usize) {
    let start = Start {
        trace_id: [1; 16],
        span_id: (n + 1).to_be_bytes(),
        parent_span_id: [9; 8],
        flags: 0x101,
        kind: 1,
        start_unix_nano: 1_000 + n,
        source: throughline_spool::scope(b"", ""),
    };
    let span = OpenSpan::start(&start, &"x".repeat(bytes)).expect("tracing is on");
    span.end(2_000 + n);
}
