//! Who is whose child, in one world and across both.

use std::sync::Arc;

use throughline::{Context, InSpanExt, span, testing};
use throughline_tracing::SpanExt as _;
use tokio::sync::Barrier;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Instrument, Span, info_span, instrument};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

fn subscribe() -> DefaultGuard {
    set_default(registry().with(throughline_tracing::layer()))
}

#[test]
fn entered_span_is_the_parent_in_both_worlds() {
    let capture = testing::capture();
    let _default = subscribe();
    {
        let _a = info_span!("a").entered();
        let _b = span!("b, native").enter();
        let c = info_span!("c");
        c.in_scope(|| {
            assert_eq!(Context::current(), c.context());
            throughline::current(|span| span.set("reached", true));
            span!("d, native").end();
        });
        info_span!(parent: None, "e").in_scope(|| info_span!("f").in_scope(|| {}));
    }
    capture.assert_tree("a\n  b, native\n    c {reached=true}\n      d, native\ne\n  f");
    assert!(Context::current().is_empty());
}

#[test]
fn explicit_parent_is_taken_on_any_thread() {
    let capture = testing::capture();
    let _default = subscribe();
    let parent = info_span!("parent");
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            tracing::dispatcher::with_default(&dispatch, || {
                let child = info_span!(parent: &parent, "child").entered();
                info_span!("grandchild").in_scope(|| {});
                drop(child);
            });
        });
    });
    drop(parent);
    capture.assert_tree("parent\n  child\n    grandchild");
}

#[instrument(skip(barrier))]
async fn nested(depth: u32, barrier: Arc<Barrier>) {
    barrier.wait().await;
    tokio::task::yield_now().await;
    if depth > 0 {
        Box::pin(nested(depth - 1, barrier)).await;
    }
}

#[tokio::test]
async fn tasks_that_interleave_keep_their_own_trees() {
    let capture = testing::capture();
    let _default = subscribe();
    let barrier = Arc::new(Barrier::new(3));
    let roots = (0..3).map(|_| nested(2, barrier.clone()).instrument(info_span!("root")));
    let mut roots: Vec<_> = roots.collect();
    let (a, b, c) = (roots.remove(0), roots.remove(0), roots.remove(0));
    tokio::join!(a, b, c);
    let tree = "root\n  nested {depth=2}\n    nested {depth=1}\n      nested {depth=0}\n";
    capture.assert_tree(&tree.repeat(3));
}

#[test]
fn spawned_tasks_follow_their_instrument() {
    let capture = testing::capture();
    let dispatch = tracing::Dispatch::new(registry().with(throughline_tracing::layer()));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .on_thread_start({
            let dispatch = dispatch.clone();
            // It lasts as long as the thread.
            move || std::mem::forget(tracing::dispatcher::set_default(&dispatch))
        })
        .build()
        .expect("a runtime");
    let _default = tracing::dispatcher::set_default(&dispatch);
    let root = info_span!("root");
    runtime.block_on(
        async {
            let tasks: Vec<_> = (0..8)
                .map(|task| {
                    let work = async move {
                        tokio::task::yield_now().await;
                        async { tokio::task::yield_now().await }
                            .instrument(info_span!("inner"))
                            .await;
                        span!("native").end();
                    };
                    tokio::spawn(work.instrument(info_span!("task", task)))
                })
                .collect();
            for task in tasks {
                task.await.expect("it does not panic");
            }
        }
        .instrument(root),
    );
    drop(runtime);
    let tasks: String = (0..8)
        .map(|task| format!("  task {{task={task}}}\n    inner\n    native\n"))
        .collect();
    capture.assert_tree(&format!("root\n{tasks}"));
}

#[tokio::test]
async fn native_future_and_instrumented_future_nest() {
    let capture = testing::capture();
    let _default = subscribe();
    async {
        async { info_span!("c").in_scope(|| {}) }.in_span(span!("b")).await;
        tokio::task::yield_now().await;
        info_span!("d").in_scope(|| {});
    }
    .instrument(info_span!("a"))
    .await;
    capture.assert_tree("a\n  b\n    c\n  d");
}

#[test]
fn exits_come_in_any_order_and_doubled() {
    let capture = testing::capture();
    let _default = subscribe();
    let (a, b) = (info_span!("a"), info_span!("b"));
    let a1 = a.enter();
    let b1 = b.enter();
    drop(a1);
    info_span!("of b").in_scope(|| {});
    let a2 = a.enter();
    let a3 = a.enter();
    drop(b1);
    info_span!("of a").in_scope(|| {});
    drop(a2);
    info_span!("of a still").in_scope(|| {});
    drop(a3);
    info_span!("alone").in_scope(|| {});
    assert!(Context::current().is_empty());
    drop((a, b));
    capture.assert_tree("a\n  of a\n  of a still\nb\n  of b\nalone");
}

#[test]
fn span_that_its_child_holds_ends_when_it_was_left() {
    let capture = testing::capture();
    let _default = subscribe();
    let child = info_span!("parent").in_scope(|| info_span!("child"));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(!capture.span("parent").has_ended(), "tracing holds it");
    drop(child);
    let (parent, child) = (capture.span("parent"), capture.span("child"));
    assert!(
        parent.end_time() < child.end_time(),
        "it ends when it was left, not with its child"
    );
}

#[test]
fn current_span_of_tracing_is_found_behind_native_ones() {
    let capture = testing::capture();
    let _default = subscribe();
    let a = info_span!("a").entered();
    let native = span!("b").enter();
    assert_eq!(Span::current().context(), a.context());
    assert_eq!(Context::current(), native.context());
    native.end();
    a.exit();
    capture.assert_tree("a\n  b");
}

#[test]
fn follows_from_is_a_link() {
    let capture = testing::capture();
    let _default = subscribe();
    let (cause, effect) = (info_span!("cause"), info_span!("effect"));
    effect.follows_from(&cause);
    effect.add_link(&cause.context());
    drop(effect);
    drop(cause);
    let (cause, effect) = (capture.span("cause"), capture.span("effect"));
    let linked: Vec<_> = effect.links().map(|link| link.span_id()).collect();
    assert_eq!(linked, [Some(cause.span_id()); 2]);
    assert_eq!(effect.parent_span_id(), None);
}

#[test]
fn link_to_a_closed_span_is_counted() {
    let capture = testing::capture();
    let _default = subscribe();
    let effect = info_span!("effect");
    let gone = info_span!("cause").id();
    let before = throughline_tracing::lost_links();
    effect.follows_from(gone);
    drop(effect);
    assert_eq!(throughline_tracing::lost_links(), before + 1);
    assert_eq!(capture.span("effect").links().count(), 0);
}
