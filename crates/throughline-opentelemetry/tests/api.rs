//! All that the API lets a library say about a span arrives.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Event, Link, Span, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Array, Context, InstrumentationScope, KeyValue, Value};
use throughline::testing::{self, CapturedSpan};
use throughline::{SpanView, StatusCode};

fn tracer() -> throughline_opentelemetry::Tracer {
    throughline_opentelemetry::install();
    throughline_opentelemetry::TracerProvider::new().tracer("library")
}

fn shown(span: &CapturedSpan, key: &str) -> String {
    format!("{:?}", span.attribute(key))
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).expect("it is later");
    since.as_nanos().try_into().expect("not in this century")
}

#[test]
fn attributes_of_all_types_arrive() {
    let capture = testing::capture();
    let tracer = tracer();
    let attributes = [
        KeyValue::new("bool", true),
        KeyValue::new("i64", -7),
        KeyValue::new("f64", 1.5),
        KeyValue::new("text", "x"),
        KeyValue::new(String::from("owned"), String::from("y")),
        KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("i64s", Value::Array(Array::I64(vec![1, 2]))),
        KeyValue::new("f64s", Value::Array(Array::F64(vec![0.5]))),
        KeyValue::new("texts", Value::Array(Array::String(vec!["a".into(), "b".into()]))),
    ];
    tracer
        .span_builder("at start")
        .with_attributes(attributes.clone())
        .start(&tracer)
        .end();
    let mut later = tracer.start("later");
    later.set_attributes(attributes.clone());
    later.set_attribute(KeyValue::new("i64", 8));
    later.end();
    later.set_attribute(KeyValue::new("too", "late"));
    for (name, i64) in [("at start", "I64(-7)"), ("later", "I64(8)")] {
        let span = capture.span(name);
        assert_eq!(span.view().attributes().count(), attributes.len());
        let texts = |key| match span.attribute(key) {
            Some(throughline::AnyValueView::Array(items)) => format!("{:?}", items.iter().collect::<Vec<_>>()),
            other => format!("{other:?}"),
        };
        assert_eq!(shown(&span, "bool"), "Some(Bool(true))");
        assert_eq!(shown(&span, "i64"), format!("Some({i64})"));
        assert_eq!(shown(&span, "f64"), "Some(F64(1.5))");
        assert_eq!(shown(&span, "text"), "Some(Str(\"x\"))");
        assert_eq!(shown(&span, "owned"), "Some(Str(\"y\"))");
        assert_eq!(texts("bools"), "[Bool(true), Bool(false)]");
        assert_eq!(texts("i64s"), "[I64(1), I64(2)]");
        assert_eq!(texts("f64s"), "[F64(0.5)]");
        assert_eq!(texts("texts"), "[Str(\"a\"), Str(\"b\")]");
    }
}

#[test]
fn kinds_times_names_and_statuses_arrive() {
    let capture = testing::capture();
    let tracer = tracer();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for (kind, native) in [
        (SpanKind::Client, throughline::SpanKind::Client),
        (SpanKind::Server, throughline::SpanKind::Server),
        (SpanKind::Producer, throughline::SpanKind::Producer),
        (SpanKind::Consumer, throughline::SpanKind::Consumer),
        (SpanKind::Internal, throughline::SpanKind::Internal),
    ] {
        let name = format!("{kind:?}");
        let mut span = tracer
            .span_builder("before")
            .with_kind(kind)
            .with_start_time(start)
            .start(&tracer);
        span.update_name(name.clone());
        span.add_event_with_timestamp("event", start + Duration::from_millis(3), vec![KeyValue::new("k", "v")]);
        span.end_with_timestamp(start + Duration::from_millis(5));
        assert!(!span.is_recording());
        let captured = capture.span(&name);
        let view = captured.view();
        assert_eq!(view.kind(), native);
        assert_eq!(
            (view.start_time_unix_nano(), view.end_time_unix_nano()),
            (nanos(start), nanos(start) + 5_000_000)
        );
        let event = view.events().next().expect("it has one");
        assert_eq!(
            (event.name(), event.time_unix_nano()),
            ("event", nanos(start) + 3_000_000)
        );
        assert_eq!(event.attributes().get("k").and_then(|value| value.as_str()), Some("v"));
    }
    for (name, statuses, expected) in [
        ("unset", vec![Status::Unset], (StatusCode::Unset, "")),
        (
            "last error",
            vec![Status::error("a"), Status::Unset, Status::error("b")],
            (StatusCode::Error, "b"),
        ),
        (
            "ok is final",
            vec![Status::error("a"), Status::Ok, Status::error("b")],
            (StatusCode::Ok, ""),
        ),
    ] {
        let mut span = tracer.start(name);
        statuses.into_iter().for_each(|status| span.set_status(status));
        drop(span);
        assert_eq!(capture.span(name).view().status(), expected, "{name}");
    }
    let mut span = tracer.start("own clock");
    span.add_event("now", vec![]);
    span.record_error(&std::fmt::Error);
    span.end();
    let span = capture.span("own clock");
    let view: SpanView<'_> = span.view();
    let times: Vec<_> = view.events().map(|event| event.time_unix_nano()).collect();
    assert!(view.start_time_unix_nano() <= times[0] && times[0] <= view.end_time_unix_nano());
    let exception = view.events().nth(1).expect("an exception");
    assert_eq!(exception.name(), "exception");
    assert!(exception.attributes().get("exception.message").is_some());
    assert_eq!(view.status().0, StatusCode::Unset, "recording an error is no status");
}

