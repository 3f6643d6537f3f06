//! Every part the encoder writes has exactly the length it tells, and `prost` decodes it to the
//! same values.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the helpers serve several test files")]

mod common;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value as Any,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use proptest::prelude::*;
use prost::Message;
use throughline_wire::encode::{self, Event, Link, tag};
use throughline_wire::{
    AnyValueView, SpanContext, SpanId, SpanKind, SpanView, StatusCode, TraceFlags, TraceId, Value, encode_resource,
    encode_scope, json, request, span_prefix, varint,
};

proptest! {
    #[test]
    fn a_whole_span(
        mut expected in common::span().prop_map(common::sanitised),
        ids in (1..=u128::MAX, 1..=u64::MAX, prop::option::of(1..=u64::MAX)),
    ) {
        expected.trace_id = ids.0.to_be_bytes().to_vec();
        expected.span_id = ids.1.to_be_bytes().to_vec();
        expected.parent_span_id = ids.2.map_or(Vec::new(), |id| id.to_be_bytes().to_vec());
        for link in &mut expected.links {
            let is_known = link.flags % 4 != 0;
            link.trace_id = if is_known { vec![1; 16] } else { Vec::new() };
            link.span_id = if is_known { vec![2; 8] } else { Vec::new() };
            link.flags = if is_known { 0x301 } else { 0 };
        }
        let bytes = write_span(&expected);
        prop_assert_eq!(Span::decode(&bytes[..]).unwrap(), expected);
    }

    #[test]
    fn typed_arrays(
        texts in prop::collection::vec(common::text(), 0..5),
        numbers in prop::collection::vec(any::<i64>(), 0..5),
        doubles in prop::collection::vec(common::finite(), 0..200),
        bools in prop::collection::vec(any::<bool>(), 0..200),
    ) {
        let borrowed: Vec<&str> = texts.iter().map(String::as_str).collect();
        let cases = [
            (Value::from(&borrowed), texts.iter().cloned().map(Any::StringValue).collect()),
            (Value::from(&numbers), numbers.iter().copied().map(Any::IntValue).collect()),
            (Value::from(&doubles), doubles.iter().copied().map(Any::DoubleValue).collect()),
            (Value::from(&bools), bools.iter().copied().map(Any::BoolValue).collect::<Vec<_>>()),
        ];
        for (value, expected) in cases {
            let values = expected.into_iter().map(|value| AnyValue { value: Some(value) }).collect();
            let expected = AnyValue { value: Some(Any::ArrayValue(ArrayValue { values })) };
            let span = Span::decode(&attribute("k", &value)[..]).unwrap();
            prop_assert_eq!(span.attributes[0].value.as_ref(), Some(&expected));
        }
    }

    #[test]
    fn resource_scope_and_request(
        attributes in common::attributes(),
        texts in prop::array::uniform3(common::text()),
        spans in prop::collection::vec(common::span(), 1..3),
    ) {
        let leaked: Vec<_> = attributes.iter().map(leak_attribute).collect();
        let [name, version, schema_url] = texts;
        let resource = encode_resource(&leaked);
        let scope = encode_scope(&name, &version, &leaked);
        let mut records = Vec::new();
        for span in &spans {
            // As the spool keeps them: the length in three bytes, however small it is.
            let body = span.encode_to_vec();
            records.push(request::SPAN_TAG);
            records.extend(varint::padded(body.len().try_into().unwrap()));
            records.extend(body);
        }
        let mut body = Vec::new();
        for _ in 0..2 {
            let pieces: [&[u8]; 2] = [&records, &[]];
            let scopes = [request::ScopeSpans::new(&scope, &pieces); 2];
            request::append_resource_spans(&mut body, &resource, &schema_url, &scopes);
        }
        let decoded = ExportTraceServiceRequest::decode(&body[..]).unwrap();
        prop_assert_eq!(decoded.resource_spans.len(), 2);
        for part in decoded.resource_spans {
            prop_assert_eq!(
                part.resource.unwrap(),
                Resource { attributes: attributes.clone(), ..Resource::default() }
            );
            prop_assert_eq!(part.schema_url, schema_url.as_str());
            prop_assert_eq!(part.scope_spans.len(), 2);
            for part in part.scope_spans {
                let scope = InstrumentationScope {
                    name: name.clone(),
                    version: version.clone(),
                    attributes: attributes.clone(),
                    dropped_attributes_count: 0,
                };
                prop_assert_eq!(part.scope.unwrap(), scope);
                prop_assert_eq!(&part.spans, &spans);
            }
        }
    }
}

