//! Nothing from outside makes a reader panic, and hostile nesting is not followed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the helpers serve several test files")]

mod common;

use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use throughline_wire::propagation::extract;
use throughline_wire::{
    AnyValueView, Baggage, SpanView, TraceState, any_value, json, request, response, traceparent, varint,
};

proptest! {
    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..300)) {
        read_everything(&bytes);
    }

    #[test]
    fn span_that_was_cut_and_scribbled_on(
        span in common::span(),
        scribbles in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = span.encode_to_vec();
        bytes.push(0);
        for (at, byte) in scribbles {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(cut.index(bytes.len()) + 1);
        read_everything(&bytes);
        let mut wrapped = vec![0x12];
        varint::push(&mut wrapped, bytes.len() as u64);
        wrapped.extend(&bytes);
        let mut body = Vec::new();
        request::append_resource_spans(&mut body, &bytes, "", &[request::ScopeSpans::new(&bytes, &[&wrapped])]);
        read_everything(&body);
    }

    #[test]
    fn any_headers(values in vec(prop_oneof![
        vec(any::<u8>(), 0..100),
        "[ \t,;=%@a-f0-9\"\\\\-]{0,80}".prop_map(String::into_bytes),
    ], 0..6)) {
        for value in &values {
            let _ = traceparent::parse(value);
        }
        let headers = values.iter().map(Vec::as_slice);
        if let Ok(state) = TraceState::parse_headers(headers.clone()) {
            // Valid once, valid for good.
            prop_assert_eq!(state.as_str().parse::<TraceState>().unwrap(), state.clone());
            for max in 0..40 {
                let cut = state.truncated(max);
                prop_assert!(cut.as_str().len() <= max);
                prop_assert_eq!(cut.as_str().parse::<TraceState>().unwrap(), cut.clone());
            }
        }
        let baggage = Baggage::parse_headers(headers);
        let header = baggage.to_header();
        prop_assert!(header.len() <= 8192);
        let again = Baggage::parse_headers([header.as_bytes()]);
        let members = |baggage: &Baggage| -> Vec<(String, String, String)> {
            let members = baggage.iter();
            members.map(|m| (m.key().into(), m.value().into(), m.properties().into())).collect()
        };
        prop_assert_eq!(members(&again), members(&baggage));
        for name in ["traceparent", "tracestate", "baggage"] {
            let pairs: Vec<_> = values.iter().map(|value| (name, value)).collect();
            let _ = extract(&pairs);
        }
    }
}

#[test]
fn two_hundred_thousand_levels_are_not_followed() {
    // Each level: an array with one value. Built from the inside, front to back at the end.
    let mut reversed = Vec::new();
    let mut push = |tag: u8| {
        let mut head = vec![tag];
        varint::push(&mut head, reversed.len() as u64);
        reversed.extend(head.into_iter().rev());
    };
    for _ in 0..200_000 {
        push(0x0a);
        push(0x2a);
    }
    push(0x12);
    push(0x4a);
    let bytes: Vec<u8> = reversed.into_iter().rev().collect();
    read_everything(&bytes);

    let mut value = SpanView::new(&bytes).attributes().next().unwrap().1;
    let mut depth = 0;
    while let AnyValueView::Array(array) = &value {
        depth += 1;
        value = array.iter().next().unwrap_or_default();
    }
    assert_eq!(depth, any_value::MAX_DEPTH);
}

#[test]
fn of_a_repeated_scalar_the_last_wins_and_a_status_merges() {
    let bytes = [
        &b"\x2a\x01a\x2a\x01b"[..],
        b"\x30\x01\x30\x03",
        b"\x7a\x03\x12\x01x\x7a\x02\x18\x02",
        // Field 5 as a number is no name.
        b"\x28\x05",
    ]
    .concat();
    let span = SpanView::new(&bytes);
    assert_eq!(span.name(), "b");
    assert_eq!(span.kind().number(), 3);
    assert_eq!((span.status().0.number(), span.status().1), (2, "x"));
}

fn read_everything(bytes: &[u8]) {
    let span = SpanView::new(bytes);
    let _ = common::owned(&span);
    assert_fields_are_those_of(&span);
    let mut text = String::new();
    json::write_span(&mut text, &span);
    parse_json(&text);
    text.clear();
    if json::write_request(&mut text, bytes).is_ok() {
        parse_json(&text);
    } else {
        assert_eq!(text, "");
    }
    let _ = response::partial_success(bytes);
    let _ = response::rpc_status(bytes);
}

/// One pass over the bytes finds what one walk for each field finds.
fn assert_fields_are_those_of(span: &SpanView<'_>) {
    let fields = span.fields();
    assert_eq!(fields.trace_id(), span.trace_id());
    assert_eq!(fields.span_id(), span.span_id());
    assert_eq!(fields.parent_span_id(), span.parent_span_id());
    assert_eq!(fields.trace_state(), span.trace_state());
    assert_eq!(fields.name(), span.name());
    assert_eq!(fields.kind(), span.kind());
    assert_eq!(fields.start_time_unix_nano(), span.start_time_unix_nano());
    assert_eq!(fields.end_time_unix_nano(), span.end_time_unix_nano());
    assert_eq!(fields.flags(), span.flags());
    assert_eq!(fields.status(), span.status());
    assert_eq!(fields.attributes().count(), span.attributes().count());
    assert_eq!(fields.events().count(), span.events().count());
    assert_eq!(fields.links().count(), span.links().count());
}

fn parse_json(text: &str) -> serde_json::Value {
    let mut json = serde_json::Deserializer::from_str(text);
    json.disable_recursion_limit();
    json.into_iter().next().unwrap().unwrap()
}
