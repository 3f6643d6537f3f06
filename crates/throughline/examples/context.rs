//! The current context, carried along to wherever a program goes on. Each function checks what tree has come of it.

use std::thread;

use futures::stream::{self, StreamExt};
use rayon::prelude::*;
use throughline::testing;
use throughline::{Context, InSpanExt, carry, carry_fn, current, span, traced};
use tokio::task::{JoinSet, spawn_blocking};

async fn charge() {
    span!("charge").end();
}

/// A task that goes on by itself.
async fn spawn() {
    let task = tokio::spawn(charge().in_current_context());
    task.await.expect("it does not panic");
}

/// A task with a span of its own, which ends with it.
async fn spawn_with_a_span() {
    let task = tokio::spawn(charge().in_span(span!("payment")));
    task.await.expect("it does not panic");
}

/// A thread for code that blocks.
async fn blocking() {
    let task = spawn_blocking(carry(|| span!("hash password").end()));
    task.await.expect("it does not panic");
}

/// Several tasks.
async fn join_set() {
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        tasks.spawn(charge().in_current_context());
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("it does not panic");
    }
}

/// Futures of one task need nothing; a span around one of them tells it from the others.
async fn in_one_task() {
    tokio::join!(charge(), charge().in_span(span!("payment")));
}

/// Futures of a stream, several at a time.
async fn buffered() {
    let mut charges = stream::iter(0..3)
        .map(|order| charge().in_span(span!("payment", order)))
        .buffer_unordered(2);
    while charges.next().await.is_some() {}
}

/// A stream with a span that is current in each of its polls, and ends with it.
async fn stream_in_a_span() {
    let rows = stream::iter(0..3).inspect(|row| current(|span| span.set("last.row", row)).unwrap_or_default());
    let mut rows = rows.in_span(span!("query"));
    while rows.next().await.is_some() {}
}

/// A thread.
fn plain_thread() {
    let thread = thread::spawn(carry(|| span!("index").end()));
    thread.join().expect("it does not panic");
}

/// Threads that borrow.
fn scoped_threads() {
    let orders = [1, 2];
    thread::scope(|scope| {
        for order in &orders {
            scope.spawn(carry(move || span!("index", order).end()));
        }
    });
}

/// The pool of Rayon.
fn rayon_join() {
    rayon::join(carry(|| span!("left").end()), carry(|| span!("right").end()));
}

/// Its iterators.
fn parallel_iterator() -> u64 {
    let price = |order: u64| span!("price", order).in_scope(|| order * 10);
    (1..=3).into_par_iter().map(carry_fn(price)).sum()
}

/// Whatever else runs closures: the context is a value.
fn by_hand() {
    let here = Context::current();
    let job: Box<dyn Fn() + Send> = Box::new(move || here.in_scope(|| span!("job").end()));
    thread::spawn(job).join().expect("it does not panic");
}

/// Work that writes to the span of its caller from elsewhere.
fn shared() {
    let upload = span!("upload").share();
    let part = upload.clone();
    let thread = thread::spawn(move || {
        part.in_scope(|| {
            current(|span| span.set("part", 1));
            span!("read part").end();
        });
    });
    thread.join().expect("it does not panic");
}

#[traced]
fn order(work: impl FnOnce()) {
    work();
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let check = |work: &dyn Fn(), expected: &str| {
        let capture = testing::capture();
        order(work);
        capture.assert_tree(&format!("order\n{expected}"));
    };
    check(&|| runtime.block_on(spawn()), "  charge");
    check(&|| runtime.block_on(spawn_with_a_span()), "  payment\n    charge");
    check(&|| runtime.block_on(blocking()), "  hash password");
    check(&|| runtime.block_on(join_set()), "  charge\n  charge\n  charge");
    check(&|| runtime.block_on(in_one_task()), "  charge\n  payment\n    charge");
    check(&|| runtime.block_on(buffered()), &"  payment\n    charge\n".repeat(3));
    check(&|| runtime.block_on(stream_in_a_span()), "  query {last.row=2}");
    check(&plain_thread, "  index");
    check(&scoped_threads, "  index {order=1}\n  index {order=2}");
    check(&rayon_join, "  left\n  right");
    check(
        &|| assert_eq!(parallel_iterator(), 60),
        "  price {order=1}\n  price {order=2}\n  price {order=3}",
    );
    check(&by_hand, "  job");
    check(&shared, "  upload {part=1}\n    read part");
}
