//! OTLP/JSON is read as the protobuf that says the same: what others write, what the mapping allows, and nothing it forbids.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the helpers serve several test files")]

mod common;

use common::{sanitised, span};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;
use throughline_wire::any_value::MAX_DEPTH;
use throughline_wire::{SpanView, json, response};

proptest! {
    #[test]
    fn span_that_was_written_here_is_read_as_it_was(span in span()) {
        let mut text = String::new();
        json::write_span(&mut text, &SpanView::new(&span.encode_to_vec()));
        let bytes = json::read_span(text.as_bytes()).unwrap();
        prop_assert_eq!(Span::decode(&*bytes).unwrap(), span);
    }

    #[test]
    fn request_that_another_wrote_is_read_as_it_was(spans in prop::collection::vec(span().prop_map(sanitised), 0..3)) {
        let scope_spans = ScopeSpans { spans, ..ScopeSpans::default() };
        let resource_spans = ResourceSpans { scope_spans: vec![scope_spans], ..ResourceSpans::default() };
        let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };
        // It names what is not set, and puts line breaks and blanks between things.
        let text = serde_json::to_string_pretty(&request).unwrap();
        let bytes = json::read_request(text.as_bytes()).unwrap();
        prop_assert_eq!(ExportTraceServiceRequest::decode(&*bytes).unwrap(), request);
    }

    #[test]
    fn text_that_is_cut_is_refused(span in span(), cut in any::<prop::sample::Index>()) {
        let mut text = String::new();
        json::write_span(&mut text, &SpanView::new(&span.encode_to_vec()));
        prop_assert!(json::read_span(&text.as_bytes()[..cut.index(text.len())]).is_err());
    }
}

