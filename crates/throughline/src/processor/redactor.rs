//! Redaction: what spans say is cleaned before it is committed.

use throughline_wire::redact::{Content, Redaction};

/// Decides on each piece of content of each span; made by a closure or [`redact_keys`].
pub(crate) type Redactor = Box<dyn Redact>;

/// Decides on each piece of what a span says: names, messages, and the attributes of the span, its events and its links.
///
/// Any closure from [`Content`] to [`Redaction`] is one.
pub trait Redact: Send + Sync {
    /// What becomes of this piece. Where it panics, the piece is removed.
    fn redact(&self, content: &Content<'_>) -> Redaction;
}

impl<F: Fn(&Content<'_>) -> Redaction + Send + Sync> Redact for F {
    fn redact(&self, content: &Content<'_>) -> Redaction {
        self(content)
    }
}

/// A redactor for attributes with these keys, whatever their case, and wherever they lie: their values become `[redacted]`.
///
/// ```no_run
/// let _tracing = throughline::builder("orders")
///     .redact(throughline::redact_keys(["authorization", "card.number"]))
///     .init();
/// ```
pub fn redact_keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> impl Redact {
    let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
    move |content: &Content<'_>| match content {
        Content::Attribute(key, _) if keys.iter().any(|redacted| redacted.eq_ignore_ascii_case(key)) => {
            Redaction::Replace(throughline_wire::redact::REMOVED.to_owned())
        }
        _ => Redaction::Keep,
    }
}
