//! `#[traced]` on functions that return a closure.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use futures::executor::block_on;
use throughline::{current, span, testing, traced};

#[traced]
fn a_value(factor: u32) -> impl Fn(u32) -> u32 {
    move |number| {
        span!("step").end();
        number * factor
    }
}

#[traced(calls = true)]
fn by_reference<T>(text: T) -> impl Fn(u8, &str) -> String + Send
where
    T: Display + Send,
{
    span!("made").end();
    move |number, other: &str| {
        span!("step").end();
        format!("{text}{number}{other}")
    }
}

#[traced(calls = true)]
fn counts(mut count: u32) -> impl FnMut() -> u32 {
    move || {
        count += 1;
        current(|span| span.set("count", count));
        count
    }
}

#[traced(name = "take", kind = Client, calls = true)]
fn once(text: String) -> impl FnOnce((u8, u8)) -> String {
    move |_pair| text
}

#[traced(calls = true)]
fn fails() -> impl Fn(bool) -> Result<u8, String> {
    |fails| if fails { Err("no such order".to_owned()) } else { Ok(1) }
}

#[traced(calls = true, err = false)]
fn fails_well() -> impl Fn() -> Result<u8, String> {
    || Err("no such order".to_owned())
}

#[traced(calls = true)]
fn in_a_box() -> Box<dyn for<'a> Fn(&'a str) -> &'a str + Send> {
    Box::new(|text| text.trim())
}

#[traced(calls = true)]
fn to_futures(text: String) -> impl Fn() -> Pin<Box<dyn Future<Output = Result<usize, String>>>> {
    move || {
        let text = text.clone();
        Box::pin(async move {
            span!("step").end();
            text.parse().map_err(|_| "no number".to_owned())
        })
    }
}

#[test]
fn closure_that_is_returned_is_a_value_like_any_other() {
    let capture = testing::capture();
    let multiply = a_value(3);
    capture.assert_tree("a_value");
    assert_eq!(multiply(4), 12);
    capture.assert_tree("a_value\nstep");
}

#[test]
fn each_call_has_a_span_where_that_is_said() {
    let capture = testing::capture();
    let text = by_reference("a");
    assert_eq!((text(1, "b"), text(2, "c")), ("a1b".to_owned(), "a2c".to_owned()));
    capture.assert_tree("made\nby_reference\n  step\nby_reference\n  step");

    let capture = testing::capture();
    let mut count = counts(7);
    span!("caller").in_scope(|| assert_eq!((count(), count()), (8, 9)));
    assert_eq!(once("text".to_owned())((1, 2)), "text");
    assert_eq!(in_a_box()(" x "), "x");
    capture.assert_tree("caller\n  counts {count=8}\n  counts {count=9}\ntake\nin_a_box");
}

#[test]
fn error_of_a_call_is_the_status_of_its_span() {
    let capture = testing::capture();
    let order = fails();
    assert!(order(true).is_err() && order(false).is_ok() && fails_well()().is_err());
    capture.assert_tree("fails !\nfails\nfails_well");
}

#[test]
fn future_of_a_call_runs_in_the_span_of_the_call() {
    let capture = testing::capture();
    let parse = to_futures("x".to_owned());
    assert!(block_on(parse()).is_err());
    drop(parse());
    capture.assert_tree("to_futures !\n  step\nto_futures");
}
