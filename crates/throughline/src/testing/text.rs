//! A span as a line of text.

use std::fmt::Write;

use throughline_wire::AnyValueView;

use super::CapturedSpan;

/// Its name, how it went, and its attributes, if they are wanted.
pub(super) fn line(span: &CapturedSpan, with_attributes: bool) -> String {
    let mut line = name(span.name());
    line.push_str(mark(span));
    if with_attributes && span.attributes().next().is_some() {
        let attributes: Vec<_> = span
            .attributes()
            .map(|(key, found)| format!("{key}={}", value(&found)))
            .collect();
        write!(line, " {{{}}}", attributes.join(", ")).expect("text can be appended to");
    }
    line
}

/// ` !` for an error, ` ~` for a span that has not ended.
pub(super) fn mark(span: &CapturedSpan) -> &'static str {
    match (span.has_ended(), span.is_error()) {
        (false, _) => " ~",
        (true, true) => " !",
        (true, false) => "",
    }
}

/// In quotes where it could be mistaken for something else.
pub(super) fn name(name: &str) -> String {
    let is_plain = !name.is_empty()
        && name.trim() == name
        && !name.contains(char::is_control)
        && !name.starts_with('"')
        && !name.contains(" {")
        && !name.ends_with(" !")
        && !name.ends_with(" ~");
    match is_plain {
        true => name.to_owned(),
        false => format!("{name:?}"),
    }
}

/// Text that could be mistaken for something else is in quotes: `7` is a number and `"7"` a text.
pub(super) fn value(value: &AnyValueView<'_>) -> String {
    match value {
        AnyValueView::Empty => "null".to_owned(),
        AnyValueView::Str(text) if is_plain(text) => (*text).to_owned(),
        AnyValueView::Str(text) => format!("{text:?}"),
        AnyValueView::Bool(is_so) => is_so.to_string(),
        AnyValueView::I64(number) => number.to_string(),
        AnyValueView::F64(number) => format!("{number:?}"),
        AnyValueView::Array(values) => {
            let values: Vec<_> = values.iter().map(|inner| self::value(&inner)).collect();
            format!("[{}]", values.join(", "))
        }
        AnyValueView::Map(pairs) => {
            let pairs: Vec<_> = pairs
                .clone()
                .map(|(key, inner)| format!("{key}={}", self::value(&inner)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        AnyValueView::Bytes(bytes) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("text can be appended to");
            text
        }),
    }
}

fn is_plain(text: &str) -> bool {
    let has_signs = text.contains(|c: char| c.is_control() || ",{}[]\"".contains(c));
    let is_other = text.parse::<f64>().is_ok() || text.starts_with("0x") || ["true", "false", "null"].contains(&text);
    !text.is_empty() && text.trim() == text && !has_signs && !is_other
}
