//! What a span holds beside its name and times, as lines for people.

use std::fmt::Write as _;

use throughline_wire::AnyValueView;
use throughline_wire::any_value::KeyValues;

use crate::store::Stored;
use crate::text::count;
use crate::time::duration;

/// Values deeper than this are shown as an ellipsis.
const DEPTH: usize = 4;

/// One line per attribute, event and link.
pub fn lines(span: &Stored) -> Vec<String> {
    let view = span.view();
    let start = view.start_time_unix_nano();
    let attributes = view
        .attributes()
        .map(|(key, value)| format!("{key} = {}", text(&value, 0)));
    let events = view.events().map(|event| {
        let after = duration(event.time_unix_nano().saturating_sub(start));
        format!("after {after}: {}{}", event.name(), in_line(event.attributes()))
    });
    let links = view.links().filter_map(|link| {
        let attributes = in_line(link.attributes());
        Some(format!(
            "linked: span {} of trace {}{attributes}",
            link.span_id()?,
            link.trace_id()?
        ))
    });
    let mut lines: Vec<_> = attributes.chain(events).chain(links).collect();
    for (number, noun) in [
        (view.dropped_attributes_count(), "attribute"),
        (view.dropped_events_count(), "event"),
        (view.dropped_links_count(), "link"),
    ] {
        if number > 0 {
            lines.push(format!("{} left out: over the limit", count(number as usize, noun)));
        }
    }
    lines
}

fn in_line(attributes: KeyValues<'_>) -> String {
    attributes.fold(String::new(), |mut line, (key, value)| {
        let _ = write!(line, " {key}={}", text(&value, 0));
        line
    })
}

/// A value for people; `depth` counts the values around it.
pub fn text(value: &AnyValueView<'_>, depth: usize) -> String {
    let joined = |parts: Vec<String>| parts.join(", ");
    match value {
        AnyValueView::Empty => "(empty)".to_owned(),
        AnyValueView::Str(text) => (*text).to_owned(),
        AnyValueView::Bool(value) => value.to_string(),
        AnyValueView::I64(value) => value.to_string(),
        AnyValueView::F64(value) => value.to_string(),
        AnyValueView::Bytes(bytes) => format!("({})", count(bytes.len(), "byte")),
        AnyValueView::Array(_) | AnyValueView::Map(_) if depth == DEPTH => "…".to_owned(),
        AnyValueView::Array(values) => format!("[{}]", joined(values.iter().map(|v| text(&v, depth + 1)).collect())),
        AnyValueView::Map(values) => {
            let pairs = values
                .clone()
                .map(|(key, value)| format!("{key}: {}", text(&value, depth + 1)));
            format!("{{{}}}", joined(pairs.collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use throughline_wire::encode::{self, Event, Link};
    use throughline_wire::{SpanContext, SpanId, TraceFlags, TraceId, Value};

    use super::*;
    use crate::trace::tests::span;

    #[test]
    fn attribute_values_of_every_kind_are_shown() {
        let deep = [Value::I64(1)];
        let deep = [Value::Array(&deep)];
        let deep = [Value::Array(&deep)];
        let deep = [Value::Array(&deep)];
        let deep = [Value::Array(&deep)];
        for (value, shown) in [
            (Value::Empty, "(empty)"),
            (Value::Str("a b"), "a b"),
            (Value::Bool(true), "true"),
            (Value::I64(-7), "-7"),
            (Value::F64(1.5), "1.5"),
            (Value::Bytes(&[1, 2]), "(2 bytes)"),
            (Value::StrArray(&["a", "b"]), "[a, b]"),
            (
                Value::Map(&[("k", Value::I64(1)), ("l", Value::Str("x"))]),
                "{k: 1, l: x}",
            ),
            (Value::Array(&deep), "[[[[…]]]]"),
        ] {
            let mut field = vec![0; encode::attribute_len("key", &value)];
            encode::write_attribute(&mut field, "key", &value);
            assert_eq!(lines(&span(1, "s", 0, 1).with(&field).0), [format!("key = {shown}")]);
        }
    }

    #[test]
    fn events_links_and_dropped_counts_have_lines() {
        let event = Event {
            name: "retry",
            time_unix_nano: 1_002_000_000,
            attributes: &[("n", Value::I64(2))],
            encoded_attributes: &[],
            dropped_attributes: 0,
        };
        let to = SpanContext::new(
            TraceId::from_bytes([1; 16]).unwrap(),
            SpanId::from_bytes([2; 8]).unwrap(),
            TraceFlags::SAMPLED,
            false,
        );
        let link = Link {
            context: Some(to),
            trace_state: "",
            attributes: &[],
            encoded_attributes: &[],
            dropped_attributes: 0,
        };
        let mut fields = vec![0; encode::event_len(&event)];
        encode::write_event(&mut fields, &event);
        let at = fields.len();
        fields.resize(at + encode::link_len(&link), 0);
        encode::write_link(&mut fields[at..], &link);
        fields.extend([encode::tag::DROPPED_ATTRIBUTES, 3]);
        let shown = lines(&span(1, "s", 0, 5).with(&fields).0);
        let linked = format!("linked: span {} of trace {}", "02".repeat(8), "01".repeat(16));
        assert_eq!(
            shown,
            [
                "after 2.00 ms: retry n=2",
                &linked,
                "3 attributes left out: over the limit"
            ]
        );
    }
}
