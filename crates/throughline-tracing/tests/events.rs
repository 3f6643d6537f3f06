//! Events of `tracing` and `log` as events of spans, errors as exceptions.

use std::error::Error;
use std::fmt;

use throughline::{StatusCode, span, testing};
use throughline_tracing::{events_outside_spans, layer};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Level, debug, error, info, info_span, instrument, warn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

#[derive(Debug)]
struct Declined(std::num::ParseIntError);

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("card declined")
    }
}

impl Error for Declined {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

fn declined() -> Declined {
    Declined("x".parse::<i32>().expect_err("no number"))
}

fn subscribe() -> DefaultGuard {
    set_default(registry().with(layer()))
}

/// Events with their attributes, as text.
fn events(span: &testing::CapturedSpan) -> Vec<String> {
    let shown = |event: throughline::EventView<'_>| {
        let attributes: Vec<_> = event
            .attributes()
            .map(|(key, value)| match (value.as_str(), value.as_i64()) {
                (Some(text), _) => format!("{key}={text}"),
                (None, Some(number)) => format!("{key}={number}"),
                (None, None) => format!("{key}=?"),
            })
            .collect();
        format!("{}: {}", event.name(), attributes.join(" "))
    };
    span.events().map(shown).collect()
}

#[test]
fn event_is_named_by_its_message_and_has_level_and_target() {
    let capture = testing::capture();
    let _default = subscribe();
    info_span!("a").in_scope(|| {
        info!(n = 1, n = 2, "said {}", "so");
        debug!(target: "elsewhere", only = "fields");
    });
    let events = events(&capture.span("a"));
    assert_eq!(events[0], "said so: level=INFO target=events n=2");
    assert!(
        events[1].starts_with("event ") && events[1].ends_with("level=DEBUG target=elsewhere only=fields"),
        "{events:?}"
    );
    assert_eq!(capture.span("a").status().0, StatusCode::Unset);
}

#[test]
fn event_belongs_to_the_span_it_names() {
    let capture = testing::capture();
    let _default = subscribe();
    let a = info_span!("a");
    let b = info_span!("b").entered();
    info!(parent: &a, "of a");
    info!("of b");
    span!("c").in_scope(|| info!("of c"));
    b.exit();
    drop(a);
    for (name, expected) in [("a", "of a"), ("b", "of b"), ("c", "of c")] {
        let span = capture.span(name);
        let names: Vec<_> = span.events().map(|event| event.name().to_owned()).collect();
        assert_eq!(names, [expected]);
    }
}

#[test]
fn event_outside_any_span_is_counted() {
    let _capture = testing::capture();
    let _default = subscribe();
    let before = events_outside_spans();
    info!("outside");
    info!(parent: None, "outside");
    info_span!("a").in_scope(|| info!(parent: None, "outside by its own wish"));
    assert!(events_outside_spans() >= before + 3, "other tests may add theirs");
}

#[test]
fn error_is_an_exception_with_its_sources() {
    let capture = testing::capture();
    let _default = subscribe();
    info_span!("a").in_scope(|| error!(error = &declined() as &dyn Error, n = 1, "payment failed"));
    let a = capture.span("a");
    assert_eq!(
        events(&a),
        [
            "exception: exception.type=Declined exception.message=card declined exception.stacktrace=card declined\nCaused by: \
          invalid digit found in string message=payment failed level=ERROR target=events n=1"
        ]
    );
    assert_eq!(a.status(), (StatusCode::Error, "card declined"));
}

#[test]
fn error_in_a_field_of_a_span_is_its_exception() {
    let capture = testing::capture();
    let _default = subscribe();
    let failure = declined();
    drop(info_span!("a", error = &failure as &dyn Error));
    let b = info_span!("b", error = tracing::field::Empty);
    b.record("error", &failure as &dyn Error);
    drop(b);
    for name in ["a", "b"] {
        let span = capture.span(name);
        assert_eq!(
            span.events().map(|event| event.name().to_owned()).collect::<Vec<_>>(),
            ["exception"]
        );
        assert_eq!(span.status(), (StatusCode::Error, "card declined"));
    }
}

#[instrument(err)]
fn fails() -> Result<(), Declined> {
    Err(declined())
}

#[instrument(err)]
fn fails_and_says_so() -> Result<(), Declined> {
    let error = declined();
    error!(error = %error, "about to fail");
    Err(error)
}

#[test]
fn instrument_err_gives_one_exception() {
    let capture = testing::capture();
    let _default = subscribe();
    let _ = fails();
    let _ = fails_and_says_so();
    for name in ["fails", "fails_and_says_so"] {
        let span = capture.span(name);
        let exceptions = span.events().filter(|event| event.name() == "exception").count();
        assert_eq!(
            (exceptions, span.status()),
            (1, (StatusCode::Error, "card declined")),
            "{name}: {:?}",
            events(&span)
        );
    }
}

#[test]
fn error_events_leave_the_status_alone_when_told() {
    let capture = testing::capture();
    let _default = set_default(registry().with(layer().error_status(false)));
    info_span!("a").in_scope(|| error!(error = %declined(), "failed"));
    info_span!("b", otel.status_code = "ok").in_scope(|| {});
    assert_eq!(capture.span("a").status().0, StatusCode::Unset);
    let _default = subscribe();
    info_span!("c", otel.status_code = "ok").in_scope(|| error!("not so bad"));
    assert_eq!(capture.span("c").status().0, StatusCode::Ok, "Ok is final");
    info_span!("d").in_scope(|| error!("just words"));
    assert_eq!(capture.span("d").status(), (StatusCode::Error, "just words"));
}

#[test]
fn events_are_chosen_by_level() {
    let capture = testing::capture();
    for (number, layer) in [layer().events(Level::WARN), layer().events(None)]
        .into_iter()
        .enumerate()
    {
        let _default = set_default(registry().with(layer));
        info_span!("a", number).in_scope(|| {
            info!("no");
            warn!("yes");
        });
    }
    let counts: Vec<_> = capture.spans().iter().map(|span| span.events().count()).collect();
    assert_eq!(counts, [1, 0]);
}

#[test]
fn log_records_are_events_with_their_own_target() {
    let capture = testing::capture();
    let _default = subscribe();
    // It is the process's only logger.
    let _ = tracing_log::LogTracer::init();
    info_span!("a").in_scope(|| log::warn!(target: "old", "by log"));
    assert_eq!(events(&capture.span("a")), ["by log: level=WARN target=old"]);
}

#[test]
fn values_of_events_keep_their_types() {
    let capture = testing::capture();
    let _default = subscribe();
    info_span!("a").in_scope(|| info!(a = u64::MAX, b = 7_u128, c = true, d = 1.5, "x"));
    let a = capture.span("a");
    let event = a.events().next().expect("one");
    let value = |wanted: &str| {
        event
            .attributes()
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| value)
            .expect("it is there")
    };
    assert_eq!(value("a").as_str(), Some("18446744073709551615"));
    assert_eq!(value("b").as_i64(), Some(7));
    assert_eq!(value("c").as_bool(), Some(true));
    assert_eq!(value("d").as_f64(), Some(1.5));
}
