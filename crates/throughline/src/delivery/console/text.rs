//! A span as a line of text.

use std::fmt::{self, Write};

use throughline_wire::any_value::AnyValueView;
use throughline_wire::request::ResourceSpansView;
use throughline_wire::terminal::escaped;
use throughline_wire::{SpanKind, SpanView, StatusCode};

/// Letters of a value that are shown.
const LONGEST: usize = 200;

/// Appends `12:03:04.567Z 1.23ms orders: charge (client) order.id=7 ERROR declined trace=… span=… parent=…` and a line break.
pub(super) fn append_span(out: &mut String, resource: &ResourceSpansView<'_>, span: &SpanView<'_>) {
    let start = out.len();
    write_span(out, resource, span).expect("writing into a String cannot fail");
    // Whatever a name, key or value holds.
    let line = escaped(&out[start..]).into_owned();
    out.truncate(start);
    out.push_str(&line);
    out.push('\n');
}

fn write_span(out: &mut String, resource: &ResourceSpansView<'_>, span: &SpanView<'_>) -> fmt::Result {
    let (start, end) = (span.start_time_unix_nano(), span.end_time_unix_nano());
    write_time(out, start)?;
    write!(out, " {}", Length(end.saturating_sub(start)))?;
    let service = resource.resource_attributes().get("service.name");
    match service.as_ref().and_then(AnyValueView::as_str) {
        Some(service) => write!(out, " {service}: {}", span.name())?,
        None => write!(out, " {}", span.name())?,
    }
    match span.kind() {
        SpanKind::Internal => {}
        SpanKind::Server => out.push_str(" (server)"),
        SpanKind::Client => out.push_str(" (client)"),
        SpanKind::Producer => out.push_str(" (producer)"),
        SpanKind::Consumer => out.push_str(" (consumer)"),
        _ => {}
    }
    write_attributes(out, span.attributes())?;
    match span.status() {
        (StatusCode::Error, "") => out.push_str(" ERROR"),
        (StatusCode::Error, message) => write!(out, " ERROR {message}")?,
        (StatusCode::Ok, _) => out.push_str(" OK"),
        _ => {}
    }
    for event in span.events() {
        let after = event.time_unix_nano().saturating_sub(start);
        write!(out, " [+{} {}", Length(after), event.name())?;
        write_attributes(out, event.attributes())?;
        out.push(']');
    }
    if let (Some(trace), Some(id)) = (span.trace_id(), span.span_id()) {
        write!(out, " trace={trace} span={id}")?;
    }
    if let Some(parent) = span.parent_span_id() {
        write!(out, " parent={parent}")?;
    }
    for link in span.links() {
        if let (Some(trace), Some(id)) = (link.trace_id(), link.span_id()) {
            write!(out, " link={trace}/{id}")?;
        }
    }
    Ok(())
}

/// The time of the day in UTC.
fn write_time(out: &mut String, unix_nanos: u64) -> fmt::Result {
    let millis = unix_nanos / 1_000_000 % 86_400_000;
    let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    write!(out, "{hour:02}:{minute:02}:{second:02}.{:03}Z", millis % 1000)
}

/// Nanoseconds with three digits that say something.
struct Length(u64);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0;
        let (unit, name) = match nanos {
            ..1000 => return write!(f, "{nanos}ns"),
            1000..1_000_000 => (1e3, "us"),
            1_000_000..1_000_000_000 => (1e6, "ms"),
            _ => (1e9, "s"),
        };
        let number = nanos as f64 / unit;
        let decimals = match number {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        write!(f, "{number:.decimals$}{name}")
    }
}

fn write_attributes<'a>(
    out: &mut String,
    attributes: impl Iterator<Item = (&'a str, AnyValueView<'a>)>,
) -> fmt::Result {
    for (key, value) in attributes {
        write!(out, " {key}=")?;
        write_value(out, &value)?;
    }
    Ok(())
}

fn write_value(out: &mut String, value: &AnyValueView<'_>) -> fmt::Result {
    match value {
        AnyValueView::Empty => out.write_str("none"),
        AnyValueView::Str(text) => write_text(out, text),
        AnyValueView::Bool(value) => write!(out, "{value}"),
        AnyValueView::I64(value) => write!(out, "{value}"),
        AnyValueView::F64(value) => write!(out, "{value:?}"),
        AnyValueView::Bytes(bytes) => write!(out, "<{} bytes>", bytes.len()),
        AnyValueView::Array(values) => {
            out.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                write_value(out, &value)?;
            }
            out.write_char(']')
        }
        AnyValueView::Map(entries) => {
            out.push('{');
            write_attributes(out, entries.clone())?;
            out.write_str(" }")
        }
    }
}

/// In quotes where it could not be told from what stands beside it.
fn write_text(out: &mut String, text: &str) -> fmt::Result {
    let end = text.char_indices().nth(LONGEST).map(|(end, _)| end);
    let (shown, rest) = (
        &text[..end.unwrap_or(text.len())],
        if end.is_some() { "..." } else { "" },
    );
    let is_plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || "\"=[]{}".contains(c));
    match is_plain {
        true => write!(out, "{shown}{rest}"),
        false => write!(out, "\"{}{rest}\"", shown.replace('"', "'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_has_three_digits_and_a_unit() {
        for (nanos, expected) in [
            (0, "0ns"),
            (999, "999ns"),
            (1000, "1.00us"),
            (1_234_567, "1.23ms"),
            (12_345_678, "12.3ms"),
            (123_456_789, "123ms"),
            (61_234_567_890, "61.2s"),
        ] {
            assert_eq!(Length(nanos).to_string(), expected);
        }
    }

    #[test]
    fn text_that_is_more_than_a_word_is_quoted() {
        for (text, expected) in [
            ("word", "word"),
            ("", "\"\""),
            ("two words", "\"two words\""),
            ("a=b", "\"a=b\""),
            ("say \"so\"", "\"say 'so'\""),
        ] {
            let mut out = String::new();
            write_text(&mut out, text).unwrap();
            assert_eq!(out, expected);
        }
        let mut out = String::new();
        write_text(&mut out, &"x".repeat(1000)).unwrap();
        assert_eq!(out.len(), LONGEST + 3);
    }
}
