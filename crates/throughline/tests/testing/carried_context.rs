//! The context goes along to tasks, threads, pools and streams: no orphan, and no wrong parent.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use futures::stream::{self, StreamExt};
use rayon::prelude::*;
use throughline::testing;
use throughline::{InSpanExt, SharedSpan, carry, carry_fn, current, span};
use tokio::task::{JoinSet, spawn_blocking, yield_now};

/// A step that others interrupt.
async fn step(name: &'static str) {
    let work = async {
        yield_now().await;
        span!("part").end();
        yield_now().await;
    };
    work.in_span(span!(name)).await;
}

fn on_workers<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Runs it in a span `root`, and checks what has come of it.
#[track_caller]
fn assert_tree_of(work: impl Future<Output = ()>, expected: &str) {
    let capture = testing::capture();
    on_workers(work.in_span(span!("root")));
    capture.assert_tree(expected);
}

#[test]
fn spawned_task_is_below_its_spawner() {
    let work = async {
        tokio::spawn(step("task").in_current_context())
            .await
            .expect("it ends well");
        step("behind").await;
    };
    assert_tree_of(work, "root\n  task\n    part\n  behind\n    part");
}

#[test]
fn blocking_task_is_below_its_spawner() {
    let work = async {
        let blocking = spawn_blocking(carry(|| span!("blocking").in_scope(|| span!("part").end())));
        blocking.await.expect("it ends well");
    };
    assert_tree_of(work, "root\n  blocking\n    part");
}

#[test]
fn tasks_of_a_join_set_are_below_their_spawner() {
    let work = async {
        let mut tasks = JoinSet::new();
        tasks.spawn(step("a").in_current_context());
        tasks.spawn(step("b").in_span(span!("named")));
        tasks.spawn_blocking(carry(|| span!("blocking").end()));
        while let Some(task) = tasks.join_next().await {
            task.expect("it ends well");
            step("between").await;
        }
    };
    assert_tree_of(
        work,
        "root
           a
             part
           named
             b
               part
           blocking
           between
             part
           between
             part
           between
             part",
    );
}

#[test]
fn loser_of_a_select_ends_below_its_parent() {
    let work = async {
        let never = async {
            step("begun").await;
            std::future::pending::<()>().await;
        };
        let slow = async {
            for _ in 0..10 {
                yield_now().await;
            }
            step("winner").await;
        };
        tokio::select! {
            () = never.in_span(span!("never")) => {}
            () = slow.in_current_context() => {}
        }
    };
    assert_tree_of(
        work,
        "root
           never
             begun
               part
           winner
             part",
    );
}

#[test]
fn joined_futures_are_below_their_parent() {
    let work = async {
        tokio::join!(step("a"), step("b"), async { step("c").await }.in_span(span!("d")));
    };
    assert_tree_of(work, "root\n  a\n    part\n  b\n    part\n  d\n    c\n      part");
}

#[test]
fn buffered_futures_are_below_the_stream() {
    let work = async {
        let steps = stream::iter(["a", "b", "c"]).map(step).buffer_unordered(2);
        steps.in_span(span!("stream")).for_each(|()| step("item")).await;
    };
    assert_tree_of(
        work,
        "root
           stream
             a
               part
             b
               part
             c
               part
           item
             part
           item
             part
           item
             part",
    );
}

#[test]
fn stream_is_current_in_every_poll_and_ends_with_the_stream() {
    let capture = testing::capture();
    on_workers(async {
        let items = stream::iter(0..3).then(|number| async move {
            yield_now().await;
            current(|span| span.set("last", number));
            number
        });
        let mut items = pin!(items.in_span(span!("stream")));
        while items.next().await.is_some() {
            assert!(current(|_| ()).is_none(), "between polls nothing is current");
        }
        // It has ended, before it is dropped.
        capture.assert_tree("stream {last=2}");
        let mut dropped = Box::pin(stream::iter(0..3).in_span(span!("dropped")));
        dropped.next().await;
        capture.assert_tree("stream\ndropped ~");
        drop(dropped);
        capture.assert_tree("stream\ndropped");
    });
}

#[test]
fn future_in_a_borrowed_span_leaves_it_open() {
    let capture = testing::capture();
    let mut span = span!("order");
    on_workers(step("first").in_span(&mut span));
    let begun = async {
        let _dropped_inside = span!("begun").enter();
        std::future::pending::<()>().await;
    };
    assert!(futures::FutureExt::now_or_never(begun.in_span(&mut span)).is_none());
    capture.assert_tree("order ~\n  first\n    part\n  begun");
    span.set("steps", 2);
    drop(span);
    capture.assert_tree("order {steps=2}\n  first\n    part\n  begun");
}

