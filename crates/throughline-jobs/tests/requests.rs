//! Requests of protocols of one's own: keys and spans of routes.

use proptest::prelude::*;
use throughline::testing::capture;
use throughline::{SpanKind, StatusCode, span};
use throughline_jobs::{InvalidRequestKey, Request, RequestKey};

const UUID: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736";
const KEY: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7";
const SPAN: [u8; 8] = [0, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];

#[test]
fn request_key_reads_and_writes_each_form() {
    let key: RequestKey = KEY.parse().unwrap();
    for text in [
        KEY,
        &KEY.to_uppercase(),
        "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7",
        "4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7",
    ] {
        assert_eq!(text.parse(), Ok(key), "{text}");
    }
    assert_eq!(RequestKey::from_uuid(UUID, SPAN), Ok(key));
    assert_eq!(RequestKey::from_bytes(key.to_bytes()), Ok(key));
    assert_eq!((key.to_string().as_str(), key.uuid().as_str()), (KEY, UUID));
    assert_eq!(key.to_hex(), "4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7");
    assert_eq!(key.context().trace_id().unwrap().to_string(), UUID.replace('-', ""));
}

#[test]
fn request_key_refuses_what_is_none() {
    let long = format!("{KEY}0");
    for text in [
        "",
        ":",
        UUID,
        &long,
        "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:",
        "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b",
        "00000000-0000-0000-0000-000000000000:00f067aa0ba902b7",
        "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:0000000000000000",
        "4bf92f3577-b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7",
        "4bf92f35-77b3-4da6-a3ce-929d0e0e473-:00f067aa0ba902b7",
        "+bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7",
        "ébf92f35-77b3-4da6-a3ce-929d0e0e473:00f067aa0ba902b7",
    ] {
        assert!(text.parse::<RequestKey>().is_err(), "{text}");
    }
    assert!(RequestKey::from_bytes([0; 24]).is_err());
    assert!(RequestKey::from_uuid(UUID, [0; 8]).is_err());
    let said = "x".parse::<RequestKey>().unwrap_err();
    assert!(said.to_string().contains("a UUID and 16 hexadecimal digits"));
}

#[test]
fn current_key_names_the_current_span_or_a_new_trace() {
    let _capture = capture();
    let mut span = span!("hop");
    let context = span.context();
    let inside = span.in_scope(RequestKey::current);
    assert_eq!(
        (Some(inside.trace_id()), Some(inside.span_id())),
        (context.trace_id(), context.span_id())
    );
    assert_ne!(RequestKey::current().trace_id(), RequestKey::current().trace_id());
}

#[test]
fn each_route_has_a_span_named_by_its_key() -> Result<(), InvalidRequestKey> {
    let capture = capture();
    let key: RequestKey = KEY.parse()?;
    let _ = Request::new(key, "report.create").serve().run(|| Ok::<_, String>(()));
    let _ = Request::new(key, "report.delete")
        .serve()
        .run(|| Err::<(), _>("no such report"));
    Request::unknown(key, &"x".repeat(1000)).serve().run(|| ());
    for (name, status) in [
        ("report.create", (StatusCode::Unset, "")),
        ("report.delete", (StatusCode::Error, "no such report")),
        ("unknown route", (StatusCode::Error, "")),
    ] {
        let span = capture.span(name);
        assert_eq!((span.kind(), span.status()), (SpanKind::Server, status));
        assert_eq!(
            (span.trace_id(), span.parent_span_id()),
            (key.trace_id(), Some(key.span_id()))
        );
        assert_eq!(span.attribute("request.trace_id").unwrap().as_str(), Some(UUID));
        assert_eq!(
            span.attribute("request.span_id").unwrap().as_str(),
            Some("00f067aa0ba902b7")
        );
        let route = span
            .attribute("request.route_key")
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned();
        assert!(route == name || route == "x".repeat(256), "{route}");
    }
    Ok(())
}

#[test]
fn concurrent_requests_with_one_key_have_spans_of_their_own() -> Result<(), InvalidRequestKey> {
    let capture = capture();
    let key: RequestKey = KEY.parse()?;
    let requests: Vec<_> = (0..3).map(|_| Request::new(key, "fan.out").serve()).collect();
    requests.into_iter().for_each(|request| request.run(|| ()));
    assert_eq!(capture.spans().len(), 3);
    Ok(())
}

proptest! {
    #[test]
    fn random_text_is_no_key_or_one_that_reads_back(text in ".{0,60}") {
        if let Ok(key) = text.parse::<RequestKey>() {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn every_key_survives_each_form(bytes in any::<[u8; 24]>()) {
        if let Ok(key) = RequestKey::from_bytes(bytes) {
            prop_assert_eq!(key.to_bytes(), bytes);
            prop_assert_eq!(key.to_string().parse(), Ok(key));
            prop_assert_eq!(key.to_hex().parse(), Ok(key));
            prop_assert_eq!(RequestKey::from_uuid(&key.uuid(), key.span_id().to_bytes()), Ok(key));
        }
    }
}
