//! What a span holds beside its name and times, as lines for people.

use std::fmt::Write as _;

use throughline_wire::AnyValueView;
use throughline_wire::any_value::KeyValues;

use crate::store::Stored;
use crate::text::count;
use crate::time::duration;

/// Values deeper than this are shown as an ellipsis.
const DEPTH: usize = 4;

/// A line an attribute, event and link.
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

fn text(value: &AnyValueView<'_>, depth: usize) -> String {
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
