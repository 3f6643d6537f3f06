//! Attributes that are encoded before it is known where they go: those of events and links, and those that a sampler looks at.

use throughline_wire::Value;
use throughline_wire::any_value::KeyValues;
use throughline_wire::encode::{self, KeyValue, tag};

use crate::recording::{Details, find_field};
use crate::span_limits::limits;

/// Whose attributes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    Event,
    Link,
    Span,
}

impl Of {
    fn tag(self) -> u8 {
        match self {
            Self::Event => encode::Event::ATTRIBUTE,
            Self::Link => encode::Link::ATTRIBUTE,
            Self::Span => tag::ATTRIBUTE,
        }
    }

    /// The most of them.
    pub(crate) fn limit(self) -> u32 {
        match self {
            Self::Event => limits().event_attributes,
            Self::Link => limits().link_attributes,
            Self::Span => limits().attributes,
        }
    }
}

/// Encoded attributes, each with its tag.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Encoded {
    of: Of,
    bytes: Vec<u8>,
    /// Of an event or a link: how many there are, and how many found no place.
    count: u32,
    dropped: u32,
    /// Of a span's: each key, and where its field ends.
    keys: Vec<(Box<str>, usize)>,
}

impl Encoded {
    pub(crate) fn new(of: Of) -> Self {
        Self {
            of,
            bytes: Vec::new(),
            count: 0,
            dropped: 0,
            keys: Vec::new(),
        }
    }

    /// For the macros: the same as [`Batch::put`](crate::recording::Batch::put).
    pub fn put(&mut self, key: &str, _bit: u64, value: &Value<'_>) {
        let at = self.bytes.len();
        if self.of == Of::Span {
            // The span sees to its limits and to keys that come again.
            self.append(key, value);
            self.keys.push((key.into(), self.bytes.len()));
            return;
        }
        let before = find_field(&self.bytes, self.of.tag(), key);
        if key.is_empty() || before.is_none() && self.count >= self.of.limit() {
            self.dropped += 1;
            return;
        }
        self.append(key, value);
        match before {
            None => self.count += 1,
            // A key that comes again has its last value, where it first stood.
            Some(before) => {
                let field = self.bytes.split_off(at);
                self.bytes.splice(before, field);
            }
        }
    }

    /// Of a span's: one that is encoded already, tag included.
    pub(crate) fn put_field(&mut self, key: &str, field: &[u8]) {
        self.bytes.extend_from_slice(field);
        self.keys.push((key.into(), self.bytes.len()));
    }

    fn append(&mut self, key: &str, value: &Value<'_>) {
        if let Some(field) = limits().values.shortened(self.of.tag(), key, value) {
            return self.bytes.extend_from_slice(&field);
        }
        let attribute = KeyValue::new(key, value);
        let at = self.bytes.len();
        self.bytes.resize(at + attribute.len(), 0);
        attribute.write(&mut self.bytes[at..], self.of.tag());
    }

    /// For the macros: there is one way only.
    pub fn put_slowly(&mut self, key: &str, bit: u64, value: &Value<'_>) {
        self.put(key, bit, value);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Those of an event or a link.
    pub(crate) fn details(&self) -> Details<'_> {
        Details {
            attributes: &[],
            encoded: &self.bytes,
            dropped: self.dropped,
        }
    }

    /// Those of a span, each with its key.
    pub(crate) fn for_each(&self, mut use_it: impl FnMut(&str, &[u8])) {
        let mut start = 0;
        for (key, end) in &self.keys {
            use_it(key, &self.bytes[start..*end]);
            start = *end;
        }
    }

    /// Those of a span, to be read.
    pub(crate) fn view(&self) -> KeyValues<'_> {
        throughline_wire::SpanView::new(&self.bytes).attributes()
    }
}
