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

pub(super) enum Kind {
    Scalar(Scalar),
    One(&'static Message),
    Many(&'static Message),
}

/// What stands in JSON, and how protobuf has it.
#[derive(Clone, Copy)]
pub(super) enum Scalar {
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
}

const fn scalar(name: &'static str, number: u32, scalar: Scalar) -> Field {
    Field {
        name,
        number,
        kind: Kind::Scalar(scalar),
    }
}

const fn one(name: &'static str, number: u32, message: &'static Message) -> Field {
    Field {
        name,
        number,
        kind: Kind::One(message),
    }
}

const fn many(name: &'static str, number: u32, message: &'static Message) -> Field {
    Field {
        name,
        number,
        kind: Kind::Many(message),
    }
}

const fn message(fields: &'static [Field]) -> Message {
    Message {
        fields,
        is_one_of: false,
    }
}

pub(super) static REQUEST: Message = message(&[many("resourceSpans", 1, &RESOURCE_SPANS)]);

static RESOURCE_SPANS: Message = message(&[
    one("resource", 1, &RESOURCE),
    many("scopeSpans", 2, &SCOPE_SPANS),
    scalar("schemaUrl", 3, Scalar::Text),
]);

static RESOURCE: Message = message(&[
    many("attributes", 1, &KEY_VALUE),
    scalar("droppedAttributesCount", 2, Scalar::Uint32),
]);

static SCOPE_SPANS: Message = message(&[
    one("scope", 1, &SCOPE),
    many("spans", 2, &SPAN),
    scalar("schemaUrl", 3, Scalar::Text),
]);

static SCOPE: Message = message(&[
    scalar("name", 1, Scalar::Text),
    scalar("version", 2, Scalar::Text),
    many("attributes", 3, &KEY_VALUE),
    scalar("droppedAttributesCount", 4, Scalar::Uint32),
]);

pub(super) static SPAN: Message = message(&[
    scalar("traceId", 1, Scalar::Hex),
    scalar("spanId", 2, Scalar::Hex),
    scalar("traceState", 3, Scalar::Text),
    scalar("parentSpanId", 4, Scalar::Hex),
    scalar("name", 5, Scalar::Text),
    scalar("kind", 6, Scalar::Enum),
    scalar("startTimeUnixNano", 7, Scalar::Fixed64),
    scalar("endTimeUnixNano", 8, Scalar::Fixed64),
    many("attributes", 9, &KEY_VALUE),
    scalar("droppedAttributesCount", 10, Scalar::Uint32),
    many("events", 11, &EVENT),
    scalar("droppedEventsCount", 12, Scalar::Uint32),
    many("links", 13, &LINK),
    scalar("droppedLinksCount", 14, Scalar::Uint32),
    one("status", 15, &STATUS),
    scalar("flags", 16, Scalar::Fixed32),
]);

static EVENT: Message = message(&[
    scalar("timeUnixNano", 1, Scalar::Fixed64),
    scalar("name", 2, Scalar::Text),
    many("attributes", 3, &KEY_VALUE),
    scalar("droppedAttributesCount", 4, Scalar::Uint32),
]);

static LINK: Message = message(&[
    scalar("traceId", 1, Scalar::Hex),
    scalar("spanId", 2, Scalar::Hex),
    scalar("traceState", 3, Scalar::Text),
    many("attributes", 4, &KEY_VALUE),
    scalar("droppedAttributesCount", 5, Scalar::Uint32),
    scalar("flags", 6, Scalar::Fixed32),
]);

static STATUS: Message = message(&[scalar("message", 2, Scalar::Text), scalar("code", 3, Scalar::Enum)]);

static KEY_VALUE: Message = message(&[scalar("key", 1, Scalar::Text), one("value", 2, &ANY_VALUE)]);

static ANY_VALUE: Message = Message {
    fields: &[
        scalar("stringValue", 1, Scalar::Text),
        scalar("boolValue", 2, Scalar::Bool),
        scalar("intValue", 3, Scalar::Int64),
        scalar("doubleValue", 4, Scalar::Double),
        one("arrayValue", 5, &ARRAY_VALUE),
        one("kvlistValue", 6, &KEY_VALUE_LIST),
        scalar("bytesValue", 7, Scalar::Base64),
    ],
    is_one_of: true,
};

static ARRAY_VALUE: Message = message(&[many("values", 1, &ANY_VALUE)]);

static KEY_VALUE_LIST: Message = message(&[many("values", 1, &KEY_VALUE)]);

pub(super) static RESPONSE: Message = message(&[one("partialSuccess", 1, &PARTIAL_SUCCESS)]);

static PARTIAL_SUCCESS: Message = message(&[
    scalar("rejectedSpans", 1, Scalar::Int64),
    scalar("errorMessage", 2, Scalar::Text),
]);

// Its code is no enum.
pub(super) static RPC_STATUS: Message =
    message(&[scalar("code", 1, Scalar::Int64), scalar("message", 2, Scalar::Text)]);
