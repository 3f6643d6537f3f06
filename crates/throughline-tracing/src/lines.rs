//! Log lines of our own: one per event, as text or as JSON.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::io::Write as _;

use throughline::Value;
use throughline::seam::ErrorText;
use tracing_core::{Event, Field, Metadata};
use tracing_log::NormalizeEvent;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::fields::{Sink, Visitor};
use crate::log_ids::LogIds;

/// How events become lines, and where these go.
pub(crate) struct Lines {
    pub is_json: bool,
    write: Box<WriteLine>,
}

type WriteLine = dyn Fn(&Metadata<'_>, &[u8]) + Send + Sync;

thread_local! {
    /// A line's memory, while nobody writes one.
    static SPARE: Cell<String> = const { Cell::new(String::new()) };
}

impl Lines {
    pub fn new(writers: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> Self {
        Self {
            is_json: false,
            write: Box::new(move |metadata, line| {
                // There is nobody to be told of it.
                let _ = writers.make_writer_for(metadata).write_all(line);
            }),
        }
    }

    /// Writes an event's line. What the event formats may come back here.
    pub fn write(&self, event: &Event<'_>, ids: Option<LogIds>) {
        /// More is not kept from one line to the next.
        const KEPT: usize = 16 << 10;
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or(event.metadata());
        let mut line = SPARE.try_with(Cell::take).unwrap_or_default();
        line.clear();
        let written = match self.is_json {
            true => write_json(&mut line, event, metadata, ids),
            false => write_text(&mut line, event, metadata, ids),
        };
        if written.is_ok() {
            line.push('\n');
            (self.write)(metadata, line.as_bytes());
        }
        line.shrink_to(KEPT);
        let _ = SPARE.try_with(|spare| spare.set(line));
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines")
            .field("is_json", &self.is_json)
            .finish_non_exhaustive()
    }
}

fn write_text(line: &mut String, event: &Event<'_>, metadata: &Metadata<'_>, ids: Option<LogIds>) -> fmt::Result {
    SystemTime.format_time(&mut Writer::new(line))?;
    write!(line, " {:>5} ", metadata.level())?;
    if let Some(ids) = ids {
        write!(line, "{ids} ")?;
    }
    write!(line, "{}:", metadata.target())?;
    event.record(&mut Visitor(&mut Text(line)));
    Ok(())
}

fn write_json(line: &mut String, event: &Event<'_>, metadata: &Metadata<'_>, ids: Option<LogIds>) -> fmt::Result {
    line.push_str(r#"{"timestamp":""#);
    SystemTime.format_time(&mut Writer::new(line))?;
    write!(line, r#"","level":"{}""#, metadata.level())?;
    if let Some(ids) = ids {
        let (trace_id, span_id) = (ids.trace_id(), ids.span_id());
        write!(line, r#","trace_id":"{trace_id}","span_id":"{span_id}""#)?;
    }
    line.push_str(r#","target":"#);
    push_json_text(line, metadata.target());
    line.push_str(r#","fields":{"#);
    let mut fields = Json { line, is_first: true };
    event.record(&mut Visitor(&mut fields));
    line.push_str("}}");
    Ok(())
}

/// The fields of a line of text: the message as it is, others as `key=value`.
struct Text<'a>(&'a mut String);

impl Sink for Text<'_> {
    fn attribute(&mut self, field: &Field, value: &Value<'_>) {
        let key = field.name();
        let line = &mut *self.0;
        match value {
            _ if key.starts_with("log.") => {}
            Value::Str(text) if key == "message" => {
                line.push(' ');
                push_printable(line, text);
            }
            // Writing to memory does not fail.
            Value::Str(text) => _ = write!(line, " {key}={text:?}"),
            Value::Bool(value) => _ = write!(line, " {key}={value}"),
            Value::I64(value) => _ = write!(line, " {key}={value}"),
            Value::F64(value) => _ = write!(line, " {key}={value:?}"),
            Value::Bytes(bytes) => _ = write!(line, " {key}={bytes:02x?}"),
            value => _ = write!(line, " {key}={value:?}"),
        }
    }

    fn error(&mut self, field: &Field, error: ErrorText) {
        self.attribute(field, &Value::Str(in_full(&error)));
    }
}

/// Nothing in a message ends its line or steers a terminal.
fn push_printable(line: &mut String, text: &str) {
    for letter in text.chars() {
        match letter.is_control() && letter != '\t' {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
}

/// The fields of a line of JSON.
struct Json<'a> {
    line: &'a mut String,
    is_first: bool,
}

impl Sink for Json<'_> {
    fn attribute(&mut self, field: &Field, value: &Value<'_>) {
        let key = field.name();
        if key.starts_with("log.") {
            return;
        }
        if !std::mem::replace(&mut self.is_first, false) {
            self.line.push(',');
        }
        push_json_text(self.line, key);
        self.line.push(':');
        match value {
            Value::Str(text) => push_json_text(self.line, text),
            Value::Bool(value) => _ = write!(self.line, "{value}"),
            Value::I64(value) => _ = write!(self.line, "{value}"),
            Value::F64(value) if value.is_finite() => _ = write!(self.line, "{value:?}"),
            // JSON has no NaN and no infinity.
            Value::F64(value) => push_json_text(self.line, &value.to_string()),
            Value::Bytes(bytes) => push_json_text(self.line, &format!("{bytes:02x?}")),
            value => push_json_text(self.line, &format!("{value:?}")),
        }
    }

    fn error(&mut self, field: &Field, error: ErrorText) {
        self.attribute(field, &Value::Str(in_full(&error)));
    }
}

/// What an error says, with its sources.
fn in_full(error: &ErrorText) -> &str {
    match error.chain.is_empty() {
        true => &error.message,
        false => &error.chain,
    }
}

/// A JSON string (RFC 8259, section 7).
fn push_json_text(line: &mut String, text: &str) {
    line.push('"');
    for letter in text.chars() {
        match letter {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\0'..' ' | '\u{7f}' => _ = write!(line, "\\u{:04x}", u32::from(letter)),
            letter => line.push(letter),
        }
    }
    line.push('"');
}
