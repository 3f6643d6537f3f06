use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};

use throughline::{Context, InSpanExt, Span};
use throughline_testkit::otlp::trace::v1::status::StatusCode::{self, Error as Failed, Ok as Succeeded, Unset};

use crate::traced::{pairs, root, text, traced};

fn status(context: &Context) -> (StatusCode, String) {
    let status = traced().span(context).span.status.unwrap_or_default();
    (status.code(), status.message)
}

#[test]
fn ok_is_final_and_the_last_error_wins() {
    type Steps = fn(&mut Span);
    let cases: [(Steps, StatusCode, &str); 9] = [
        (|_| (), Unset, ""),
        (|span| span.status_ok(), Succeeded, ""),
        (|span| span.status_error("why"), Failed, "why"),
        (|span| span.status_error(""), Failed, ""),
        (
            |span| {
                span.status_error("first");
                span.status_error("second");
            },
            Failed,
            "second",
        ),
        (
            |span| {
                span.status_error("first");
                span.status_error("");
            },
            Failed,
            "",
        ),
        (
            |span| {
                span.status_error("why");
                span.status_ok();
            },
            Succeeded,
            "",
        ),
        (
            |span| {
                span.status_ok();
                span.status_error("too late");
            },
            Succeeded,
            "",
        ),
        (
            |span| {
                span.status_ok();
                span.error(&fmt::Error);
            },
            Succeeded,
            "",
        ),
    ];
    for (at, (steps, code, message)) in cases.into_iter().enumerate() {
        let mut span = root("status");
        steps(&mut span);
        let context = span.context();
        drop(span);
        assert_eq!(status(&context), (code, message.to_owned()), "case {at}");
    }
}

#[derive(Debug)]
struct Failure(&'static str, Option<Box<Failure>>);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|source| source as _)
    }
}

/// Its source is itself, and it cannot be displayed either.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half a message")?;
        Err(fmt::Error)
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn error_is_recorded_with_all_its_sources() {
    let error = Failure(
        "cannot load",
        Some(Box::new(Failure(
            "cannot read",
            Some(Box::new(Failure("no such file", None))),
        ))),
    );
    let mut span = root("failing");
    span.error(&error);
    let received = traced().end(span);
    assert_eq!(received.events.len(), 1);
    assert_eq!(received.events[0].name, "exception");
    let attributes = pairs(&received.events[0].attributes);
    assert_eq!(attributes[1], ("exception.message", text("cannot load")));
    let chain = "cannot load\nCaused by: cannot read\nCaused by: no such file";
    assert_eq!(attributes[2], ("exception.stacktrace", text(chain)));
    assert!(matches!(&attributes[0], ("exception.type", _)));
    assert!(
        received.events[0].attributes[0]
            .value
            .as_ref()
            .is_some_and(|value| format!("{value:?}").contains("Failure"))
    );
    let status = received.span.status.unwrap_or_default();
    assert_eq!((status.code(), status.message.as_str()), (Failed, "cannot load"));
}

#[test]
fn panic_that_is_caught_outside_is_the_status_of_all_spans_it_went_through() {
    let catch = |f: &mut dyn FnMut()| assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
    let mut by_closure = root("by a closure");
    catch(&mut || by_closure.in_scope(|| panic!("number {}", 1)));
    let shared = root("shared").share();
    catch(&mut || shared.in_scope(|| std::panic::panic_any(7)));
    // As a server does it: the task is polled by somebody who catches, and dropped later.
    let in_future = root("in a future");
    let future_context = in_future.context();
    let mut future = Box::pin(async { panic!("in a task") }.in_span(in_future));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    catch(&mut || {
        let _ = future.as_mut().poll(&mut task);
    });
    drop(future);
    let closure_context = by_closure.context();
    by_closure.end();
    shared.end();
    for (context, message) in [
        (closure_context, "panicked: number 1"),
        (shared.context(), "panicked"),
        (future_context, "panicked: in a task"),
    ] {
        assert_eq!(status(&context), (Failed, message.to_owned()));
    }
}

