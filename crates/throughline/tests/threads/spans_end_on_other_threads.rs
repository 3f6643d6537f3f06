use std::sync::mpsc::sync_channel;
use std::thread;

use allocation_counter::{measure, opt_out};
use throughline::{Span, span};

use crate::traced::{root, traced};

const SPANS: usize = 10_000;
/// Until the pools of spans and the channel have their size.
const WARM_UP: usize = 2_000;
const MEASURED: u64 = (SPANS - WARM_UP) as u64;

#[test]
fn forty_thousand_spans_that_end_elsewhere_all_arrive_and_none_allocates() {
    let root = root("root");
    let context = root.context();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let parent = context.clone();
            let (send, receive) = sync_channel::<Span>(64);
            let starts = thread::spawn(move || {
                let start = |n: usize| {
                    let mut span = span!(parent: &parent, "moved", number = n, text = "some text");
                    span.set("later", 0.5);
                    opt_out(|| send.send(span).expect("the other thread lives"));
                };
                (0..WARM_UP).for_each(start);
                measure(|| (WARM_UP..SPANS).for_each(start)).count_total
            });
            let ends = thread::spawn(move || {
                let end = |_: usize| {
                    let mut received = None;
                    opt_out(|| received = receive.recv().ok());
                    let mut span = received.expect("one more span");
                    span.set("elsewhere", true);
                    span.end();
                };
                (0..WARM_UP).for_each(end);
                measure(|| (WARM_UP..SPANS).for_each(end)).count_total
            });
            (starts, ends)
        })
        .collect();
    let allocations: Vec<_> = threads
        .into_iter()
        .map(|(starts, ends)| (starts.join().expect("it ends well"), ends.join().expect("it ends well")))
        .collect();
    root.end();
    let spans = traced().trace(&context);
    assert_eq!(spans.len(), 4 * SPANS + 1);
    let moved = spans
        .iter()
        .filter(|span| span.name == "moved" && span.attributes.len() == 4);
    assert_eq!(moved.count(), 4 * SPANS);
    for (starts, ends) in allocations {
        assert_eq!(starts, 0, "a thread that starts spans allocates nothing");
        // A segment that is full is followed by another, whose handle is allocated: not once in 200 spans.
        assert!(ends <= MEASURED / 200, "{ends} allocations in {MEASURED} spans");
    }
}
