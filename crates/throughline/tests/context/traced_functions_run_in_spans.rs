//! `#[traced]`: whatever a function looks like, its span is around its body, and an `Err` is the span's status.

use std::cell::Cell;
use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::future::Future;
use std::pin::Pin;

use futures::executor::block_on;
use throughline::{Context, SpanKind, current, span, traced};
use throughline_testkit::otlp::trace::v1::span::SpanKind as OtlpKind;

use crate::traced::{root, traced as tracing};
use crate::tree::tree;

/// The tree below a span in which this runs.
fn below(f: impl FnOnce()) -> String {
    let mut root = root("root");
    let context = root.context();
    root.in_scope(f);
    root.end();
    tree(&context)
}

fn step() {
    span!("step").end();
}

#[traced]
fn plain() {
    step();
}

#[traced]
fn returns_early(early: bool) -> u8 {
    if early {
        return 1;
    }
    step();
    2
}

#[traced(fields(number, text = %text, odd.key = number + 1))]
fn fields(number: i64, text: &str, not_recorded: &str) -> usize {
    step();
    text.len() + not_recorded.len()
}

#[traced]
fn generic<T, F: Fn(T) -> Vec<T>, const N: usize>(value: T, f: F) -> ([Vec<T>; N], u8)
where
    T: Clone,
{
    (std::array::from_fn(|_| f(value.clone())), 7)
}

#[traced]
fn lends<'a>(text: &'a mut String, _other: &str) -> &'a mut String {
    text.push('!');
    text
}

#[traced]
fn closure(factor: i32) -> impl Fn(i32) -> i32 {
    move |number| number * factor
}

#[traced(name = "r")]
fn r#match(r#in: u8) -> u8 {
    r#in
}

#[traced]
async fn awaits(number: u64) -> Result<u64, std::num::ParseIntError> {
    step();
    let parsed: u64 = async { "7" }.await.parse()?;
    if number == 0 {
        return Ok(0);
    }
    Ok(number + parsed)
}

#[traced]
async fn borrows(text: &str) -> &str {
    step();
    text.trim()
}

#[traced]
fn future(number: u64) -> impl Future<Output = u64> {
    span!("before").end();
    async move {
        step();
        number
    }
}

#[traced]
fn boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    span!("before").end();
    Box::pin(async move {
        step();
        text.len()
    })
}

struct Account(Cell<i32>);

trait Pay {
    fn pay(&self, amount: i32) -> i32;

    #[traced]
    fn twice(&self, amount: i32) -> i32 {
        self.pay(amount) + self.pay(amount)
    }
}

impl Pay for Account {
    #[traced(kind = Client, fields(amount))]
    fn pay(&self, amount: i32) -> i32 {
        self.0.set(self.0.get() - amount);
        self.0.get()
    }
}

impl Account {
    #[traced]
    fn consume(self) -> i32 {
        self.0.into_inner()
    }

    #[traced]
    fn change(&mut self, by: i32) -> &mut Cell<i32> {
        self.0.set(self.0.get() + by);
        &mut self.0
    }

    #[traced]
    async fn later(&mut self, by: i32) -> &Self {
        step();
        self.0.set(by);
        self
    }
}