#[test]
fn events_and_links_of_a_builder_arrive() {
    let capture = testing::capture();
    let tracer = tracer();
    let state = TraceState::from_key_value([("v", "1")]).expect("it is valid");
    let flags = TraceFlags::SAMPLED;
    let other = SpanContext::new(TraceId::from(7), SpanId::from(8), flags, true, state);
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
    let mut span = tracer
        .span_builder("linked")
        .with_links(vec![Link::new(other.clone(), vec![KeyValue::new("n", 1)], 0)])
        .with_events(vec![Event::new(
            "e",
            at,
            vec![KeyValue::new("texts", Value::Array(Array::I64(vec![1])))],
            0,
        )])
        .start(&tracer);
    span.add_link(other, vec![KeyValue::new("n", 2)]);
    drop(span);
    let span = capture.span("linked");
    let view = span.view();
    let links: Vec<_> = view.links().collect();
    for (link, n) in links.iter().zip([1, 2]) {
        assert_eq!(
            link.span_id().map(|id| id.to_string()).as_deref(),
            Some("0000000000000008")
        );
        assert_eq!((link.trace_state(), link.flags() & 0x301), ("v=1", 0x301));
        assert_eq!(link.attributes().get("n").and_then(|value| value.as_i64()), Some(n));
    }
    assert_eq!(links.len(), 2);
    let event = view.events().next().expect("one");
    assert_eq!((event.name(), event.time_unix_nano()), ("e", 5_000_000_000));
}

#[test]
fn parents_and_trace_state_come_from_the_context() {
    let capture = testing::capture();
    let tracer = tracer();
    let state = TraceState::from_key_value([("v", "1")]).expect("it is valid");
    let remote = SpanContext::new(
        TraceId::from(0x77),
        SpanId::from(0x88),
        TraceFlags::SAMPLED,
        true,
        state.clone(),
    );
    let context = Context::new().with_remote_span_context(remote.clone());
    let child = tracer.start_with_context("child", &context);
    assert_eq!(child.span_context().trace_id(), remote.trace_id());
    assert_eq!(
        (child.span_context().trace_state(), child.span_context().is_remote()),
        (&state, false)
    );
    assert!(child.is_recording() && child.span_context().is_sampled());
    let root = tracer.start_with_context("root", &Context::new());
    assert_ne!(root.span_context().trace_id(), remote.trace_id());
    let unsampled = SpanContext::new(
        TraceId::from(0x99),
        SpanId::from(1),
        TraceFlags::NOT_SAMPLED,
        true,
        state,
    );
    let dropped = tracer.start_with_context("dropped", &Context::new().with_remote_span_context(unsampled));
    assert!(!dropped.is_recording() && !dropped.span_context().is_sampled());
    assert_eq!(dropped.span_context().trace_id(), TraceId::from(0x99));
    let suppressed = tracer.start_with_context("suppressed", &context.with_telemetry_suppressed());
    assert!(!suppressed.is_recording());
    assert_eq!(suppressed.span_context(), &remote, "what came in goes on");
    drop((child, root, dropped, suppressed));
    let names: Vec<_> = capture.spans().iter().map(|span| span.name().to_owned()).collect();
    // The child belongs to a trace that began elsewhere: to the capture of this thread all the same.
    assert!(
        names.iter().all(|name| ["child", "root"].contains(&name.as_str())),
        "{names:?}"
    );
    assert_eq!(capture.span("child").view().trace_state(), "v=1");
    assert_eq!(
        capture.span("child").view().flags() & 0x300,
        0x300,
        "the parent is remote"
    );
}

#[test]
fn scope_is_that_of_the_library() {
    let _capture = testing::capture();
    let provider = throughline_opentelemetry::TracerProvider::new();
    let scope = InstrumentationScope::builder("library")
        .with_version("1.2")
        .with_schema_url("https://example.com/schema")
        .with_attributes([KeyValue::new("k", "v")])
        .build();
    let tracer = provider.tracer_with_scope(scope.clone());
    let shown = format!("{tracer:?}");
    for part in ["library", "1.2", "https://example.com/schema"] {
        assert!(shown.contains(part), "{shown}");
    }
    // A library may ask for each span.
    let (one, other) = (
        format!("{:?}", provider.tracer("a")),
        format!("{:?}", provider.tracer("a")),
    );
    assert_eq!(one, other);
}
