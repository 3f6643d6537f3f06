//! What travels along with the ids, unread.

/// The `tracestate` and `baggage` that came with a context, as header values.
///
/// They are kept as text: whoever put them here has validated them, and whoever sends them on sends the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    trace_state: Box<str>,
    baggage: Box<str>,
}

impl Relay {
    /// A relay of two header values; an empty one means that there is no such header.
    #[must_use]
    pub fn new(trace_state: impl Into<Box<str>>, baggage: impl Into<Box<str>>) -> Self {
        Self {
            trace_state: trace_state.into(),
            baggage: baggage.into(),
        }
    }

    /// The value of the `tracestate` header (Trace Context Level 2, section 3.3), or an empty string.
    #[must_use]
    pub fn trace_state(&self) -> &str {
        &self.trace_state
    }

    /// The value of the `baggage` header (W3C Baggage, section 3.2), or an empty string.
    #[must_use]
    pub fn baggage(&self) -> &str {
        &self.baggage
    }

    /// Whether there is nothing to hand on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trace_state.is_empty() && self.baggage.is_empty()
    }
}