#[test]
fn error_type_is_that_of_the_error_itself_where_it_can_be_known() {
    #[derive(Debug)]
    enum Refused {
        #[expect(dead_code, reason = "it is displayed")]
        Card(u8),
    }
    impl fmt::Display for Refused {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("refused")
        }
    }
    impl Error for Refused {}
    let io = std::io::Error::other("disk");
    let text_error: Box<dyn Error + Send + Sync> = "only a text".into();
    let cases: [(&dyn Error, Option<&str>); 4] = [
        (&Refused::Card(1), Some("Card")),
        (&io, Some("Custom")),
        (&fmt::Error, Some("Error")),
        (&*text_error, None),
    ];
    for (error, expected) in cases {
        let mut span = root("failing");
        span.error(error);
        let received = traced().end(span);
        let attributes = pairs(&received.events[0].attributes);
        let found = attributes.iter().find(|(key, _)| *key == "exception.type");
        assert_eq!(found.map(|(_, value)| value.clone()), expected.map(text), "{error:?}");
        assert!(attributes.contains(&("exception.message", text(&error.to_string()))));
    }
    let mut span = root("failing");
    span.error(&Refused::Card(1));
    let attributes = traced().end(span).events[0].attributes.clone();
    let Some(("exception.type", kind)) = pairs(&attributes).first().cloned() else {
        panic!("its type is known");
    };
    assert!(
        matches!(kind, throughline_testkit::otlp::common::v1::any_value::Value::StringValue(kind) if kind.ends_with("::Refused"))
    );
}

#[test]
fn error_without_a_source_has_no_chain_and_may_be_a_trait_object() {
    let error: Box<dyn Error> = Box::new(Failure("alone", None));
    let mut span = root("failing");
    span.error(&*error);
    let received = traced().end(span);
    let keys: Vec<_> = pairs(&received.events[0].attributes)
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(keys, ["exception.type", "exception.message"]);
}

#[test]
fn chain_that_is_a_circle_ends_and_a_display_that_fails_is_cut_short() {
    let mut span = root("failing");
    span.error(&Circle);
    let received = traced().end(span);
    let attributes = pairs(&received.events[0].attributes);
    assert_eq!(attributes[1], ("exception.message", text("half a message")));
    let throughline_testkit::otlp::common::v1::any_value::Value::StringValue(chain) = &attributes[2].1 else {
        panic!("not a text");
    };
    assert_eq!(chain.lines().count(), 33);
}

#[test]
fn span_that_is_open_when_its_thread_panics_says_so() {
    type Panics = fn(Span);
    let cases: [(&str, Panics, StatusCode, &str); 8] = [
        ("owned", |_span| panic!("for a test"), Failed, "panicked"),
        (
            "entered",
            |span| {
                let _span = span.enter();
                panic!("for a test");
            },
            Failed,
            "panicked",
        ),
        (
            "in scope",
            |mut span| span.in_scope(|| panic!("for a test")),
            Failed,
            "panicked: for a test",
        ),
        (
            "shared",
            |span| {
                let span = span.share();
                let _entered = span.enter();
                panic!("for a test");
            },
            Failed,
            "panicked",
        ),
        (
            "in a future",
            |span| futures::executor::block_on(async { panic!("for a test") }.in_span(span)),
            Failed,
            "panicked: for a test",
        ),
        (
            "in the closure of current",
            |span| {
                let _span = span.enter();
                throughline::current(|span| {
                    span.set("before", 1);
                    panic!("for a test")
                });
            },
            Failed,
            "panicked",
        ),
        (
            "with an error of its own",
            |mut span| {
                span.status_error("mine");
                panic!("for a test");
            },
            Failed,
            "mine",
        ),
        (
            "after success",
            |mut span| {
                span.status_ok();
                panic!("for a test");
            },
            Succeeded,
            "",
        ),
    ];
    for (name, panics, code, message) in cases {
        let span = root(name);
        let context = span.context();
        assert!(catch_unwind(AssertUnwindSafe(|| panics(span))).is_err());
        assert_eq!(status(&context), (code, message.to_owned()), "{name}");
        assert!(Context::current().is_empty(), "{name}: nothing stays current");
    }
}

/// An error that counts how often it is asked for its message, and panics.
#[derive(Debug, Default)]
struct Asked(AtomicU32);

impl fmt::Display for Asked {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fetch_add(1, Ordering::Relaxed);
        panic!("as the test wants it");
    }
}

impl Error for Asked {}

#[test]
fn error_is_not_asked_for_its_message_when_nothing_is_recorded() {
    traced();
    let unsampled = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")];
    let parent = throughline::extract(unsampled).expect("a valid traceparent");
    let error = Asked::default();
    let mut span = throughline::span!(parent: &parent, "unsampled");
    span.error(&error);
    span.share().error(&error);
    throughline::span!(parent: &parent, "unsampled").enter().error(&error);
    assert_eq!(error.0.into_inner(), 0);
}

#[test]
fn error_whose_message_panics_costs_its_message_and_nothing_else() {
    let mut span = root("its error panics");
    let context = span.context();
    let error = Asked::default();
    span.error(&error);
    span.end();
    assert_eq!(error.0.into_inner(), 1);
    assert_eq!(status(&context), (Failed, "(its message panicked)".to_owned()));
}
