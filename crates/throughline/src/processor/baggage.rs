//! Baggage as attributes.

use super::{ProcessedSpan, SpanProcessor, Verdict};
use crate::context::Context;

/// Sets members of the baggage as attributes of each span that starts.
///
/// Baggage is no attribute by itself: it says what a caller wanted passed on, and callers may be anybody.
///
/// ```no_run
/// use throughline::BaggageAttributes;
///
/// let _tracing = throughline::builder("orders")
///     .processor(BaggageAttributes::keys(["session.id", "tenant.id"]))
///     .init();
/// ```
#[derive(Clone, Debug)]
pub struct BaggageAttributes {
    /// `None`: all of them.
    keys: Option<Vec<String>>,
}

impl BaggageAttributes {
    /// The members with these keys.
    #[must_use]
    pub fn keys<K: Into<String>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self {
            keys: Some(keys.into_iter().map(Into::into).collect()),
        }
    }

    /// All members, whoever sent them: for programs whose callers are trusted.
    #[must_use]
    pub fn all() -> Self {
        Self { keys: None }
    }
}

impl SpanProcessor for BaggageAttributes {
    fn on_start(&self, span: &mut ProcessedSpan<'_>, parent: &Context) -> Verdict {
        let baggage = parent.baggage();
        for member in baggage.iter() {
            let is_wanted = |keys: &Vec<String>| keys.iter().any(|wanted| wanted == member.key());
            // What the program says itself is not for callers to change.
            let is_new = || span.view().attribute(member.key()).is_none();
            if self.keys.as_ref().is_none_or(is_wanted) && is_new() {
                span.set(member.key(), &*member.value());
            }
        }
        Verdict::Keep
    }

    fn edits(&self) -> bool {
        false
    }

    fn wants_start_attributes(&self) -> bool {
        false
    }
}
