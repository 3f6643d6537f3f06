//! `#[traced]` on functions that return a stream.

use std::pin::Pin;

use futures::executor::block_on;
use futures::stream::{self, BoxStream, Stream, StreamExt};
use throughline::{current, span, testing, traced};

/// A stream of three that makes a span for each item.
fn three() -> impl Stream<Item = u8> {
    stream::iter(0..3).map(|number| {
        current(|span| span.set("last", number));
        span!("item").in_scope(|| number)
    })
}

#[traced(fields(count))]
fn opaque(count: usize) -> impl Stream<Item = u8> + Send {
    span!("prepare").end();
    if count == 0 {
        return three().take(1);
    }
    three().take(count)
}

#[traced]
fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Stream<Item = char> + Send + 'a>> {
    Box::pin(stream::iter(text.chars()).inspect(|_| span!("item").end()))
}

#[traced]
fn by_name(text: &str) -> BoxStream<'_, char> {
    stream::iter(text.chars()).inspect(|_| span!("item").end()).boxed()
}

#[traced]
async fn later(count: usize) -> impl Stream<Item = u8> {
    tokio::task::yield_now().await;
    span!("connect").end();
    three().take(count)
}

#[traced]
async fn boxed_later(text: &str) -> BoxStream<'_, char> {
    span!("connect").end();
    if text.is_empty() {
        return stream::empty().boxed();
    }
    stream::iter(text.chars()).inspect(|_| span!("item").end()).boxed()
}

struct Table(u8);

impl Table {
    #[traced(kind = Client, name = "SELECT")]
    fn rows<'a, T>(&'a self) -> impl Stream<Item = T> + use<'a, T>
    where
        T: From<u8> + Send + 'a,
    {
        stream::iter(0..self.0).map(|row| span!("item").in_scope(|| T::from(row)))
    }
}

/// Takes all items, and makes a span beside the stream's for each.
fn all<T>(items: impl Stream<Item = T>) -> usize {
    block_on(items.inspect(|_| span!("beside").end()).count())
}

#[test]
fn stream_of_any_form_runs_in_the_span_of_its_function() {
    type Case = (&'static str, fn() -> usize, &'static str);
    let cases: [Case; 7] = [
        (
            "opaque",
            || all(opaque(2)),
            "opaque {count=2, last=1}\n  prepare\n  item\n  item",
        ),
        (
            "early",
            || all(opaque(0)),
            "opaque {count=0, last=0}\n  prepare\n  item",
        ),
        ("boxed", || all(boxed("ab")), "boxed\n  item\n  item"),
        ("by_name", || all(by_name("ab")), "by_name\n  item\n  item"),
        (
            "later",
            || block_on(async { later(2).await.count().await }),
            "later\n  connect\n  item\n  item",
        ),
        (
            "boxed_later",
            || all(block_on(boxed_later("ab"))),
            "boxed_later\n  connect\n  item\n  item",
        ),
        ("method", || all(Table(2).rows::<u32>()), "SELECT\n  item\n  item"),
    ];
    for (case, take_all, expected) in cases {
        let capture = testing::capture();
        let items = take_all();
        let beside = if case == "later" { 0 } else { items };
        capture.assert_tree(&format!("{expected}\n{}", "beside\n".repeat(beside)));
    }
}

#[test]
fn span_starts_with_the_call_and_ends_with_the_stream() {
    let capture = testing::capture();
    let mut items = Box::pin(boxed("abc"));
    capture.assert_tree("boxed ~");
    assert_eq!(block_on(items.next()), Some('a'));
    capture.assert_tree("boxed ~\n  item");
    drop(items);
    capture.assert_tree("boxed\n  item");
    let mut items = opaque(1);
    let mut items = std::pin::pin!(items.by_ref());
    block_on(async { while items.next().await.is_some() {} });
    capture.assert_tree("boxed\n  item\nopaque {..}\n  prepare\n  item");
}

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the row is broken")
    }
}

impl std::error::Error for Broken {}

type Rows = BoxStream<'static, Result<u8, Broken>>;

fn broken_in_the_middle() -> impl Stream<Item = Result<u8, Broken>> + Send {
    stream::iter([Ok(1), Err(Broken), Ok(2)])
}

#[traced]
fn unsaid() -> impl Stream<Item = Result<u8, Broken>> {
    broken_in_the_middle()
}

#[traced(err = true)]
fn said() -> impl Stream<Item = Result<u8, Broken>> {
    broken_in_the_middle()
}

#[traced(err = true)]
fn said_of_a_box() -> Pin<Box<dyn Stream<Item = Result<u8, Broken>>>> {
    Box::pin(broken_in_the_middle())
}

#[traced(err = true)]
async fn said_later() -> impl Stream<Item = Result<u8, Broken>> {
    broken_in_the_middle()
}

#[traced]
fn behind_another_name() -> Rows {
    broken_in_the_middle().boxed()
}

#[traced]
fn in_a_result(fails: bool) -> Result<impl Stream<Item = u8>, Broken> {
    if fails { Err(Broken) } else { Ok(three()) }
}

#[test]
fn item_that_is_an_error_is_the_status_where_that_is_said() {
    let capture = testing::capture();
    assert_eq!(all(unsaid()), 3);
    assert_eq!(all(said()), 3);
    assert_eq!(all(said_of_a_box()), 3);
    assert_eq!(all(block_on(said_later())), 3);
    assert_eq!(all(behind_another_name()), 3);
    let spans = capture.spans();
    let statuses: Vec<_> = spans
        .iter()
        .filter(|span| span.name() != "beside")
        .map(|span| (span.name(), span.status().1, span.events().count()))
        .collect();
    assert_eq!(
        statuses,
        [
            ("unsaid", "", 0),
            ("said", "the row is broken", 1),
            ("said_of_a_box", "the row is broken", 1),
            ("said_later", "the row is broken", 1),
            ("behind_another_name", "", 0)
        ]
    );
}

#[test]
fn stream_in_a_result_is_not_recognised() {
    let capture = testing::capture();
    assert!(in_a_result(true).is_err());
    let items = in_a_result(false);
    capture.assert_tree("in_a_result !\nin_a_result");
    drop(items);
}

#[traced]
fn panics() -> impl Stream<Item = u8> {
    three().inspect(|number| assert!(*number < 1, "as the test wants it"))
}

#[test]
fn panic_in_a_stream_is_the_status_of_its_span() {
    let capture = testing::capture();
    assert!(std::panic::catch_unwind(|| all(panics())).is_err());
    capture.assert_tree("panics !\n  item\n  item\nbeside");
}
