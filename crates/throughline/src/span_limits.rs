//! How much one span may hold.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use throughline_wire::encode::ValueLimits;

/// How much one span may hold (OpenTelemetry specification, trace SDK, "Span Limits", and common, "Attribute Limits").
///
/// What is too much is left out, and its number is sent with the span; a key that is there already still gets its new value. Values
/// that are too long are cut.
///
/// | limit | default | variable |
/// |---|---|---|
/// | [`attributes`](Self::attributes) of a span | 128 | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, else `OTEL_ATTRIBUTE_COUNT_LIMIT` |
/// | [`events`](Self::events) | 128 | `OTEL_SPAN_EVENT_COUNT_LIMIT` |
/// | [`links`](Self::links) | 128 | `OTEL_SPAN_LINK_COUNT_LIMIT` |
/// | [`event_attributes`](Self::event_attributes) of each event | 128 | `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, else `OTEL_ATTRIBUTE_COUNT_LIMIT` |
/// | [`link_attributes`](Self::link_attributes) of each link | 128 | `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT`, else `OTEL_ATTRIBUTE_COUNT_LIMIT` |
/// | [`value_length`](Self::value_length), in characters or bytes | none | `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`, else `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` |
/// | [`value_depth`](Self::value_depth) of arrays and maps | 28 | |
///
/// ```no_run
/// use throughline::SpanLimits;
///
/// let _tracing = throughline::builder("orders")
///     .limits(SpanLimits::default().attributes(32).value_length(1000))
///     .init();
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpanLimits {
    attributes: Option<u32>,
    events: Option<u32>,
    links: Option<u32>,
    event_attributes: Option<u32>,
    link_attributes: Option<u32>,
    value_length: Option<usize>,
    value_depth: Option<usize>,
}

/// What the specification gives each count.
const DEFAULT: u32 = 128;

impl SpanLimits {
    /// The most attributes of a span. Default 128.
    #[must_use]
    pub fn attributes(mut self, most: u32) -> Self {
        self.attributes = Some(most);
        self
    }

    /// The most events of a span. Default 128.
    #[must_use]
    pub fn events(mut self, most: u32) -> Self {
        self.events = Some(most);
        self
    }

    /// The most links of a span. Default 128.
    #[must_use]
    pub fn links(mut self, most: u32) -> Self {
        self.links = Some(most);
        self
    }

    /// The most attributes of each event. Default 128.
    #[must_use]
    pub fn event_attributes(mut self, most: u32) -> Self {
        self.event_attributes = Some(most);
        self
    }

    /// The most attributes of each link. Default 128.
    #[must_use]
    pub fn link_attributes(mut self, most: u32) -> Self {
        self.link_attributes = Some(most);
        self
    }

    /// The most characters of a text, and the most bytes of a byte array, in the values of all attributes and inside of arrays and
    /// maps. Default: no limit. With one, each attribute costs some 20 ns more.
    #[must_use]
    pub fn value_length(mut self, most: usize) -> Self {
        self.value_length = Some(most);
        self
    }

    /// How deep arrays and maps may lie in each other; one that lies deeper becomes an empty value. Default 28, which is also the most:
    /// many receivers refuse a whole request for one deeper value.
    #[must_use]
    pub fn value_depth(mut self, most: usize) -> Self {
        self.value_depth = Some(most);
        self
    }

    /// What is not said here is as it is there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            attributes: self.attributes.or(other.attributes),
            events: self.events.or(other.events),
            links: self.links.or(other.links),
            event_attributes: self.event_attributes.or(other.event_attributes),
            link_attributes: self.link_attributes.or(other.link_attributes),
            value_length: self.value_length.or(other.value_length),
            value_depth: self.value_depth.or(other.value_depth),
        }
    }

    fn resolved(self) -> Limits {
        Limits {
            attributes: self.attributes.unwrap_or(DEFAULT),
            events: self.events.unwrap_or(DEFAULT),
            links: self.links.unwrap_or(DEFAULT),
            event_attributes: self.event_attributes.unwrap_or(DEFAULT),
            link_attributes: self.link_attributes.unwrap_or(DEFAULT),
            values: ValueLimits {
                length: self.value_length.unwrap_or(ValueLimits::NONE.length),
                depth: self
                    .value_depth
                    .unwrap_or(ValueLimits::NONE.depth)
                    .min(ValueLimits::NONE.depth),
            },
        }
    }
}

/// The limits that hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub attributes: u32,
    pub events: u32,
    pub links: u32,
    pub event_attributes: u32,
    pub link_attributes: u32,
    pub values: ValueLimits,
}

static DEFAULTS: Limits = Limits {
    attributes: DEFAULT,
    events: DEFAULT,
    links: DEFAULT,
    event_attributes: DEFAULT,
    link_attributes: DEFAULT,
    values: ValueLimits::NONE,
};
static LIMITS: OnceLock<Limits> = OnceLock::new();
/// As many attributes go into a span without a further look: none where values have to be measured.
static WITHOUT_A_LOOK: AtomicU32 = AtomicU32::new(DEFAULT);

/// The first call decides.
pub(crate) fn set(limits: SpanLimits) {
    let limits = limits.resolved();
    if LIMITS.set(limits).is_ok() {
        let measured = limits.values != ValueLimits::NONE;
        WITHOUT_A_LOOK.store(if measured { 0 } else { limits.attributes }, Ordering::Relaxed);
    }
}

pub(crate) fn limits() -> &'static Limits {
    LIMITS.get().unwrap_or(&DEFAULTS)
}

/// Whether an attribute can go into a span that has so many, whatever its value is.
#[inline(always)]
pub(crate) fn takes_any(attributes: u32) -> bool {
    attributes < WITHOUT_A_LOOK.load(Ordering::Relaxed)
}
