//! OTLP/JSON against vectors checked by hand, for what no oracle covers.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use throughline_wire::encode::{self, Event};
use throughline_wire::{SpanView, Value, encode_resource, json, request};

fn attributes_json(attributes: &[(&str, Value<'_>)]) -> String {
    let mut bytes = Vec::new();
    for (key, value) in attributes {
        encode::push_key_value(&mut bytes, encode::tag::ATTRIBUTE, key, value);
    }
    let mut text = String::new();
    json::write_span(&mut text, &SpanView::new(&bytes));
    let (_, rest) = text.split_once(r#""attributes":"#).unwrap();
    rest.strip_suffix('}').unwrap().to_owned()
}

#[test]
fn every_kind_of_value() {
    #[rustfmt::skip]
    let cases = [
        (Value::Empty, r#"{}"#),
        (Value::from(""), r#"{"stringValue":""}"#),
        (Value::from("a\"\\\n\u{1}\u{7f}\u{e4}"), "{\"stringValue\":\"a\\\"\\\\\\n\\u0001\\u007f\u{e4}\"}"),
        (Value::from(false), r#"{"boolValue":false}"#),
        (Value::from(0), r#"{"intValue":"0"}"#),
        (Value::from(i64::MIN), r#"{"intValue":"-9223372036854775808"}"#),
        (Value::from(1.0), r#"{"doubleValue":1.0}"#),
        (Value::from(1e300), r#"{"doubleValue":1e300}"#),
        (Value::from(f64::NAN), r#"{"doubleValue":"NaN"}"#),
        (Value::from(f64::INFINITY), r#"{"doubleValue":"Infinity"}"#),
        (Value::from(f64::NEG_INFINITY), r#"{"doubleValue":"-Infinity"}"#),
        (Value::Bytes(&[0xfb, 0xff]), r#"{"bytesValue":"+/8="}"#),
        (Value::Array(&[]), r#"{"arrayValue":{"values":[]}}"#),
        (Value::Map(&[]), r#"{"kvlistValue":{"values":[]}}"#),
        (Value::I64Array(&[1, -2]), r#"{"arrayValue":{"values":[{"intValue":"1"},{"intValue":"-2"}]}}"#),
        (Value::Map(&[("k", Value::Bool(true))]), r#"{"kvlistValue":{"values":[{"key":"k","value":{"boolValue":true}}]}}"#),
    ];
    for (value, json) in cases {
        let expected = format!(r#"[{{"key":"k","value":{json}}}]"#);
        assert_eq!(attributes_json(&[("k", value)]), expected);
    }
}

#[test]
fn a_whole_line() {
    let mut span = Vec::from(
        *b"\x0a\x10\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c\
           \x12\x08\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74\x1a\x03a=1\x22\x08\xee\xe1\x9b\x7e\xc3\xc1\xb1\x73\
           \x85\x01\x01\x03\x00\x00\x2a\x11I'm a server span\x30\x02\x7a\x06\x12\x02no\x18\x02",
    );
    let event = Event {
        name: "e",
        time_unix_nano: u64::MAX,
        attributes: &[],
        encoded_attributes: &[],
        dropped_attributes: 3,
    };
    let start = span.len();
    span.resize(start + encode::event_len(&event), 0);
    encode::write_event(&mut span[start..], &event);
    let mut record = vec![request::SPAN_TAG, span.len() as u8];
    record.extend(&span);
    let resource = encode_resource(&[("service.name", Value::from("my.service"))]);
    let mut body = Vec::new();
    let scope = b"\x0a\x0amy.library";
    request::append_resource_spans(
        &mut body,
        &resource,
        "https://schema",
        &[request::ScopeSpans::new(scope, &[&record])],
    );

    let mut line = String::new();
    json::write_request(&mut line, &body).unwrap();
    assert_eq!(
        line,
        concat!(
            r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},"#,
            r#""scopeSpans":[{"scope":{"name":"my.library"},"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","#,
            r#""spanId":"eee19b7ec3c1b174","traceState":"a=1","parentSpanId":"eee19b7ec3c1b173","flags":769,"#,
            r#""name":"I'm a server span","kind":2,"startTimeUnixNano":"0","endTimeUnixNano":"0","#,
            r#""events":[{"timeUnixNano":"18446744073709551615","name":"e","droppedAttributesCount":3}],"#,
            r#""status":{"message":"no","code":2}}]}],"schemaUrl":"https://schema"}]}"#,
        )
    );
    let mut untouched = "before".to_owned();
    assert!(json::write_request(&mut untouched, &body[..body.len() - 1]).is_err());
    assert_eq!(untouched, "before");
}
