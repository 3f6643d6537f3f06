use std::future::Future;
use std::pin::Pin;

use futures::stream::{FuturesUnordered, StreamExt};
use throughline::{Context, InSpanExt, Span, current, span};

use crate::traced::{root, traced};
use crate::tree::tree;

/// Makes a child before and after a pause in which others run, and says something of the current span.
async fn work(key: &'static str) {
    span!("before").end();
    tokio::task::yield_now().await;
    current(|span| span.set(key, true));
    inner().in_span(span!("inner")).await;
    span!("after").end();
}

async fn inner() {
    tokio::task::yield_now().await;
    span!("leaf").end();
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Runs `f` inside a new root, and gives the tree that has come of it.
fn tree_of<F: Future>(f: impl FnOnce() -> F) -> String {
    let span = root("root");
    let context = span.context();
    block_on(async move { f().await }.in_span(span));
    assert!(Context::current().is_empty(), "nothing stays current");
    tree(&context)
}

const A: &str = "a+x(after before inner(leaf))";
const B: &str = "b+y(after before inner(leaf))";

#[test]
fn span_is_the_child_of_the_current_one_of_a_named_one_or_of_none() {
    let outer = root("outer").enter();
    let context = outer.context();
    let other = span!("other");
    let nested = span!("nested").enter();
    span!("by default").end();
    span!(parent: &other.context(), "by name").end();
    Span::builder("by builder").parent(other.context()).start().end();
    let apart = span!(parent: &Context::root(), "apart");
    let apart_context = apart.context();
    assert_ne!(apart_context.trace_id(), context.trace_id());
    apart.end();
    drop(nested);
    span!("after").end();
    other.end();
    outer.end();
    assert_eq!(
        tree(&context),
        "outer(after nested(by default) other(by builder by name))"
    );
    assert_eq!(tree(&apart_context), "apart");
}

#[test]
fn span_that_merely_exists_is_nobodys_parent() {
    let outer = root("outer").enter();
    let context = outer.context();
    let unused = span!("unused");
    span!("sibling").end();
    unused.end();
    outer.end();
    assert_eq!(tree(&context), "outer(sibling unused)");
}

#[test]
fn join_in_one_task() {
    let found = tree_of(|| async { tokio::join!(work("x").in_span(span!("a")), work("y").in_span(span!("b"))) });
    assert_eq!(found, format!("root({A} {B})"));
}

#[test]
fn select_in_one_task_ends_the_loser_too() {
    let found = tree_of(|| async {
        let never = async {
            span!("begun").end();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = never.in_span(span!("never")) => {}
            () = work("x").in_span(span!("a")) => {}
        }
        span!("behind").end();
    });
    assert_eq!(found, format!("root({A} behind never(begun))"));
}

#[test]
fn futures_unordered_in_one_task() {
    let found = tree_of(|| async {
        let mut all: FuturesUnordered<_> = [("a", "x"), ("b", "y")]
            .into_iter()
            .map(|(name, key)| work(key).in_span(span!(name)))
            .collect();
        while all.next().await.is_some() {
            span!("between").end();
        }
    });
    assert_eq!(found, format!("root({A} {B} between between)"));
}

#[test]
fn spans_nested_around_one_future() {
    let found = tree_of(|| async {
        let outer = span!("outer");
        let nested = span!(parent: &outer.context(), "a");
        work("x").in_span(nested).in_span(outer).await;
    });
    assert_eq!(found, format!("root(outer({A}))"));
}

#[test]
fn spawned_tasks_with_the_context_handed_on() {
    let found = tree_of(|| async {
        let tasks: Vec<_> = [("a", "x"), ("b", "y")]
            .into_iter()
            .map(|(name, key)| {
                let task = async move { work(key).in_span(span!(name)).await };
                tokio::spawn(task.in_context(Context::current()))
            })
            .collect();
        for task in tasks {
            task.await.expect("it ends well");
        }
    });
    assert_eq!(found, format!("root({A} {B})"));
}

#[test]
fn blocking_tasks_threads_and_a_pool_with_the_context_entered() {
    let found = tree_of(|| async {
        let here = Context::current();
        let blocking = tokio::task::spawn_blocking({
            let here = here.clone();
            move || here.in_scope(|| span!("blocking").end())
        });
        blocking.await.expect("it ends well");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _entered = here.enter();
                let _thread = span!("thread").enter();
                span!("in thread").end();
            });
        });
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool");
        pool.install(|| {
            rayon::join(
                || here.in_scope(|| span!("left").in_scope(|| span!("leaf").end())),
                || here.in_scope(|| span!("right").end()),
            )
        });
    });
    assert_eq!(found, "root(blocking left(leaf) right thread(in thread))");
}

#[test]
fn thousand_tasks_on_two_workers_without_one_orphan() {
    let found = tree_of(|| async {
        let tasks: Vec<_> = (0..1000).map(|_| tokio::spawn(work("x").in_span(span!("a")))).collect();
        for task in tasks {
            task.await.expect("it ends well");
        }
    });
    assert_eq!(found, format!("root({})", vec![A; 1000].join(" ")));
}

#[test]
fn cancelled_future_is_dropped_inside_its_span() {
    struct Held(Context);
    impl Drop for Held {
        fn drop(&mut self) {
            assert_eq!(Context::current(), self.0);
            current(|span| span.set("rolled.back", true));
            span!("clean up").end();
        }
    }
    for is_shared in [false, true] {
        let span = root("dropped");
        let context = span.context();
        let held = Held(context.clone());
        let work = async {
            let _held = held;
            span!("child").end();
            std::future::pending::<()>().await;
        };
        let mut future: Pin<Box<dyn Future<Output = ()>>> = match is_shared {
            false => Box::pin(work.in_span(span)),
            true => Box::pin(work.in_span(span.share())),
        };
        let mut task = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
        assert_eq!(traced().trace(&context).len(), 1, "only the child has ended");
        drop(future);
        assert_eq!(tree(&context), "dropped+rolled.back(child clean up)");
        assert!(Context::current().is_empty());
    }
}

#[test]
fn cancelled_future_in_a_context_is_dropped_inside_it() {
    struct Held(Context);
    impl Drop for Held {
        fn drop(&mut self) {
            assert_eq!(Context::current(), self.0);
        }
    }
    let root = root("root");
    let held = Held(root.context());
    let future = async move {
        let _held = held;
        std::future::pending::<()>().await;
    };
    drop(future.in_context(root.context()));
}

#[test]
fn stream_runs_in_its_span_until_it_ends() {
    for is_shared in [false, true] {
        let span = root("stream");
        let context = span.context();
        let items = futures::stream::iter(["a", "b"]).map(|item| {
            current(|span| span.set(item, true));
            item
        });
        let items: Vec<_> = match is_shared {
            false => block_on(items.in_span(span).collect()),
            true => block_on(items.in_span(span.share()).collect()),
        };
        assert_eq!((items, tree(&context)), (vec!["a", "b"], "stream+a+b".to_owned()));
    }
}
