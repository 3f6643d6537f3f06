//! The values of fields, read before any span is touched: their `Debug` is somebody else's code.

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::ops::Range;

use throughline::seam::ErrorText;
use throughline::{SpanKind, ToValue, Value, debug};
use tracing_core::Field;
use tracing_core::field::Visit;

/// The fields of a span or an event, as attributes, and what some of them mean beyond that.
#[derive(Default)]
pub(crate) struct Fields {
    attributes: Vec<(&'static str, Stored)>,
    bytes: Vec<u8>,
    /// How many bytes there may be before those are looked for that nobody needs any more; at least `KEPT`.
    most_bytes: usize,
    message: Option<Range<usize>>,
    error: Option<Box<(&'static str, ErrorText)>>,
    special: Special,
}

/// More bytes of texts are not kept from one span to the next.
const KEPT: usize = 16 << 10;

/// How the names of fields begin that have a meaning of their own.
pub(crate) const SPECIAL: &str = "otel.";

/// What the fields named `otel.*` say.
#[derive(Default)]
pub(crate) struct Special {
    pub name: Option<String>,
    pub kind: Option<SpanKind>,
    pub status: Option<Status>,
    pub description: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Error,
    Ok,
}

#[derive(Clone)]
enum Stored {
    Bool(bool),
    Bytes(Range<usize>),
    F64(f64),
    I64(i64),
    Text(Range<usize>),
}

thread_local! {
    /// One that is not in use, with the memory it has come to have.
    static SPARE: Cell<Option<Box<Fields>>> = const { Cell::new(None) };
}

impl Fields {
    /// Reads fields, without a lock and without an allocation in the steady state. `read` may come back here.
    pub fn with<R>(read: impl FnOnce(&mut Self), use_them: impl FnOnce(&mut Self) -> R) -> R {
        let mut fields = SPARE.try_with(Cell::take).ok().flatten().unwrap_or_default();
        fields.clear();
        read(&mut fields);
        let result = use_them(&mut fields);
        let _ = SPARE.try_with(|spare| spare.set(Some(fields)));
        result
    }

    pub fn clear(&mut self) {
        self.attributes.clear();
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.most_bytes = 0;
        self.message = None;
        self.error = None;
        self.special = Special::default();
    }

    /// Calls `use_it` with each attribute, in the order in which they were recorded.
    pub fn for_each(&self, mut use_it: impl FnMut(&'static str, &Value<'_>)) {
        for (key, stored) in &self.attributes {
            use_it(key, &self.value(stored));
        }
    }

    /// What an event says in words.
    pub fn message(&self) -> Option<&str> {
        self.message.clone().map(|range| self.text(range))
    }

    /// The error that was recorded as such, under its key.
    pub fn error(&self) -> Option<(&'static str, &ErrorText)> {
        self.error.as_deref().map(|(key, text)| (*key, text))
    }

    /// The text of the attribute with this key.
    pub fn text_of(&self, wanted: &str) -> Option<&str> {
        self.attributes.iter().find_map(|(key, stored)| match stored {
            Stored::Text(range) if *key == wanted => Some(self.text(range.clone())),
            _ => None,
        })
    }

    pub fn special(&self) -> &Special {
        &self.special
    }

    /// Adds those of another one, which are later: of each key the last value stays.
    pub fn extend(&mut self, later: &mut Self) {
        for (key, stored) in &later.attributes {
            let stored = self.copied(later, stored);
            match self.attributes.iter_mut().find(|(known, _)| known == key) {
                Some((_, value)) => *value = stored,
                None => self.push(key, stored),
            }
        }
        later.attributes.clear();
        if let Some(message) = later.message() {
            self.message = Some(self.keep(message.as_bytes()));
        }
        self.error = later.error.take().or(self.error.take());
        let special = std::mem::take(&mut later.special);
        self.special.name = special.name.or(self.special.name.take());
        self.special.kind = special.kind.or(self.special.kind);
        self.special.status = special.status.or(self.special.status);
        self.special.description = special.description.or(self.special.description.take());
        if self.bytes.len() > self.most_bytes.max(KEPT) {
            self.forget_old_texts();
        }
    }

    /// A value of another one, as one of its own.
    fn copied(&mut self, other: &Self, stored: &Stored) -> Stored {
        match stored {
            Stored::Bytes(range) => Stored::Bytes(self.keep(&other.bytes[range.clone()])),
            Stored::Text(range) => Stored::Text(self.keep(&other.bytes[range.clone()])),
            plain => plain.clone(),
        }
    }

    /// Gives back the memory of texts that others have replaced.
    #[cold]
    fn forget_old_texts(&mut self) {
        let mut bytes = Vec::new();
        let mut moved = |range: &mut Range<usize>| {
            let start = bytes.len();
            bytes.extend_from_slice(&self.bytes[range.clone()]);
            *range = start..bytes.len();
        };
        for (_, stored) in &mut self.attributes {
            if let Stored::Bytes(range) | Stored::Text(range) = stored {
                moved(range);
            }
        }
        self.message.iter_mut().for_each(moved);
        self.bytes = bytes;
        self.most_bytes = 2 * self.bytes.len();
    }

    fn value(&self, stored: &Stored) -> Value<'_> {
        match stored {
            Stored::Bool(value) => Value::Bool(*value),
            Stored::Bytes(range) => Value::Bytes(&self.bytes[range.clone()]),
            Stored::F64(value) => Value::F64(*value),
            Stored::I64(value) => Value::I64(*value),
            Stored::Text(range) => Value::Str(self.text(range.clone())),
        }
    }

    fn text(&self, range: Range<usize>) -> &str {
        // Only whole `str`s are kept there as texts.
        std::str::from_utf8(&self.bytes[range]).unwrap_or_default()
    }

    fn push(&mut self, key: &'static str, stored: Stored) {
        self.attributes.push((key, stored));
    }

    fn push_text(&mut self, key: &'static str, text: &str) {
        let range = self.keep(text.as_bytes());
        self.push(key, Stored::Text(range));
    }

    fn push_bytes(&mut self, key: &'static str, bytes: &[u8]) {
        let range = self.keep(bytes);
        self.push(key, Stored::Bytes(range));
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }
}

impl Sink for Fields {
    fn attribute(&mut self, field: &Field, value: &Value<'_>) {
        let key = field.name();
        match value {
            Value::Bool(value) => self.push(key, Stored::Bool(*value)),
            Value::I64(value) => self.push(key, Stored::I64(*value)),
            Value::F64(value) => self.push(key, Stored::F64(*value)),
            Value::Bytes(bytes) => self.push_bytes(key, bytes),
            Value::Str(text) => match key {
                "message" => self.message = Some(self.keep(text.as_bytes())),
                _ if !self.special.take(key, text) => self.push_text(key, text),
                _ => {}
            },
            _ => {}
        }
    }

