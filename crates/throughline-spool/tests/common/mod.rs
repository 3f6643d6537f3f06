//! A spool to open and spans to write, for tests that need a process of their own.

use std::time::SystemTime;

use throughline_spool::{Destination, Identity, Limits, Manifest, OpenSpan, Root, Settings, Start, Tier};

pub fn settings(root: Option<Root>, tier: Option<Tier>, limits: Limits, destinations: usize) -> Settings {
    let destination = |n: usize| Destination {
        name: format!("backend {n}"),
        fingerprint: vec![n as u8 + 1],
    };
    let manifest = Manifest {
        owner: Identity::default(),
        created: SystemTime::UNIX_EPOCH,
        service: "test".into(),
        resource: Vec::new(),
        schema_url: String::new(),
        destinations: (0..destinations).map(destination).collect(),
    };
    Settings {
        root,
        manifest,
        limits,
        tier,
        tick: || {},
        forked: |_| {},
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
        scope: throughline_spool::scope(b""),
    };
    let span = OpenSpan::start(&start, &"x".repeat(bytes)).expect("tracing is on");
    span.end(2_000 + n);
}