#[test]
fn function_of_any_form_runs_in_its_span() {
    let account = || Account(Cell::new(10));
    type Case = (&'static str, fn());
    let cases: [Case; 13] = [
        ("plain(step)", plain),
        ("returns_early", || assert_eq!(returns_early(true), 1)),
        ("returns_early(step)", || assert_eq!(returns_early(false), 2)),
        ("fields+number+text+odd.key(step)", || {
            assert_eq!(fields(7, "abc", "d"), 4);
        }),
        ("generic", || {
            assert_eq!(generic::<_, _, 2>('x', |c| vec![c]), ([vec!['x'], vec!['x']], 7));
        }),
        ("lends", || {
            let mut text = "a".to_owned();
            lends(&mut text, "").push('?');
            assert_eq!(text, "a!?");
        }),
        ("closure", || assert_eq!(closure(3)(4), 12)),
        ("r", || assert_eq!(r#match(3), 3)),
        ("awaits(step)", || assert_eq!(block_on(awaits(1)), Ok(8))),
        ("awaits(step)", || assert_eq!(block_on(awaits(0)), Ok(0))),
        ("borrows(step)", || assert_eq!(block_on(borrows(" x ")), "x")),
        ("future(before step)", || assert_eq!(block_on(future(5)), 5)),
        ("boxed(before step)", || assert_eq!(block_on(boxed("abc")), 3)),
    ];
    for (expected, call) in cases {
        assert_eq!(below(call), format!("root({expected})"));
    }
    assert_eq!(
        below(|| assert_eq!(account().twice(2), 14)),
        "root(twice(pay+amount pay+amount))"
    );
    assert_eq!(below(|| assert_eq!(account().consume(), 10)), "root(consume)");
    assert_eq!(
        below(|| {
            let mut account = account();
            account.change(5).set(1);
            assert_eq!(block_on(account.later(3)).0.get(), 3);
        }),
        "root(change later(step))"
    );
}

#[derive(Debug)]
struct Refused;

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card was refused")
    }
}

impl Error for Refused {}

#[derive(Debug)]
struct Silent;

struct Unspeakable;

#[traced]
fn an_error() -> Result<(), Refused> {
    Err(Refused)
}

#[traced]
fn a_boxed_error() -> Result<(), Box<dyn Error + Send + Sync>> {
    Err(Refused)?
}

#[traced]
fn a_text() -> Result<(), String> {
    Err("no such order".to_owned())
}

#[traced]
fn a_debug_value() -> Result<(), Silent> {
    Err(Silent)
}

#[traced]
fn nothing_that_can_be_said() -> Result<(), Unspeakable> {
    Err(Unspeakable)
}

#[traced(err = false)]
fn no_failure() -> Result<(), Refused> {
    Err(Refused)
}

#[traced]
fn generic_error<E: Display>(error: E) -> Result<(), E> {
    Err(error)
}

#[traced]
async fn later() -> Result<(), Refused> {
    an_error()?;
    unreachable!("it is an error");
}

#[traced]
fn boxed_later() -> Pin<Box<dyn Future<Output = Result<(), Refused>>>> {
    Box::pin(async { Err(Refused) })
}

#[traced]
fn succeeds() -> Result<u8, Refused> {
    Ok(1)
}

#[test]
fn error_that_is_returned_is_the_status_of_the_span() {
    /// A function, whether it fails, its span's status and events.
    type Case = (&'static str, fn() -> bool, Option<&'static str>, usize);
    let failed: [Case; 10] = [
        ("an_error", || an_error().is_err(), Some("the card was refused"), 1),
        (
            "a_boxed_error",
            || a_boxed_error().is_err(),
            Some("the card was refused"),
            1,
        ),
        ("a_text", || a_text().is_err(), Some("no such order"), 0),
        ("a_debug_value", || a_debug_value().is_err(), Some("Silent"), 0),
        (
            "nothing_that_can_be_said",
            || nothing_that_can_be_said().is_err(),
            None,
            0,
        ),
        ("no_failure", || no_failure().is_err(), None, 0),
        (
            "generic_error",
            || generic_error(Refused).is_err(),
            Some("the card was refused"),
            0,
        ),
        ("later", || block_on(later()).is_err(), Some("the card was refused"), 1),
        (
            "boxed_later",
            || block_on(boxed_later()).is_err(),
            Some("the card was refused"),
            1,
        ),
        ("succeeds", || succeeds().is_err(), None, 0),
    ];
    for (name, call, message, events) in failed {
        let mut root = root("root");
        let context = root.context();
        assert_eq!(root.in_scope(call), name != "succeeds");
        root.end();
        let spans = tracing().trace(&context);
        let span = spans.iter().find(|span| span.name == name).expect("it was traced");
        let status = span.status.clone().unwrap_or_default();
        let expected = (if message.is_some() { 2 } else { 0 }, message.unwrap_or_default());
        assert_eq!((status.code, &*status.message), expected, "{name}");
        assert_eq!(span.events.len(), events, "{name}");
    }
}

#[traced(parent = parent, kind = SpanKind::Server, name = name)]
fn options(parent: &Context, name: &str) {
    assert_eq!(current(|span| span.context().trace_id()), Some(parent.trace_id()));
}

#[test]
fn span_is_what_the_options_say() {
    let outer = root("outer");
    let parent = outer.context();
    let _elsewhere = root("elsewhere").enter();
    options(&parent, "GET /orders");
    outer.end();
    let spans = tracing().trace(&parent);
    let span = spans
        .iter()
        .find(|span| span.name == "GET /orders")
        .expect("it was traced");
    assert_eq!(span.kind, OtlpKind::Server as i32);
    assert_eq!(tree(&parent), "outer(GET /orders)");
}

#[traced]
fn panics() {
    panic!("as the test wants it");
}

#[test]
fn panic_is_the_status_of_the_span_and_goes_on() {
    let mut root = root("root");
    let context = root.context();
    let caught = root.in_scope(|| std::panic::catch_unwind(panics));
    assert!(caught.is_err());
    root.end();
    let spans = tracing().trace(&context);
    let span = spans.iter().find(|span| span.name == "panics").expect("it was traced");
    let status = span.status.clone().expect("it failed");
    assert_eq!(status.code, 2);
    assert!(status.message.contains("as the test wants it"), "{status:?}");
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

trait Service {
    type Future: Future<Output = u8>;
}

struct Ready;

impl Service for Ready {
    type Future = std::future::Ready<u8>;
}

macro_rules! functions_of_a_macro {
    ($name:ident, $returns:ty, $body:block) => {
        #[traced]
        fn $name() -> $returns $body
    };
}
functions_of_a_macro!(of_a_macro, u8, {
    step();
    3
});
functions_of_a_macro!(future_of_a_macro, impl Future<Output = u8>, {
    async {
        step();
        3
    }
});

#[traced]
fn part_of_it_is_opaque(text: &str) -> Result<impl Iterator<Item = char>, String> {
    if text.is_empty() {
        return Err("there is no text".to_owned());
    }
    Ok(text.chars().rev().collect::<Vec<_>>().into_iter())
}

#[traced]
async fn part_of_it_is_opaque_later(text: &str) -> Result<impl Display, Box<dyn Error>> {
    let number: i32 = text.parse()?;
    Ok(number)
}

#[traced]
fn future_that_fails(fails: bool) -> impl Future<Output = Result<u8, String>> + Send {
    async move {
        if fails {
            Err("no such order")?;
        }
        Ok(1)
    }
}

#[traced]
#[allow(clippy::async_yields_async, reason = "that is what it is about")]
async fn future_of_a_future() -> impl Future<Output = u8> {
    step();
    std::future::ready(1)
}

#[traced]
fn closure_over_a_reference() -> impl for<'a> Fn(&'a str) -> &'a str {
    |text| text.trim()
}