#[test]
fn shared_span_is_written_to_from_every_task() {
    let capture = testing::capture();
    let span: SharedSpan = span!("root").share();
    on_workers(async {
        let mut tasks = JoinSet::new();
        for key in ["a", "b"] {
            let work = async move {
                yield_now().await;
                current(|span| span.set(key, true));
            };
            tasks.spawn(work.in_span(span.clone()));
        }
        while tasks.join_next().await.is_some() {}
    });
    drop(span);
    capture.assert_tree("root {a=true, b=true}");
}

#[test]
fn scoped_and_plain_threads_are_below_their_spawner() {
    let capture = testing::capture();
    span!("root").in_scope(|| {
        thread::scope(|scope| {
            scope.spawn(carry(|| span!("scoped").end()));
            scope.spawn(carry(|| span!("scoped").in_scope(|| span!("part").end())));
        });
        thread::spawn(carry(|| span!("plain").end()))
            .join()
            .expect("it ends well");
        thread::spawn(|| span!("left alone").end())
            .join()
            .expect("it ends well");
    });
    capture.assert_tree("root\n  scoped\n  scoped\n    part\n  plain");
}

#[test]
fn crossbeam_threads_are_below_their_spawner() {
    let work = async {
        let scope = crossbeam_utils::thread::scope(|scope| {
            let first = carry(|| span!("first").in_scope(|| span!("part").end()));
            scope.spawn(|_| first()).join().expect("it ends well");
            let (jobs, taken) = std::sync::mpsc::channel::<Box<dyn FnOnce() + Send>>();
            let worker = scope.spawn(move |_| taken.into_iter().for_each(|job| job()));
            jobs.send(Box::new(carry(|| span!("job").end())))
                .expect("the worker waits");
            drop(jobs);
            worker.join().expect("it ends well");
        });
        scope.expect("no thread panics");
    };
    assert_tree_of(work, "root\n  first\n    part\n  job");
}

#[test]
fn rayon_is_below_its_caller() {
    let capture = testing::capture();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("a pool");
    let total: u64 = span!("root").in_scope(|| {
        pool.install(carry(|| {
            rayon::join(carry(|| span!("left").end()), carry(|| span!("right").end()));
            rayon::scope(|scope| {
                let part = carry(|| span!("scope").end());
                scope.spawn(|_| part());
            });
            let number = |number: u64| span!("number", number).in_scope(|| number);
            (0..3).into_par_iter().map(carry_fn(number)).sum()
        }))
    });
    assert_eq!(total, 3);
    capture.assert_tree(
        "root
           left
           right
           scope
           number {number=0}
           number {number=1}
           number {number=2}",
    );
}

#[test]
fn ten_thousand_concurrent_tasks_have_their_own_parents() {
    const TASKS: usize = 10_000;
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    let capture = testing::capture();
    on_workers(async {
        let mut tasks = JoinSet::new();
        for number in 0..TASKS {
            let inner = async move {
                // All are open at once.
                ARRIVED.fetch_add(1, Ordering::Relaxed);
                while ARRIVED.load(Ordering::Relaxed) < TASKS {
                    yield_now().await;
                }
                span!("child", number).end();
                yield_now().await;
                span!("child", number).end();
            };
            let task = async move { inner.in_current_context().await };
            tasks.spawn(task.in_span(span!("task", number)));
        }
        while let Some(task) = tasks.join_next().await {
            task.expect("it ends well");
        }
    });
    let spans = capture.spans();
    let number = |span: &testing::CapturedSpan| span.attribute("number").and_then(|number| number.as_i64());
    let parents: HashMap<_, _> = spans.iter().map(|span| (span.span_id(), span)).collect();
    let mut children = 0;
    for child in spans.iter().filter(|span| span.name() == "child") {
        let parent = child
            .parent_span_id()
            .and_then(|id| parents.get(&id))
            .expect("no orphan");
        assert_eq!((parent.name(), number(parent)), ("task", number(child)));
        children += 1;
    }
    assert_eq!((children, spans.len()), (2 * TASKS, 3 * TASKS));
    capture.assert_tree(&"task\n  child\n  child\n".repeat(TASKS));
}
