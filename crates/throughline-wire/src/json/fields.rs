//! The messages of OTLP as JSON names their fields: opentelemetry-proto 1.9, `trace/v1`, `collector/trace/v1`, `resource/v1`
//! and `common/v1`; and `google.rpc.Status`.
//!
//! Of a resource, `entityRefs` is not among them, nor are a status' `details`: what is not here is skipped.

/// A message, as far as it is read.
pub(super) struct Message {
    pub(super) fields: &'static [Field],
    /// Whether at most one of the fields may be set, which then counts also when it has its default value.
    pub(super) is_one_of: bool,
}

pub(super) struct Field {
    /// In JSON.
    pub(super) name: &'static str,
    /// In protobuf.
    pub(super) number: u32,
    pub(super) kind: Kind,
}

/// What stands in JSON, and how protobuf has it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    /// Bytes in hexadecimal digits, of whatever length.
    Hex,
    Base64,
    Bool,
    Double,
    /// A varint that may be negative.
    Int64,
    /// The same, of 32 bits, and never a string.
    Enum,
    Uint32,
    Fixed32,
    Fixed64,
    One(&'static Message),
    Many(&'static Message),
}

const fn field(name: &'static str, number: u32, kind: Kind) -> Field {
    Field { name, number, kind }
}

const fn message(fields: &'static [Field]) -> Message {
    Message {
        fields,
        is_one_of: false,
    }
}

pub(super) static REQUEST: Message = message(&[field("resourceSpans", 1, Kind::Many(&RESOURCE_SPANS))]);

static RESOURCE_SPANS: Message = message(&[
    field("resource", 1, Kind::One(&RESOURCE)),
    field("scopeSpans", 2, Kind::Many(&SCOPE_SPANS)),
    field("schemaUrl", 3, Kind::Text),
]);

static RESOURCE: Message = message(&[
    field("attributes", 1, Kind::Many(&KEY_VALUE)),
    field("droppedAttributesCount", 2, Kind::Uint32),
]);

static SCOPE_SPANS: Message = message(&[
    field("scope", 1, Kind::One(&SCOPE)),
    field("spans", 2, Kind::Many(&SPAN)),
    field("schemaUrl", 3, Kind::Text),
]);

static SCOPE: Message = message(&[
    field("name", 1, Kind::Text),
    field("version", 2, Kind::Text),
    field("attributes", 3, Kind::Many(&KEY_VALUE)),
    field("droppedAttributesCount", 4, Kind::Uint32),
]);

pub(super) static SPAN: Message = message(&[
    field("traceId", 1, Kind::Hex),
    field("spanId", 2, Kind::Hex),
    field("traceState", 3, Kind::Text),
    field("parentSpanId", 4, Kind::Hex),
    field("name", 5, Kind::Text),
    field("kind", 6, Kind::Enum),
    field("startTimeUnixNano", 7, Kind::Fixed64),
    field("endTimeUnixNano", 8, Kind::Fixed64),
    field("attributes", 9, Kind::Many(&KEY_VALUE)),
    field("droppedAttributesCount", 10, Kind::Uint32),
    field("events", 11, Kind::Many(&EVENT)),
    field("droppedEventsCount", 12, Kind::Uint32),
    field("links", 13, Kind::Many(&LINK)),
    field("droppedLinksCount", 14, Kind::Uint32),
    field("status", 15, Kind::One(&STATUS)),
    field("flags", 16, Kind::Fixed32),
]);

static EVENT: Message = message(&[
    field("timeUnixNano", 1, Kind::Fixed64),
    field("name", 2, Kind::Text),
    field("attributes", 3, Kind::Many(&KEY_VALUE)),
    field("droppedAttributesCount", 4, Kind::Uint32),
]);

static LINK: Message = message(&[
    field("traceId", 1, Kind::Hex),
    field("spanId", 2, Kind::Hex),
    field("traceState", 3, Kind::Text),
    field("attributes", 4, Kind::Many(&KEY_VALUE)),
    field("droppedAttributesCount", 5, Kind::Uint32),
    field("flags", 6, Kind::Fixed32),
]);

static STATUS: Message = message(&[field("message", 2, Kind::Text), field("code", 3, Kind::Enum)]);

static KEY_VALUE: Message = message(&[field("key", 1, Kind::Text), field("value", 2, Kind::One(&ANY_VALUE))]);

static ANY_VALUE: Message = Message {
    fields: &[
        field("stringValue", 1, Kind::Text),
        field("boolValue", 2, Kind::Bool),
        field("intValue", 3, Kind::Int64),
        field("doubleValue", 4, Kind::Double),
        field("arrayValue", 5, Kind::One(&ARRAY_VALUE)),
        field("kvlistValue", 6, Kind::One(&KEY_VALUE_LIST)),
        field("bytesValue", 7, Kind::Base64),
    ],
    is_one_of: true,
};

static ARRAY_VALUE: Message = message(&[field("values", 1, Kind::Many(&ANY_VALUE))]);

static KEY_VALUE_LIST: Message = message(&[field("values", 1, Kind::Many(&KEY_VALUE))]);

pub(super) static RESPONSE: Message = message(&[field("partialSuccess", 1, Kind::One(&PARTIAL_SUCCESS))]);

static PARTIAL_SUCCESS: Message = message(&[
    field("rejectedSpans", 1, Kind::Int64),
    field("errorMessage", 2, Kind::Text),
]);

// Its code is no enum.
pub(super) static RPC_STATUS: Message = message(&[field("code", 1, Kind::Int64), field("message", 2, Kind::Text)]);
