//! Batches come segment by segment. A flush that counted spans, rather than marking where they are, once took a span that
//! ended later on another thread for the one it waited for.

mod common;

use std::sync::mpsc;
use std::thread;

use common::{settings, span};
use throughline_spool::{Limits, Recorder};

#[test]
fn position_waits_for_its_own_spans() {
    let recorder = Recorder::install(settings(None, None, Limits::default(), 1)).expect("the first one");
    let mut consumer = recorder.store().consumer(0).expect("nobody has it");
    span(0, 10);
    let (work, todo) = mpsc::channel();
    let (done, finished) = mpsc::channel();
    let other = thread::spawn(move || {
        for n in todo {
            span(n, 10);
            done.send(()).expect("somebody waits");
        }
    });
    let elsewhere = |n: u64| {
        work.send(n).expect("the thread waits for more");
        finished.recv().expect("it is done");
    };
    elsewhere(1);
    let both = consumer
        .next(10, usize::MAX)
        .expect("it can be read")
        .expect("two spans");
    consumer.settle(both, 0);
    let mut nothing = consumer.position();
    assert!(consumer.is_settled(&mut nothing));

    // The younger segment's span is marked; one that ends later, in the older segment, comes first.
    elsewhere(2);
    let mut mark = consumer.position();
    span(3, 10);
    let first = consumer
        .next(1, usize::MAX)
        .expect("it can be read")
        .expect("the later span");
    consumer.settle(first, 0);
    assert!(!consumer.is_settled(&mut mark));
    let second = consumer
        .next(1, usize::MAX)
        .expect("it can be read")
        .expect("the marked span");
    consumer.settle(second, 0);
    assert!(consumer.is_settled(&mut mark));
    drop(work);
    other.join().expect("it ends well");
}
