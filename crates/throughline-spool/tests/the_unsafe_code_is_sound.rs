//! The whole way of a span in memory alone, small enough for Miri:
//! `cargo +nightly miri test -p throughline-spool --test the_unsafe_code_is_sound`.

use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

use throughline_spool::{
    Destination, EnteredSpan, Identity, Limits, Manifest, OpenSpan, Settings, Spool, Start, Tail, with_entered,
};
use throughline_wire::{SpanView, request};

/// More under a real processor, where it costs nothing.
const MANY: u64 = if cfg!(miri) { 40 } else { 4000 };

fn start(name: &str, n: u64) -> OpenSpan {
    let start = Start {
        trace_id: [1; 16],
        span_id: (n + 1).to_le_bytes(),
        parent_span_id: [if n == 0 { 0 } else { 9 }; 8],
        flags: 0x101,
        kind: 1,
        start_unix_nano: 10 + n,
        scope: throughline_spool::scope(b""),
    };
    OpenSpan::start(&start, name).expect("tracing is on")
}

/// An attribute's field, `n` bytes long in all.
fn field(span: &mut OpenSpan, n: usize) -> bool {
    span.append(n, |out| {
        out.fill(0);
        // A count field of few bytes, padded by continuation bytes, would do; unknown fields are simplest to check.
        out[0] = 0xfa;
        out[1] = 0x07;
        let len = out.len() - 4;
        out[2] = len as u8 & 0x7f | 0x80;
        out[3] = (len >> 7) as u8 & 0x7f;
    })
}

#[test]
fn spans_are_written_read_and_settled_in_memory() {
    let manifest = Manifest {
        owner: Identity::default(),
        created: SystemTime::UNIX_EPOCH,
        service: "test".into(),
        resource: Vec::new(),
        schema_url: String::new(),
        destinations: vec![Destination {
            name: "somewhere".into(),
            fingerprint: vec![1],
        }],
    };
    let settings = Settings {
        root: None,
        manifest,
        limits: Limits::default(),
        tier: None,
        tick: || {},
        forked: |_| {},
    };
    let spool = Spool::install(settings.clone()).expect("the first one");
    assert!(std::ptr::eq(
        Spool::install(settings).expect_err("the second one"),
        spool
    ));

    // Ended on this thread, on others, and in between two of its own.
    let (sender, receiver) = mpsc::channel::<OpenSpan>();
    let ender = thread::spawn(move || receiver.into_iter().for_each(|span| span.end(99)));
    for n in 0..MANY {
        let mut span = start("a name longer than one word", n);
        assert!(field(&mut span, 30));
        match n % 4 {
            0 => sender.send(span).expect("the thread waits for more"),
            1 => drop(span),
            _ => span.end(99),
        }
    }
    drop(sender);
    ender.join().expect("it ends well");

    // Grown beyond the slot, then spliced, longer and shorter.
    let mut long = start("", MANY);
    (0..20).for_each(|_| assert!(field(&mut long, 100)));
    assert!(long.splice(2..102, 200, |out| {
        out.copy_from_slice(&[&[0xfa, 0x07, 0xc4, 0x01], &[0; 196][..]].concat());
    }));
    assert!(long.splice(2..202, 0, |_| ()));
    assert_eq!(long.fields().len(), 2 + 1900);
    long.end(99);
    let mut short = start("x", MANY + 1);
    assert!(field(&mut short, 50) && short.splice(3..53, 0, |_| ()));
    assert_eq!(short.fields(), [0x2a, 1, b'x']);
    short.end(99);

    // Entered, reached from below, and never twice at a time.
    let id = (MANY + 3).to_le_bytes();
    let entered = EnteredSpan::new(start("entered", MANY + 2));
    assert_eq!(with_entered(id, |span| field(span, 20)), Some(true));
    assert_eq!(with_entered([0; 8], |_| ()), None, "another span's id");
    assert_eq!(
        entered.with(|_| with_entered(id, |_| ())),
        Some(None),
        "inside another use"
    );
    assert_eq!(
        with_entered(id, |_| entered.with(|_| ())),
        Some(None),
        "inside another use"
    );
    let inner = EnteredSpan::new(start("inner", MANY + 3));
    entered.leave().end(99);
    assert_eq!(with_entered(id, |_| ()), None, "it has ended");
    let mut inner = inner.leave();
    assert_eq!(with_entered(id, |_| ()), None, "what is entered has ended");
    inner.scope(|| assert!(with_entered((MANY + 4).to_le_bytes(), |_| ()).is_some()));
    inner.end(99);

    let ended = MANY - MANY / 4 + 4;
    let account = spool.account(0);
    assert_eq!((account.started, account.live), (MANY + 4, 0));
    assert_eq!((account.pending, account.delivered), (ended, 0));
    assert_eq!(account.dropped.iter().sum::<u64>(), MANY / 4, "given up, unended");

    // Read in two batches, settled one by one.
    let mut tail = Tail::new(spool, 0);
    let mut seen = Vec::new();
    while let Some(batch) = tail.next(ended as usize / 2 + 1, usize::MAX) {
        for run in batch.runs() {
            let mut body = Vec::new();
            request::append_resource_spans(&mut body, &[], "", &[(&[], &run.payload)]);
            for resource in request::resource_spans(&body) {
                for scope in resource.expect("well formed").scope_spans() {
                    for span in scope.expect("well formed").spans() {
                        seen.push(end_and_id(&span.expect("well formed")));
                    }
                }
            }
        }
        tail.settle(&batch, 0);
    }
    seen.sort_unstable();
    let expected: Vec<_> = (0..MANY + 4)
        .filter(|n| *n >= MANY || n % 4 != 1)
        .map(|n| (99, n + 1))
        .collect();
    assert_eq!(seen, expected);
    let account = spool.account(0);
    assert_eq!((account.pending, account.delivered), (0, ended));
    assert_eq!(tail.pending(), (0, 0));
}

fn end_and_id(span: &SpanView<'_>) -> (u64, u64) {
    (
        span.end_time_unix_nano(),
        u64::from_le_bytes(span.span_id().expect("an id").to_bytes()),
    )
}
