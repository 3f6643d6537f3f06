//! The fields of a span, read in one pass.

use super::{EventView, LinkView, span_id, trace_id};
use crate::any_value::KeyValues;
use crate::protobuf::{self, Field, Fields};
use crate::{SpanId, SpanKind, StatusCode, TraceId};

/// What a span has once, read by [`SpanView::fields`](super::SpanView::fields), which walks over its bytes one time, where the
/// accessors of a view walk for each answer. The answers are the same.
///
/// ```
/// use throughline_wire::SpanView;
///
/// let fields = SpanView::new(b"\x2a\x01a\x30\x03").fields();
/// assert_eq!((fields.name(), fields.start_time_unix_nano()), ("a", 0));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct SpanFields<'a> {
    message: &'a [u8],
    pub(crate) trace_id: &'a [u8],
    pub(crate) span_id: &'a [u8],
    trace_state: &'a [u8],
    pub(crate) parent_span_id: &'a [u8],
    name: &'a [u8],
    pub(crate) kind: i32,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The message from its first attribute on.
    from_attributes: &'a [u8],
    /// The messages of the first attributes.
    pub(crate) attributes: [&'a [u8]; SpanFields::ATTRIBUTES],
    pub(crate) attributes_count: usize,
    pub(crate) dropped_attributes: u32,
    has_events: bool,
    pub(crate) dropped_events: u32,
    has_links: bool,
    pub(crate) dropped_links: u32,
    status: (i32, &'a [u8]),
    pub(crate) flags: u32,
}

impl SpanFields<'_> {
    /// More are seldom.
    pub(crate) const ATTRIBUTES: usize = 16;
}

impl<'a> SpanFields<'a> {
    /// The trace; `None` if it is missing, zero, or not 16 bytes long.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        trace_id(self.trace_id)
    }

    /// The span itself; `None` if it is missing, zero, or not 8 bytes long.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        span_id(self.span_id)
    }

    /// The parent; `None` for a root, and if it is not a valid id.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        span_id(self.parent_span_id)
    }

    /// The tracestate header, unchecked; empty if there is none.
    #[must_use]
    pub fn trace_state(&self) -> &'a str {
        protobuf::text(self.trace_state)
    }

    /// The name; empty if there is none.
    #[must_use]
    pub fn name(&self) -> &'a str {
        protobuf::text(self.name)
    }

    /// The kind.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        SpanKind::from_number(self.kind)
    }

    /// When it began, in nanoseconds since 1970-01-01 00:00 UTC; 0 if not said.
    #[must_use]
    pub fn start_time_unix_nano(&self) -> u64 {
        self.start
    }

    /// When it ended, in nanoseconds since 1970-01-01 00:00 UTC; 0 if not said.
    #[must_use]
    pub fn end_time_unix_nano(&self) -> u64 {
        self.end
    }

    /// W3C flags in bits 0-7; bit 8: it is known whether the parent is remote; bit 9: it is.
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// The attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.from_attributes, 9, 1)
    }

    /// The events in their order.
    pub fn events(&self) -> impl Iterator<Item = EventView<'a>> + Clone + use<'a> {
        EventView::all(self.only_if(self.has_events))
    }

    /// The links in their order.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'a>> + Clone + use<'a> {
        LinkView::all(self.only_if(self.has_links))
    }

    /// The status and its message; empty if there is none.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &'a str) {
        let (code, message) = self.status_number();
        (StatusCode::from_number(code), message)
    }

    /// The status as it lies there: protobuf's enums are open.
    pub(crate) fn status_number(&self) -> (i32, &'a str) {
        (self.status.0, protobuf::text(self.status.1))
    }

    pub(super) fn read(message: &'a [u8]) -> Self {
        let mut found = Self {
            message,
            ..Self::default()
        };
        let mut fields = Fields::new(message);
        let mut rest = fields.rest();
        while let Some(Ok((number, field))) = fields.next() {
            found.take(number, field, rest);
            rest = fields.rest();
        }
        found
    }

    /// Nothing is walked over for what is not there.
    fn only_if(&self, is_there: bool) -> &'a [u8] {
        if is_there { self.message } else { &[] }
    }

    /// Takes a field, which begins where `rest` does.
    #[inline]
    fn take(&mut self, number: u32, field: Field<'a>, rest: &'a [u8]) {
        match number {
            1 => set(&mut self.trace_id, field.bytes()),
            2 => set(&mut self.span_id, field.bytes()),
            3 => set(&mut self.trace_state, field.bytes()),
            4 => set(&mut self.parent_span_id, field.bytes()),
            5 => set(&mut self.name, field.bytes()),
            6 => set(&mut self.kind, field.int32()),
            7 => set(&mut self.start, field.fixed64()),
            8 => set(&mut self.end, field.fixed64()),
            9 => {
                if let Some(message) = field.bytes() {
                    if self.attributes_count == 0 {
                        self.from_attributes = rest;
                    }
                    if let Some(place) = self.attributes.get_mut(self.attributes_count) {
                        *place = message;
                    }
                    self.attributes_count += 1;
                }
            }
            10 => set(&mut self.dropped_attributes, field.uint32()),
            11 => self.has_events = true,
            12 => set(&mut self.dropped_events, field.uint32()),
            13 => self.has_links = true,
            14 => set(&mut self.dropped_links, field.uint32()),
            15 => {
                // Repeated messages merge.
                let status = field.bytes().unwrap_or_default();
                set(&mut self.status.0, protobuf::last(status, 3, Field::int32));
                set(&mut self.status.1, protobuf::last(status, 2, Field::bytes));
            }
            16 => set(&mut self.flags, field.fixed32()),
            _ => {}
        }
    }
}

/// Of a field that comes again the last counts, of those of the right type.
fn set<T>(place: &mut T, found: Option<T>) {
    if let Some(found) = found {
        *place = found;
    }
}