#[test]
fn lengths_at_the_edges_of_a_varint_are_right() {
    for key in [0, 1, 60, 100, 119, 120, 121, 127, 128, 16_383, 16_384] {
        for value in [0, 1, 5, 60, 117, 118, 119, 127, 128, 16_379, 16_384] {
            let (key, text) = ("k".repeat(key), "v".repeat(value));
            for value in [Value::Str(&text), Value::Bytes(text.as_bytes())] {
                let span = Span::decode(&attribute(&key, &value)[..]).unwrap();
                assert_eq!(span.attributes[0].key, key);
            }
        }
    }
    for number in [0, 127, 128, -1, i64::MAX, i64::MIN] {
        let span = Span::decode(&attribute("k", &Value::I64(number))[..]).unwrap();
        let value = span.attributes[0].value.clone().unwrap().value;
        assert_eq!(value, Some(Any::IntValue(number)));
    }
}

#[test]
fn special_doubles_keep_their_bits() {
    for double in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0] {
        let bytes = attribute("k", &Value::F64(double));
        let read = SpanView::new(&bytes).attribute("k").unwrap().as_f64().unwrap();
        assert_eq!(read.to_bits(), double.to_bits());
    }
}

/// A request nested more than 100 messages deep is refused by `prost` (and by Java and C++) as a
/// whole, so one such value would take its batch with it; `serde_json` stops at 128 brackets.
#[test]
fn values_nested_too_deep_are_cut_where_every_decoder_can_still_follow() {
    let mut deepest = Value::I64(7);
    for _ in 0..200 {
        deepest = Value::Map(Box::leak(Box::new([("k", deepest)])));
    }
    let deep = Event {
        name: "deep",
        time_unix_nano: 1,
        attributes: &[("k", deepest)],
        encoded_attributes: &[],
        dropped_attributes: 0,
    };
    let mut event = vec![0; encode::event_len(&deep)];
    encode::write_event(&mut event, &deep);
    let mut record = vec![request::SPAN_TAG];
    varint::push(&mut record, event.len() as u64);
    record.extend(&event);
    let mut body = Vec::new();
    request::append_resource_spans(&mut body, b"", "", &[request::ScopeSpans::new(b"", &[&record])]);
    ExportTraceServiceRequest::decode(&body[..]).unwrap();
    let mut line = String::new();
    json::write_request(&mut line, &body).unwrap();
    serde_json::from_str::<serde_json::Value>(&line).unwrap();

    let mut value = SpanView::new(&event).events().next().unwrap().attributes().get("k");
    let mut depth = 0;
    while let Some(AnyValueView::Map(entries)) = value {
        depth += 1;
        value = entries.get("k");
    }
    assert_eq!(depth, encode::MAX_DEPTH);
    assert!(matches!(value, Some(AnyValueView::Empty)));
}

#[test]
fn what_is_longer_than_needed_is_left_alone() {
    let value = Value::from("v");
    let len = encode::attribute_len("k", &value);
    let mut out = vec![0xaa; len + 8];
    encode::write_attribute(&mut out, "k", &value);
    assert_eq!(out[len..], [0xaa; 8]);
}

