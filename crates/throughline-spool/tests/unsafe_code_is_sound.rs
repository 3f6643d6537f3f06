//! The whole way of a span in memory alone, small enough for Miri:
//! `cargo +nightly miri test -p throughline-spool --test unsafe_code_is_sound`.

use std::sync::mpsc;
use std::thread;

use throughline_spool::{
    Destination, EnteredSpan, Manifest, OpenSpan, Recorder, Recording, Settings, Start, with_entered,
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
        source: throughline_spool::scope(b"", ""),
    };
    OpenSpan::start(&start, name).expect("tracing is on")
}

/// An attribute's field, `n` bytes long in all.
fn field(mut span: Recording<'_>, n: usize) -> bool {
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
        service: "test".into(),
        destinations: vec![Destination {
            name: "somewhere".into(),
            identity: [1; 16],
            ..Destination::default()
        }],
        ..Manifest::default()
    };
    let settings = Settings::new(None, manifest);
    let recorder = Recorder::install(settings.clone()).expect("the first one");
    assert!(std::ptr::eq(
        Recorder::install(settings).expect_err("the second one"),
        recorder
    ));

    // Ended on this thread, on others, and in between two of its own.
    let (sender, receiver) = mpsc::channel::<OpenSpan>();
    let ender = thread::spawn(move || receiver.into_iter().for_each(|span| span.end(99)));
    for n in 0..MANY {
        let mut span = start("a name longer than one word", n);
        assert!(field(span.recording(), 30));
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
    (0..20).for_each(|_| assert!(field(long.recording(), 100)));
    assert!(long.splice(2..102, 200, |out| {
        out.copy_from_slice(&[&[0xfa, 0x07, 0xc4, 0x01], &[0; 196][..]].concat());
    }));
    assert!(long.splice(2..202, 0, |_| ()));
    assert_eq!(long.fields().len(), 2 + 1900);
    long.end(99);
    let mut short = start("x", MANY + 1);
    assert!(field(short.recording(), 50) && short.splice(3..53, 0, |_| ()));
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
    entered.leave().expect("it is not in use").end(99);
    assert_eq!(with_entered(id, |_| ()), None, "it has ended");
    let mut inner = inner.leave().expect("it is not in use");
    assert_eq!(with_entered(id, |_| ()), None, "what is entered has ended");
    inner.scope(|| assert!(with_entered((MANY + 4).to_le_bytes(), |_| ()).is_some()));
    inner.end(99);

    span_left_inside_its_own_use_ends_after_it(MANY + 4);
    gate_is_read_while_another_thread_writes(MANY + 8);

    const SINGLE: u64 = 10;
    let given_up = MANY / 4 + 1;
    let ended = MANY + SINGLE - given_up;
    let account = recorder.account(0);
    assert_eq!((account.started, account.live), (MANY + SINGLE, 0));
    assert_eq!((account.pending, account.delivered), (ended, 0));
    assert_eq!(account.dropped.iter().sum::<u64>(), given_up, "unended");

    // Read in two batches, settled one by one.
    let mut consumer = recorder.store().consumer(0).expect("nobody has it");
    let mut seen = Vec::new();
    assert!(recorder.store().consumer(0).is_none(), "there is one");
    while let Some(batch) = consumer
        .next(ended as usize / 2 + 1, usize::MAX)
        .expect("it is in memory")
    {
        for run in batch.runs() {
            let mut body = Vec::new();
            request::append_resource_spans(&mut body, &[], "", &[request::ScopeSpans::new(&[], &run.payloads)]);
            for resource in request::resource_spans(&body) {
                for scope in resource.expect("well formed").scope_spans() {
                    for span in scope.expect("well formed").spans() {
                        seen.push(end_and_id(&span.expect("well formed")));
                    }
                }
            }
        }
        consumer.settle(batch, 0);
    }
    seen.sort_unstable();
    let expected: Vec<_> = (0..MANY + SINGLE)
        .filter(|n| if *n < MANY { n % 4 != 1 } else { *n != MANY + 7 })
        .map(|n| (99, n + 1))
        .collect();
    assert_eq!(seen, expected);
    let account = recorder.account(0);
    assert_eq!((account.pending, account.delivered), (0, ended));
    assert_eq!(consumer.pending(), (0, 0));
}

/// Three spans, beginning with the nth, and one that leaves no record.
fn span_left_inside_its_own_use_ends_after_it(n: u64) {
    let id = (n + 1).to_le_bytes();
    // Ended, in a use by way of the thread.
    let entered = EnteredSpan::new(start("ended inside", n));
    let inside = with_entered(id, |mut span| {
        let entered = entered.leave().expect_err("it is in use");
        entered.end(|span| span.end(99));
        assert_eq!(with_entered(id, |_| ()), None, "it is entered no more");
        let mut other = start("other", n + 1);
        assert_eq!((span.span_id(), span.is_recording()), (id, true));
        assert!(field(span.recording(), 20));
        assert_eq!(other.fields().len(), 2 + "other".len(), "it has a place of its own");
        assert!(field(other.recording(), 40));
        assert_eq!(span.fields().len(), 2 + "ended inside".len() + 20);
        other.end(99);
    });
    assert_eq!(inside, Some(()));
    assert_eq!(with_entered(id, |_| ()), None);

    // Out of order, in a use that panics.
    let entered = EnteredSpan::new(start("ended in a panic", n + 2));
    let id = (n + 3).to_le_bytes();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        with_entered(id, |span| {
            entered.end(|span| span.end(99));
            std::panic::resume_unwind(Box::new(field(span, 20)));
        })
    }));
    assert_eq!(panicked.expect_err("on purpose").downcast_ref(), Some(&true));
    assert_eq!(with_entered(id, |_| ()), None);

    // Given up.
    let entered = EnteredSpan::new(start("given up inside", n + 3));
    let inside = with_entered((n + 4).to_le_bytes(), |span| {
        drop(entered);
        field(span, 20)
    });
    assert_eq!(inside, Some(true));
}

/// Two spans, beginning with the nth: a stale pointer of this thread leads to what another thread writes.
fn gate_is_read_while_another_thread_writes(n: u64) {
    let outer = EnteredSpan::new(start("outer", n));
    let inner = EnteredSpan::new(start("inner", n + 1));
    // Ends first, so that leaving `inner` leads back to it.
    let mut outer = outer.leave().expect("it is not in use");
    let inner = inner.leave().expect("it is not in use");
    let (sender, receiver) = mpsc::channel();
    let writer = thread::spawn(move || {
        let mut recording = outer.recording();
        sender.send(()).expect("somebody waits");
        for _ in 0..10 {
            assert!(field(recording.recording(), 20));
            thread::yield_now();
        }
        // Entered there, it is not entered here.
        outer.scope(|| {
            assert!(with_entered((n + 1).to_le_bytes(), |span| field(span, 20)).is_some());
            sender.send(()).expect("somebody waits");
            thread::yield_now();
        });
        outer.end(99);
    });
    while receiver.recv().is_ok() {
        for _ in 0..10 {
            assert_eq!(with_entered((n + 1).to_le_bytes(), |_| ()), None);
            thread::yield_now();
        }
    }
    inner.end(99);
    writer.join().expect("it ends well");
}

fn end_and_id(span: &SpanView<'_>) -> (u64, u64) {
    (
        span.end_time_unix_nano(),
        u64::from_le_bytes(span.span_id().expect("an id").to_bytes()),
    )
}
