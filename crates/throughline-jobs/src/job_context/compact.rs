//! The context as one line of text.
//!
//! `<traceparent> job=<times and attempts> tracestate=<…> baggage=<…>`: fields with one space between them, what is empty left out.
//! Inside of a field a space is `\s` and a backslash is `\\`. A `traceparent` alone is a valid line.

use std::borrow::Cow;
use std::fmt;

use super::JobContext;

/// A longer text is not read. More than any context takes that this crate writes.
const MAX_TEXT: usize = 32 << 10;
/// The names that fields have in a line. The first stands without its name.
const FIELDS: [(&str, &str); 4] = [
    ("traceparent", ""),
    ("throughline-job", "job="),
    ("tracestate", "tracestate="),
    ("baggage", "baggage="),
];

impl JobContext {
    /// Reads the line that `to_string` writes, or a `traceparent` alone.
    ///
    /// Anything else is an empty context: a text of more than 32 KiB, one with a field twice, and whatever else somebody wrote there.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text.len() > MAX_TEXT {
            return Self::default();
        }
        Self::from_pairs(text.trim().split(' ').map(|field| {
            let named = FIELDS[1..]
                .iter()
                .find_map(|(name, prefix)| Some((*name, field.strip_prefix(prefix)?)));
            let (name, value) = named.unwrap_or((FIELDS[0].0, field));
            (name, unescaped(value).into_owned())
        }))
    }
}

/// One line; empty for an empty context.
impl fmt::Display for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        let mut separator = "";
        self.for_each_pair(|name, value| {
            let prefix = FIELDS.iter().find(|field| field.0 == name).map_or("", |field| field.1);
            if result.is_ok() {
                result = write!(f, "{separator}{prefix}{}", escaped(value));
            }
            separator = " ";
        });
        result
    }
}

fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains([' ', '\\']) {
        return value.into();
    }
    value.replace('\\', "\\\\").replace(' ', "\\s").into()
}

fn unescaped(value: &str) -> Cow<'_, str> {
    if !value.contains('\\') {
        return value.into();
    }
    let mut text = String::with_capacity(value.len());
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => text.extend(letters.next().map(|next| if next == 's' { ' ' } else { next })),
            letter => text.push(letter),
        }
    }
    text.into()
}
