use throughline::{Context, Value};
use throughline_testkit::otlp::trace::v1::status::StatusCode;

use crate::traced::{number, pairs, root, text, traced};

#[test]
fn of_130_attributes_events_and_links_128_come_and_2_are_counted() {
    let linked = root("linked");
    let mut span = root("too much");
    for n in 0..130 {
        span.set(&format!("key.{n}"), n);
        span.event(&format!("event {n}"), []);
        span.link(&linked.context(), [("n", n.into())]);
    }
    let received = traced().end(span);
    assert_eq!(received.attributes.len(), 128);
    assert_eq!(received.attributes[127].key, "key.127");
    assert_eq!(received.dropped_attributes_count, 2);
    assert_eq!(received.events.len(), 128);
    assert_eq!(received.events[127].name, "event 127");
    assert_eq!(received.dropped_events_count, 2);
    assert_eq!(received.links.len(), 128);
    assert_eq!(pairs(&received.links[127].attributes), [("n", number(127))]);
    assert_eq!(received.dropped_links_count, 2);
}

#[test]
fn full_span_still_replaces_what_it_holds() {
    let mut span = root("full");
    for n in 0..128 {
        span.set(&format!("key.{n}"), n);
    }
    span.set("key.0", "again");
    span.set("key.127", -1);
    let received = traced().end(span);
    assert_eq!(received.attributes.len(), 128);
    assert_eq!(pairs(&received.attributes)[0], ("key.0", text("again")));
    assert_eq!(pairs(&received.attributes)[127], ("key.127", number(-1)));
    assert_eq!(received.dropped_attributes_count, 0);
}

#[test]
fn attribute_without_a_key_is_dropped_and_counted() {
    traced();
    let mut span = throughline::span!(parent: &Context::root(), "no key", "" = 1, a = 2);
    span.set("", "x");
    let received = traced().end(span);
    assert_eq!(pairs(&received.attributes), [("a", number(2))]);
    assert_eq!(received.dropped_attributes_count, 2);
}

#[test]
fn what_would_pass_the_longest_record_is_dropped_and_counted_alone() {
    let large = "x".repeat(900_000);
    let mut span = root("over");
    span.set("one", &large);
    span.set("too long", "y".repeat(3_000_000));
    span.set("two", &large);
    span.set("too much", &large);
    span.set("one", "z".repeat(2_000_000)); // is not replaced, nor lost
    span.event("too much", [("value", large.as_str().into())]);
    span.link(&Context::current(), []); // no link
    span.link(&span.context(), [("value", large.as_str().into())]);
    span.set("last", 1);
    let received = traced().end(span);
    assert!(pairs(&received.attributes) == [("one", text(&large)), ("two", text(&large)), ("last", number(1))]);
    assert_eq!(received.dropped_attributes_count, 3);
    assert_eq!((received.events.len(), received.dropped_events_count), (0, 1));
    assert_eq!((received.links.len(), received.dropped_links_count), (0, 1));
}

#[test]
fn span_filled_to_the_last_byte_still_has_its_counts_and_its_status() {
    // Wherever exactly the longest record ends, some of these end just below it.
    let contexts: Vec<_> = (0..24)
        .map(|step| {
            let mut span = root("to the brim");
            span.set("filler", "f".repeat((1 << 21) - 1024 + step));
            for n in 0..127 {
                span.set(&format!("{n:03}"), true); // 11 bytes each
            }
            span.status_error("it is full");
            span.context()
        })
        .collect();
    for received in traced().spans(&contexts) {
        let kept = received.attributes.len() as u32;
        assert!((2..128).contains(&kept), "the limit was not reached: {kept}");
        assert_eq!(received.dropped_attributes_count + kept, 128);
        let status = received.span.status.clone().unwrap_or_default();
        assert_eq!(
            (status.code(), status.message.as_str()),
            (StatusCode::Error, "it is full")
        );
    }
}

#[test]
fn event_or_link_has_each_key_once_and_128_of_them() {
    let many: Vec<_> = (0..130).map(|n| format!("key.{n}")).collect();
    let mut many: Vec<(&str, Value<'_>)> = many.iter().map(|key| (key.as_str(), Value::I64(1))).collect();
    many.push(("", Value::I64(2)));
    many.push(("key.0", Value::I64(3)));
    let again = [("a", Value::I64(1)), ("b", Value::Str("x")), ("a", Value::I64(2))];
    let other = Context::root();
    let mut span = root("keys");
    span.event("many", &many);
    span.event("again", again);
    throughline::event!(span: span, "again", a = 1, b = "x", a = 2);
    span.link(&other, &many);
    span.link(&other, again);
    throughline::link!(span: span, &other, a = 1, b = "x", a = 2);
    let received = traced().end(span);
    let expected = [("a", number(2)), ("b", text("x"))];
    let [event, link] =
        [&received.events[0].attributes, &received.links[0].attributes].map(|attributes| pairs(attributes));
    for (attributes, dropped) in [
        (event, received.events[0].dropped_attributes_count),
        (link, received.links[0].dropped_attributes_count),
    ] {
        assert_eq!((attributes.len(), dropped), (128, 3));
        assert_eq!(
            attributes[0],
            ("key.0", number(3)),
            "the last value stands where the first stood"
        );
    }
    for event in &received.events[1..] {
        assert_eq!(
            (pairs(&event.attributes), event.dropped_attributes_count),
            (expected.to_vec(), 0)
        );
    }
    for link in &received.links[1..] {
        assert_eq!(
            (pairs(&link.attributes), link.dropped_attributes_count),
            (expected.to_vec(), 0)
        );
    }
    assert_eq!((received.events.len(), received.links.len()), (3, 3));
}