    fn error(&mut self, field: &Field, error: ErrorText) {
        self.error = Some(Box::new((field.name(), error)));
    }
}

impl Special {
    /// Whether the field is one of these.
    pub fn take(&mut self, key: &str, text: &str) -> bool {
        match key.strip_prefix(SPECIAL) {
            Some("name") => self.name = Some(text.to_owned()),
            Some("kind") => self.kind = kind(text).or(self.kind),
            Some("status_code") => self.status = status(text).or(self.status),
            Some("status_description" | "status_message") => self.description = Some(text.to_owned()),
            _ => return false,
        }
        true
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    let kinds = [
        ("client", SpanKind::Client),
        ("consumer", SpanKind::Consumer),
        ("internal", SpanKind::Internal),
        ("producer", SpanKind::Producer),
        ("server", SpanKind::Server),
    ];
    // Written by `Debug` it is in quotes.
    let text = text.trim_matches('"');
    kinds
        .into_iter()
        .find(|(name, _)| text.eq_ignore_ascii_case(name))
        .map(|(_, kind)| kind)
}

fn status(text: &str) -> Option<Status> {
    match text.trim_matches('"') {
        text if text.eq_ignore_ascii_case("error") => Some(Status::Error),
        text if text.eq_ignore_ascii_case("ok") => Some(Status::Ok),
        _ => None,
    }
}

/// What takes the values that a [`Visitor`] is shown.
pub(crate) trait Sink {
    fn attribute(&mut self, field: &Field, value: &Value<'_>);
    fn error(&mut self, field: &Field, error: ErrorText);
}

/// Turns what `tracing` shows into attributes.
pub(crate) struct Visitor<'a, S>(pub &'a mut S);

impl<S: Sink> Visitor<'_, S> {
    /// An integer is kept as one where OTLP can hold it; a larger one as its digits.
    fn integer<N: Copy + fmt::Display>(&mut self, field: &Field, value: N)
    where
        i64: TryFrom<N>,
    {
        match i64::try_from(value) {
            Ok(value) => self.0.attribute(field, &Value::I64(value)),
            Err(_) => self.text(field, format_args!("{value}")),
        }
    }

    fn text(&mut self, field: &Field, text: fmt::Arguments<'_>) {
        text.with_value(|value| self.0.attribute(field, value));
    }
}

impl<S: Sink> Visit for Visitor<'_, S> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.attribute(field, &Value::F64(value));
    }

    #[inline]
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.attribute(field, &Value::I64(value));
    }

    #[inline]
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.integer(field, value);
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.integer(field, value);
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.integer(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.attribute(field, &Value::Bool(value));
    }

    #[inline]
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.attribute(field, &Value::Str(value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.0.attribute(field, &Value::Bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.error(field, ErrorText::of(value));
    }

    /// Its panics are caught, and cost the text.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        debug(value).with_value(|value| self.0.attribute(field, value));
    }
}