#[traced]
fn makes_futures() -> Vec<Pin<Box<dyn Future<Output = u8>>>> {
    vec![Box::pin(async { 1 })]
}

#[traced]
fn may_make_a_future(is_some: bool) -> Result<Pin<Box<dyn Future<Output = u8>>>, String> {
    if is_some {
        Ok(Box::pin(async { 1 }))
    } else {
        Err("none".to_owned())
    }
}

#[traced]
fn service() -> impl Service<Future = std::future::Ready<u8>> {
    Ready
}

#[traced]
fn of_another_name() -> BoxFuture<'static, u8> {
    Box::pin(async {
        step();
        3
    })
}

#[traced]
fn never() -> ! {
    step();
    std::panic::panic_any(7)
}

#[traced]
async fn never_later() -> ! {
    step();
    std::panic::panic_any(7)
}

#[traced]
fn inner_attributes() -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

#[traced]
async fn inner_attributes_later() -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    2
}

#[test]
fn function_that_returns_something_odd_runs_in_its_span() {
    let unwinds = |f: fn()| assert!(std::panic::catch_unwind(f).is_err());
    type Case = (&'static str, fn());
    let cases: [Case; 14] = [
        ("of_a_macro(step)", || assert_eq!(of_a_macro(), 3)),
        ("future_of_a_macro(step)", || {
            assert_eq!(block_on(future_of_a_macro()), 3);
        }),
        ("part_of_it_is_opaque", || {
            assert_eq!(part_of_it_is_opaque("ab").unwrap().collect::<String>(), "ba");
        }),
        ("part_of_it_is_opaque", || assert!(part_of_it_is_opaque("").is_err())),
        ("part_of_it_is_opaque_later", || {
            assert!(block_on(part_of_it_is_opaque_later("x")).is_err());
        }),
        ("future_of_a_future(step)", || {
            assert_eq!(block_on(async { future_of_a_future().await.await }), 1);
        }),
        ("future_that_fails", || {
            assert_eq!(block_on(future_that_fails(false)), Ok(1));
        }),
        ("closure_over_a_reference", || {
            assert_eq!(closure_over_a_reference()(" x "), "x");
        }),
        ("makes_futures", || assert_eq!(makes_futures().len(), 1)),
        ("may_make_a_future", || assert!(may_make_a_future(false).is_err())),
        ("service", || drop(service())),
        ("of_another_name(step)", || assert_eq!(block_on(of_another_name()), 3)),
        ("inner_attributes", || assert_eq!(inner_attributes(), 2)),
        ("inner_attributes_later", || {
            assert_eq!(block_on(inner_attributes_later()), 2);
        }),
    ];
    for (expected, call) in cases {
        assert_eq!(below(call), format!("root({expected})"));
    }
    assert_eq!(below(|| unwinds(|| never())), "root(never(step))");
    assert_eq!(below(|| unwinds(|| block_on(never_later()))), "root(never_later(step))");
    let failed = |name: &str, call: fn()| {
        let mut root = root("root");
        let context = root.context();
        root.in_scope(call);
        root.end();
        let spans = tracing().trace(&context);
        let span = spans.iter().find(|span| span.name == name).expect("it was traced");
        span.status.clone().expect("it failed").message
    };
    assert_eq!(
        failed("part_of_it_is_opaque", || drop(part_of_it_is_opaque(""))),
        "there is no text"
    );
    assert_eq!(
        failed("future_that_fails", || drop(block_on(future_that_fails(true)))),
        "no such order"
    );
    assert_eq!(
        failed("part_of_it_is_opaque_later", || drop(block_on(
            part_of_it_is_opaque_later("x")
        ))),
        "invalid digit found in string"
    );
}