/// Writes a span as the tracer does: prefix, then the parts, each into exactly its own room.
fn write_span(span: &Span) -> Vec<u8> {
    let mut bytes = span_prefix::TEMPLATE.to_vec();
    bytes[span_prefix::TRACE_ID..][..16].copy_from_slice(&span.trace_id);
    bytes[span_prefix::SPAN_ID..][..8].copy_from_slice(&span.span_id);
    bytes[span_prefix::START_TIME..][..8].copy_from_slice(&span.start_time_unix_nano.to_le_bytes());
    bytes[span_prefix::END_TIME..][..8].copy_from_slice(&span.end_time_unix_nano.to_le_bytes());
    bytes[span_prefix::FLAGS..][..4].copy_from_slice(&span.flags.to_le_bytes());
    bytes[span_prefix::KIND] = SpanKind::from_number(span.kind).number();
    if span.parent_span_id.is_empty() {
        bytes.drain(..span_prefix::ROOT_START);
    } else {
        bytes[span_prefix::PARENT_SPAN_ID..][..8].copy_from_slice(&span.parent_span_id);
    }
    let mut part = |len: usize, write: &dyn Fn(&mut [u8])| {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        write(&mut bytes[start..]);
    };
    let text = [(tag::NAME, &span.name), (tag::TRACE_STATE, &span.trace_state)];
    for (tag, text) in text {
        part(encode::text_len(text), &|out| encode::write_text(out, tag, text));
    }
    for attribute in &span.attributes {
        let (key, value) = leak_attribute(attribute);
        part(encode::attribute_len(key, &value), &|out| {
            encode::write_attribute(out, key, &value);
        });
    }
    for event in &span.events {
        let attributes: Vec<_> = event.attributes.iter().map(leak_attribute).collect();
        let (attributes, encoded) = attributes.split_at(attributes.len() / 2);
        let encoded_attributes = &encode_all(Event::ATTRIBUTE, encoded);
        let event = Event {
            name: &event.name,
            time_unix_nano: event.time_unix_nano,
            attributes,
            encoded_attributes,
            dropped_attributes: event.dropped_attributes_count,
        };
        part(encode::event_len(&event), &|out| encode::write_event(out, &event));
    }
    for link in &span.links {
        let attributes: Vec<_> = link.attributes.iter().map(leak_attribute).collect();
        let (attributes, encoded) = attributes.split_at(attributes.len() / 2);
        let encoded_attributes = &encode_all(Link::ATTRIBUTE, encoded);
        let link = Link {
            context: (!link.trace_id.is_empty()).then(|| {
                SpanContext::new(
                    TraceId::from_bytes([1; 16]).unwrap(),
                    SpanId::from_bytes([2; 8]).unwrap(),
                    TraceFlags::SAMPLED,
                    true,
                )
            }),
            trace_state: &link.trace_state,
            attributes,
            encoded_attributes,
            dropped_attributes: link.dropped_attributes_count,
        };
        part(encode::link_len(&link), &|out| encode::write_link(out, &link));
    }
    let counts = [
        (tag::DROPPED_ATTRIBUTES, span.dropped_attributes_count),
        (tag::DROPPED_EVENTS, span.dropped_events_count),
        (tag::DROPPED_LINKS, span.dropped_links_count),
    ];
    for (tag, count) in counts {
        part(encode::count_len(count), &|out| encode::write_count(out, tag, count));
    }
    if let Some(Status { message, code }) = &span.status {
        let code = StatusCode::from_number(*code);
        part(encode::status_len(code, message), &|out| {
            encode::write_status(out, code, message);
        });
    }
    bytes
}

fn attribute(key: &str, value: &Value<'_>) -> Vec<u8> {
    let mut bytes = vec![0; encode::attribute_len(key, value)];
    encode::write_attribute(&mut bytes, key, value);
    bytes
}

/// Borrowed values need an owner; in a test that may be nobody.
fn leak_attribute(attribute: &KeyValue) -> (&'static str, Value<'static>) {
    let value = attribute.value.as_ref().map_or(Value::Empty, leak_value);
    (Box::leak(attribute.key.clone().into_boxed_str()), value)
}

fn leak_value(value: &AnyValue) -> Value<'static> {
    match &value.value {
        None => Value::Empty,
        Some(Any::StringValue(text)) => Value::Str(Box::leak(text.clone().into_boxed_str())),
        Some(Any::BoolValue(value)) => Value::Bool(*value),
        Some(Any::IntValue(value)) => Value::I64(*value),
        Some(Any::DoubleValue(value)) => Value::F64(*value),
        Some(Any::BytesValue(bytes)) => Value::Bytes(bytes.clone().leak()),
        Some(Any::ArrayValue(array)) => Value::Array(array.values.iter().map(leak_value).collect::<Vec<_>>().leak()),
        Some(Any::KvlistValue(list)) => Value::Map(list.values.iter().map(leak_attribute).collect::<Vec<_>>().leak()),
        Some(Any::StringValueStrindex(_)) => Value::Empty,
    }
}

fn encode_all(tag: u8, attributes: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in attributes {
        encode::push_key_value(&mut bytes, tag, key, value);
    }
    bytes
}
