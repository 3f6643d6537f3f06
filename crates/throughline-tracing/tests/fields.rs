//! Fields of spans as attributes, and what some of them mean.

use throughline::{SpanKind, StatusCode, testing};
use throughline_tracing::SpanExt as _;
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Span, debug_span, field, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

fn subscribe() -> DefaultGuard {
    set_default(registry().with(throughline_tracing::layer()))
}

#[test]
fn values_keep_their_types() {
    let capture = testing::capture();
    let _default = subscribe();
    let text = String::from("text");
    info_span!(
        "values",
        a = 7_u64,
        b = 7_usize,
        c = 7_u16,
        d = -7_i128,
        e = 7_u128,
        f = u64::MAX,
        g = i128::MIN,
        h = u128::MAX,
        i = 1.5,
        j = true,
        k = text.as_str(),
        l = %text,
        m = ?Some(1),
        n = i64::MIN,
    );
    capture.assert_tree(
        "values {a=7, b=7, c=7, d=-7, e=7, f=\"18446744073709551615\", g=\"-170141183460469231731687303715884105728\", \
         h=\"340282366920938463463374607431768211455\", i=1.5, j=true, k=text, l=text, m=Some(1), n=-9223372036854775808}",
    );
}

#[test]
fn late_fields_and_dynamic_ones_replace_what_was_there() {
    let capture = testing::capture();
    let _default = subscribe();
    let span = info_span!("late", rows = field::Empty, tries = 1, u = field::Empty);
    span.record("rows", 3)
        .record("rows", 4_u64)
        .record("tries", 2)
        .record("u", u64::MAX);
    for number in 0..40 {
        span.set_attribute(&format!("dynamic.{number}"), number);
    }
    span.set_attribute("rows", 5);
    drop(span);
    let span = capture.span("late");
    assert_eq!(span.attributes().count(), 43);
    assert_eq!(span.attribute("rows").and_then(|value| value.as_i64()), Some(5));
    assert_eq!(span.attribute("tries").and_then(|value| value.as_i64()), Some(2));
    assert_eq!(
        span.attribute("u").and_then(|value| value.as_str()),
        Some("18446744073709551615")
    );
}

#[test]
fn special_fields_say_name_kind_and_status() {
    let capture = testing::capture();
    let _default = subscribe();
    drop(info_span!(
        "a",
        otel.name = "GET /",
        otel.kind = "server",
        otel.status_code = "ERROR",
        otel.status_description = "gone"
    ));
    drop(info_span!("b", otel.kind = ?SpanKind::Client, otel.status_code = "ok"));
    let late = info_span!("c", otel.name = field::Empty, otel.status_code = field::Empty);
    late.record("otel.name", "late name")
        .record("otel.status_code", "Error");
    drop(late);
    drop(debug_span!(
        "d",
        otel.status_description = "only that",
        otel.kind = "nonsense"
    ));
    let shown = |name: &str| {
        let span = capture.span(name);
        let (code, message) = span.status();
        (span.kind(), code, message.to_owned(), span.attributes().count())
    };
    assert_eq!(
        shown("GET /"),
        (SpanKind::Server, StatusCode::Error, "gone".to_owned(), 0)
    );
    assert_eq!(shown("b"), (SpanKind::Client, StatusCode::Ok, String::new(), 0));
    assert_eq!(
        shown("late name"),
        (SpanKind::Internal, StatusCode::Error, String::new(), 0)
    );
    assert_eq!(
        shown("d"),
        (SpanKind::Internal, StatusCode::Error, "only that".to_owned(), 0)
    );
}

#[test]
fn message_of_a_span_is_an_attribute_however_it_comes() {
    let capture = testing::capture();
    let _default = subscribe();
    drop(info_span!("a", message = "words"));
    drop(info_span!("b", otel.name = "named", message = "words"));
    let late = info_span!("c", message = field::Empty);
    late.record("message", "words");
    drop(late);
    capture.assert_tree("a {message=words}\nnamed {message=words}\nc {message=words}");
}

#[test]
fn scope_is_named_after_the_target() {
    let capture = testing::capture();
    let _default = subscribe();
    drop(info_span!(target: "shop::cart", "x"));
    // The scope is beside the span, not in it: nothing of the target is an attribute.
    assert_eq!(capture.span("x").attributes().count(), 0);
}

#[test]
fn layer_records_level_place_and_thread_when_asked() {
    let capture = testing::capture();
    let layer = throughline_tracing::layer()
        .level(true)
        .code_location(true)
        .threads(true);
    let _default = set_default(registry().with(layer));
    drop(debug_span!("x"));
    let span = capture.span("x");
    let text = |key: &str| span.attribute(key).and_then(|value| value.as_str().map(str::to_owned));
    assert_eq!(text("level").as_deref(), Some("DEBUG"));
    assert!(text("code.file.path").expect("a file").ends_with("fields.rs"));
    assert!(span.attribute("code.line.number").is_some());
    assert_eq!(text("thread.name").as_deref(), std::thread::current().name());
}

#[test]
fn nothing_is_formatted_for_a_disabled_span() {
    struct Loud;
    impl std::fmt::Debug for Loud {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("nobody asked")
        }
    }
    Span::none().set_attribute("x", throughline::debug(Loud));
}
