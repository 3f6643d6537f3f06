//! Limits that code sets, beside those of the environment.

use std::time::Duration;

use throughline::{Context, Sampler, SpanLimits, Value, event, link, span};
use throughline_testkit::{Receiver, Spool};

#[test]
fn limits_hold_for_spans_events_and_links() {
    let (receiver, spool) = (Receiver::start().unwrap(), Spool::new().unwrap());
    let limits = SpanLimits::default()
        .attributes(3)
        .events(2)
        .links(1)
        .event_attributes(2)
        .link_attributes(1)
        .value_length(4)
        .value_depth(2);
    let tracing = throughline::builder("limited")
        .endpoint(receiver.endpoint())
        .spool_dir(spool.path())
        .sampler(Sampler::always_on())
        .limits(limits)
        .init();
    let inner = [Value::Str("äöüßx"), Value::Array(&[Value::I64(1)])];
    let outer = [("key longer than four", Value::Array(&inner))];
    let mut span = span!(parent: None, "a name of any length", text = "12345", n = 123_456);
    span.set("nested", Value::Map(&outer));
    span.set("too much", 1);
    span.set("text", "abcdef");
    let other = Context::root();
    for n in 0..3 {
        event!(span: span, "an event of any name", text = "12345", n, too.much = 1);
        link!(span: span, &other, text = "12345", too.much = n);
    }
    span.status_error("a message of any length");
    span.end();
    let report = tracing.flush(Duration::from_secs(60)).wait();
    assert!(report.is_complete(), "{report}");
    let span = &receiver.spans()[0];
    assert_eq!(span.name, "a name of any length");
    let shown: Vec<_> = span
        .attributes
        .iter()
        .map(|attribute| format!("{}={:?}", attribute.key, attribute.value))
        .collect();
    let shown = shown.join("\n");
    for expected in [
        "text",
        "\"abcd\"",
        "IntValue(123456)",
        "key longer than four",
        "\"äöüß\"",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    for unexpected in ["abcde", "too much", "IntValue(1)"] {
        assert!(!shown.contains(unexpected), "{unexpected} in {shown}");
    }
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (3, 1));
    assert_eq!((span.events.len(), span.dropped_events_count), (2, 1));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
    let event = &span.events[0];
    assert_eq!((event.attributes.len(), event.dropped_attributes_count), (2, 1));
    assert!(format!("{:?}", event.attributes[0]).contains("\"1234\""));
    let link = &span.links[0];
    assert_eq!((link.attributes.len(), link.dropped_attributes_count), (1, 1));
    assert_eq!(span.status.as_ref().unwrap().message, "a message of any length");
}
