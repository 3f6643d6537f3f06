//! Which capture a span belongs to.

use std::sync::Barrier;
use std::thread;

use throughline::{Context, InSpanExt, SpanKind, StatusCode, event, extract, link, span, testing};

/// One of several tests at a time: all have a capture, and none has ended, while spans start.
fn one_of_eight(number: usize, all_are_here: &Barrier) {
    let capture = testing::capture();
    all_are_here.wait();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    let name = format!("root {number}");
    runtime.block_on(
        async {
            let task = async {
                tokio::task::yield_now().await;
                span!("in a task").end();
            };
            let task = tokio::spawn(task.in_span(span!("task")));
            let here = Context::current();
            let handed_over = thread::spawn(move || here.in_scope(|| span!("thread").end()));
            task.await.expect("it ends well");
            handed_over.join().expect("it ends well");
        }
        .in_span(span!(&name)),
    );
    span!("another root").end();
    all_are_here.wait();
    capture.assert_tree(&format!(
        "{name}
           task
             in a task
           thread
         another root"
    ));
}

#[test]
fn parallel_tests_see_their_own_spans() {
    let all_are_here = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let all_are_here = &all_are_here;
            scope.spawn(move || one_of_eight(number, all_are_here));
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn capture_lives_across_awaits() {
    let capture = testing::capture();
    async {
        let tasks: Vec<_> = (0..4).map(|_| tokio::spawn(async {}.in_span(span!("task")))).collect();
        for task in tasks {
            task.await.expect("it ends well");
        }
    }
    .in_span(span!("test"))
    .await;
    tokio::task::yield_now().await;
    span!("behind").end();
    capture.assert_tree("test\n  task\n  task\n  task\n  task\nbehind");
}

#[test]
fn innermost_capture_gets_new_traces_and_the_outer_one_its_own() {
    let outer = testing::capture();
    let before = span!("before");
    {
        let inner = testing::capture();
        span!("inside").end();
        span!(parent: &before, "of the outer trace").end();
        inner.assert_tree("inside");
    }
    span!("after").end();
    before.end();
    outer.assert_tree("before\n  of the outer trace\nafter");
}

#[test]
fn captures_may_end_in_any_order() {
    let first = testing::capture();
    let second = testing::capture();
    drop(first);
    span!("a").end();
    second.assert_tree("a");
}

#[test]
fn capture_begins_empty_and_forgets_what_ends_later() {
    let capture = testing::capture();
    let open = span!("open");
    capture.assert_tree("open ~");
    drop(capture);
    let capture = testing::capture();
    open.end();
    capture.assert_tree("");
}

#[test]
fn span_without_parent_on_another_thread_is_a_stray() {
    let capture = testing::capture();
    let stray = thread::spawn(|| {
        let span = span!("stray").enter();
        let context = span.context();
        span!("child of a stray").end();
        drop(span);
        context
    });
    let context = stray.join().expect("it ends well");
    capture.assert_tree("");
    let mut strays = testing::strays();
    strays.retain(|span| Some(span.trace_id()) == context.trace_id());
    let names: Vec<_> = strays.iter().map(|span| span.name()).collect();
    assert_eq!(names, ["stray", "child of a stray"]);
}

#[test]
fn spans_of_a_trace_from_afar_belong_to_the_test_that_starts_them() {
    // Two tests that read the same header at once.
    let read = || extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]);
    let both_are_here = Barrier::new(2);
    let test = |name: &'static str| {
        let capture = testing::capture();
        both_are_here.wait();
        span!(parent: read(), name).in_scope(|| span!("child").end());
        both_are_here.wait();
        capture.assert_tree(&format!("{name}\n  child"));
    };
    thread::scope(|scope| {
        scope.spawn(|| test("a"));
        scope.spawn(|| test("b"));
    });
}

#[test]
fn same_trace_from_afar_is_found_on_other_threads() {
    let capture = testing::capture();
    let parent = extract([("traceparent", "00-11111111111111111111111111111111-00f067aa0ba902b7-01")]);
    span!(parent: &parent, "here").end();
    thread::scope(|scope| {
        scope.spawn(|| span!(parent: &parent, "there").end());
    });
    capture.assert_tree("here\nthere");
}

#[test]
fn trace_that_is_not_sampled_is_not_captured() {
    let capture = testing::capture();
    let parent = extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
    span!(parent: parent, "not sampled").in_scope(|| span!("child").end());
    capture.assert_tree("");
}

#[test]
fn captured_span_has_all_that_was_said_of_it() {
    let capture = testing::capture();
    let cause = span!("cause");
    let order = span!(kind: Server, "order", order.id = 7, tags = ["a", "b"]).enter();
    event!("retry", attempt = 2);
    link!(&cause.context(), reason = "again");
    order.status_error("declined");
    drop(order);
    let (order, open) = (capture.span("order"), capture.span("cause"));
    assert_eq!(
        (order.kind(), order.status()),
        (SpanKind::Server, (StatusCode::Error, "declined"))
    );
    assert_eq!(order.attribute("order.id").and_then(|id| id.as_i64()), Some(7));
    let events: Vec<_> = order
        .events()
        .map(|event| (event.name(), event.attributes().count()))
        .collect();
    assert_eq!(events, [("retry", 1)]);
    let links: Vec<_> = order.links().map(|link| link.span_id()).collect();
    assert_eq!(links, [cause.context().span_id()]);
    assert!(order.parent_span_id().is_none());
    assert!(order.end_time() >= Some(order.start_time()));
    assert_eq!((open.has_ended(), open.end_time()), (false, None));
    assert_eq!(format!("{order:?}"), "order ! {order.id=7, tags=[a, b]}");
    assert_eq!(capture.spans().len(), 2);
}

#[test]
fn panic_in_a_span_is_an_error_of_it() {
    let capture = testing::capture();
    let unwound = std::panic::catch_unwind(|| {
        span!("order").in_scope(|| {
            let _charge = span!("charge").enter();
            panic!("as the test wants it");
        });
    });
    assert!(unwound.is_err());
    capture.assert_tree("order !\n  charge !");
    assert_eq!(capture.span("order").status().1, "panicked: as the test wants it");
}

#[test]
fn capture_that_is_dropped_by_a_panic_leaves_others_alone() {
    let outer = testing::capture();
    let unwound = std::panic::catch_unwind(|| {
        let capture = testing::capture();
        span!("a").end();
        capture.assert_tree("b");
    });
    assert!(unwound.is_err());
    span!("c").end();
    outer.assert_tree("c");
}
