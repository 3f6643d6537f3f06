//! What travels along with the ids, unread.

/// The `tracestate` and `baggage` that came with a context, as header values, and values of propagators for other formats.
///
/// They are kept as text: whoever put them here has validated them, and whoever sends them on sends the same bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relay {
    trace_state: Box<str>,
    baggage: Box<str>,
    /// Each key once.
    values: Vec<(Box<str>, Box<str>)>,
}

impl Relay {
    /// A relay of two header values; an empty one means that there is no such header.
    #[must_use]
    pub fn new(trace_state: impl Into<Box<str>>, baggage: impl Into<Box<str>>) -> Self {
        Self {
            trace_state: trace_state.into(),
            baggage: baggage.into(),
            values: Vec::new(),
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

    /// What a propagator has noted under this key, for its own use where the context leaves the process.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        let found = self.values.iter().find(|(found, _)| **found == *key);
        found.map(|(_, value)| &**value)
    }

    /// The same relay with another `tracestate`; an empty one is none.
    #[must_use]
    pub fn with_trace_state(mut self, trace_state: impl Into<Box<str>>) -> Self {
        self.trace_state = trace_state.into();
        self
    }

    /// The same relay with other baggage; an empty one is none.
    #[must_use]
    pub fn with_baggage(mut self, baggage: impl Into<Box<str>>) -> Self {
        self.baggage = baggage.into();
        self
    }

    /// The same relay with this value under this key; with `None` it has none there.
    #[must_use]
    pub fn with_value(mut self, key: &str, value: Option<&str>) -> Self {
        self.values.retain(|(found, _)| **found != *key);
        self.values.extend(value.map(|value| (key.into(), value.into())));
        self
    }

    /// Whether there is nothing to hand on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.trace_state.is_empty() && self.baggage.is_empty() && self.values.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_replaces_the_one_of_its_key() {
        let relay = Relay::new("a=1", "")
            .with_value("x", Some("1"))
            .with_value("y", Some("2"));
        let relay = relay.with_value("x", Some("3")).with_value("y", None);
        assert_eq!((relay.value("x"), relay.value("y")), (Some("3"), None));
        let relay = relay.with_trace_state("").with_baggage("k=v").with_baggage("");
        assert!(!relay.is_empty());
        assert_eq!(relay.with_value("x", None), Relay::default());
    }
}
