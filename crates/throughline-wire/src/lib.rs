//! Traces as values and as bytes.
//!
//! This crate holds what every other part of Throughline has to agree on: [ids](TraceId), the
//! [span context](SpanContext), [tracestate](TraceState), [baggage](Baggage), how they travel in
//! [headers](propagation) and [environment variables](environment), and how a span is [written](encode) to and
//! [read](view) from OTLP protobuf without an object in between.
//!
//! It does no I/O, reads no clock, starts no thread, has no dependencies and no unsafe code.
//! Everything that reads bytes from outside is total: any input gives an answer, in linear time
//! and bounded depth, and never a panic.
//!
//! Where to go next: [`encode`] for the writer, [`view`] for the reader, [`request`] for what is
//! put around spans when they are sent, [`json`] for OTLP/JSON.
#![forbid(unsafe_code)]

pub mod any_value;
pub mod baggage;
pub mod encode;
pub mod environment;
mod flags;
mod hex;
mod id;
pub mod json;
mod kind;
pub mod propagation;
mod protobuf;
pub mod redact;
pub mod request;
mod resource;
pub mod response;
mod span_context;
pub mod span_prefix;
mod status;
pub mod terminal;
pub mod trace_state;
pub mod traceparent;
mod value;
pub mod varint;
pub mod view;

pub use any_value::AnyValueView;
pub use baggage::{Baggage, InvalidBaggage};
pub use flags::TraceFlags;
pub use id::{InvalidId, SpanId, TraceId};
pub use kind::SpanKind;
pub use protobuf::Malformed;
pub use resource::{encode_resource, encode_scope};
pub use span_context::SpanContext;
pub use status::StatusCode;
pub use trace_state::{InvalidTraceState, TraceState};
pub use value::Value;
pub use view::{EventView, LinkView, SpanFields, SpanView};