/// The value of one attribute whose value is this JSON.
fn value(json: &str) -> Result<Option<Value>, json::InvalidJson> {
    let text = format!(r#"{{"attributes":[{{"key":"k","value":{json}}}]}}"#);
    let bytes = json::read_span(text.as_bytes())?;
    let span = Span::decode(&*bytes).unwrap();
    let [attribute] = &span.attributes[..] else {
        panic!("{span:?}")
    };
    Ok(attribute.value.clone().and_then(|value| value.value))
}

#[test]
fn value_is_read_in_every_form_that_the_mapping_allows() {
    let int = |value| Some(Value::IntValue(value));
    let text = |value: &str| Some(Value::StringValue(value.into()));
    let bytes = |value: &[u8]| Some(Value::BytesValue(value.into()));
    for (json, expected) in [
        ("{}", None),
        ("null", None),
        (r#"{"stringValue":null}"#, None),
        (r#"{"unknownValue":{"a":[1,true,{"b":null}]}}"#, None),
        (r#"{"string_value":"x"}"#, None),
        (r#"{"stringValue":""}"#, text("")),
        (
            r#"{"stringValue":"a\u00e4\n\"\\\/\b\f\r\t"}"#,
            text("aä\n\"\\/\u{8}\u{c}\r\t"),
        ),
        (r#"{"stringValue":"\ud83e\udd80"}"#, text("\u{1f980}")),
        (r#"{"boolValue":false}"#, Some(Value::BoolValue(false))),
        (r#"{"intValue":"-9223372036854775808"}"#, int(i64::MIN)),
        (r#"{"intValue":9223372036854775807}"#, int(i64::MAX)),
        (r#"{"intValue":0}"#, int(0)),
        (r#"{"intValue":5.0}"#, int(5)),
        (r#"{"intValue":"5.0"}"#, int(5)),
        (r#"{"intValue":1e2}"#, int(100)),
        (r#"{"intValue":-0.0}"#, int(0)),
        (r#"{"intValue":0e999999999999999999999}"#, int(0)),
        (r#"{"intValue":1700000000123456789.0}"#, int(1_700_000_000_123_456_789)),
        (
            r#"{"intValue":1.700000000123456789e18}"#,
            int(1_700_000_000_123_456_789),
        ),
        (r#"{"intValue":"9007199254740993e0"}"#, int(9_007_199_254_740_993)),
        (r#"{"intValue":9223372036854775807.0}"#, int(i64::MAX)),
        (r#"{"doubleValue":1}"#, Some(Value::DoubleValue(1.0))),
        (r#"{"doubleValue":"1.5"}"#, Some(Value::DoubleValue(1.5))),
        (r#"{"doubleValue":-0.0}"#, Some(Value::DoubleValue(-0.0))),
        (r#"{"doubleValue":"Infinity"}"#, Some(Value::DoubleValue(f64::INFINITY))),
        (
            r#"{"doubleValue":"-Infinity"}"#,
            Some(Value::DoubleValue(f64::NEG_INFINITY)),
        ),
        (r#"{"bytesValue":"+/8="}"#, bytes(&[0xfb, 0xff])),
        (r#"{"bytesValue":"-_8"}"#, bytes(&[0xfb, 0xff])),
        (r#"{"bytesValue":""}"#, bytes(&[])),
        (r#"{"arrayValue":{}}"#, Some(Value::ArrayValue(Default::default()))),
        (
            r#"{"kvlistValue":{"values":null}}"#,
            Some(Value::KvlistValue(Default::default())),
        ),
    ] {
        assert_eq!(value(json), Ok(expected), "{json}");
    }
    let nan = value(r#"{"doubleValue":"NaN"}"#).unwrap();
    assert!(matches!(nan, Some(Value::DoubleValue(value)) if value.is_nan()));
}

#[test]
fn span_is_read_in_every_form_that_the_mapping_allows() {
    let text = br#" { "traceId":"5B8EFFF798038103D269B633813FC60C", "spanId":"", "kind":77, "flags":"769",
        "startTimeUnixNano":1544712660000000000, "endTimeUnixNano":"1544712661000000000",
        "droppedAttributesCount":"3", "status":null, "events":null, "later":{"than":"this"} } "#;
    let span = Span::decode(&*json::read_span(text).unwrap()).unwrap();
    let expected = Span {
        trace_id: b"\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c".to_vec(),
        kind: 77,
        flags: 769,
        start_time_unix_nano: 1_544_712_660_000_000_000,
        end_time_unix_nano: 1_544_712_661_000_000_000,
        dropped_attributes_count: 3,
        ..Span::default()
    };
    assert_eq!(span, expected);
}

#[test]
fn what_the_mapping_forbids_is_refused_with_its_place_and_reason() {
    for (json, offset, problem) in [
        (r#""#, 0, "there is no object"),
        (r#"null"#, 0, "there is no object"),
        (r#"[]"#, 0, "there is no object"),
        (r#"{"name":"a"} {}"#, 13, "there is more behind the end"),
        (r#"{"name":"a",}"#, 12, "there is no string"),
        (r#"{"name" "a"}"#, 8, "there is no colon"),
        (r#"{"name":7}"#, 8, "name is not a string"),
        (
            r#"{"name":"a","name":"b"}"#,
            19,
            "name is set twice, or beside another value",
        ),
        (r#"{"name":"\ud83e"}"#, 0, "name is not a string"),
        (
            r#"{"kind":"SPAN_KIND_SERVER"}"#,
            8,
            "kind is not a whole number of 32 bits, without quotes",
        ),
        (r#"{"kind":2147483648}"#, 0, "kind is not"),
        (r#"{"kind":1.5}"#, 0, "kind is not"),
        (
            r#"{"startTimeUnixNano":-1}"#,
            0,
            "startTimeUnixNano is not a whole number of 64 bits above or at 0",
        ),
        (
            r#"{"startTimeUnixNano":"18446744073709551616"}"#,
            0,
            "startTimeUnixNano is not",
        ),
        (r#"{"startTimeUnixNano":" 1"}"#, 0, "startTimeUnixNano is not"),
        (r#"{"startTimeUnixNano":"+1"}"#, 0, "startTimeUnixNano is not"),
        (
            r#"{"traceId":"abc"}"#,
            0,
            "traceId is not a string of pairs of hexadecimal digits",
        ),
        (r#"{"traceId":"xx"}"#, 0, "traceId is not"),
        (r#"{"events":{}}"#, 10, "there is no list"),
        (r#"{"events":[null]}"#, 11, "there is no object"),
        (r#"{"status":[]}"#, 10, "there is no object"),
        (r#"{"later":tru}"#, 9, "there is no value"),
        (r#"{"later":01}"#, 10, "there is neither a comma nor a closing brace"),
        (r#"{"later":"a"#, 10, "a string does not end"),
        ("{\"later\":\"\n\"}", 10, "there is a control character in a string"),
    ] {
        let error = json::read_span(json.as_bytes()).expect_err(json);
        let said = error.to_string();
        assert!(said.contains(problem), "{json}: {said}");
        if offset > 0 {
            assert_eq!(error.offset(), offset, "{json}: {said}");
        }
    }
    for json in [
        r#"{"boolValue":"true"}"#,
        r#"{"intValue":""}"#,
        r#"{"intValue":"five"}"#,
        r#"{"intValue":9223372036854775808}"#,
        r#"{"intValue":4.00000000000000000001}"#,
        r#"{"intValue":1e-400}"#,
        r#"{"intValue":1e400}"#,
        r#"{"intValue":1e99999999999999999999}"#,
        r#"{"doubleValue":"nan"}"#,
        r#"{"doubleValue":1e999}"#,
        r#"{"doubleValue":NaN}"#,
        r#"{"bytesValue":"a"}"#,
        r#"{"bytesValue":"YQ="}"#,
        r#"{"bytesValue":"Y Q="}"#,
        r#"{"stringValue":"a","intValue":1}"#,
        r#"{"stringValue":"a","stringValue":"a"}"#,
    ] {
        assert!(value(json).is_err(), "{json}");
    }
}

#[test]
fn values_are_read_as_deep_as_they_may_be_nested() {
    let nested = |depth: usize| {
        let open = r#"{"arrayValue":{"values":["#.repeat(depth);
        let close = "]}}".repeat(depth);
        format!(r#"{{"attributes":[{{"key":"k","value":{open}{{"intValue":"7"}}{close}}}]}}"#)
    };
    // Other readers of protobuf follow less deep than this one.
    let text = nested(MAX_DEPTH - 1);
    let mut again = String::new();
    json::write_span(&mut again, &SpanView::new(&json::read_span(text.as_bytes()).unwrap()));
    let attributes = again.find(r#""attributes""#).unwrap();
    assert_eq!(again[attributes..], text[1..]);
    for depth in [MAX_DEPTH, 200_000] {
        let error = json::read_span(nested(depth).as_bytes()).expect_err("it is too deep");
        assert!(error.to_string().contains("values are nested too deep"), "{error}");
    }
    let unknown = format!(r#"{{"unknown":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    let error = json::read_span(unknown.as_bytes()).expect_err("it is too deep");
    assert!(error.to_string().contains("nested too deep"), "{error}");
}

#[test]
fn answers_are_read() {
    let partial = |text: &[u8]| response::partial_success(&json::read_response(text).unwrap()).unwrap();
    assert_eq!(partial(b"{}"), None);
    assert_eq!(partial(br#"{"partialSuccess":{}}"#), None);
    let found = partial(br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"late"}}"#).unwrap();
    assert_eq!((found.rejected_spans, &*found.error_message), (3, "late"));
    let status = json::read_status(br#"{"code":"3","message":"bad data","details":[{"@type":"x"}]}"#).unwrap();
    let status = response::rpc_status(&status).unwrap();
    assert_eq!((status.code, &*status.message), (3, "bad data"));
}
