//! What is put around spans when they are sent, and how it is taken off again.
//!
//! `ExportTraceServiceRequest` and `TracesData` are the same bytes: a list of `ResourceSpans`, each
//! a resource and a list of `ScopeSpans`, each a scope and a list of spans. Since protobuf joins
//! messages that lie behind each other, a request is made by appending, and the spans in it are
//! never touched.
//!
//! ```
//! use throughline_wire::{encode_resource, encode_scope, request, Value};
//!
//! let resource = encode_resource(&[("service.name", Value::from("orders"))]);
//! let scope = encode_scope("shop", "", &[] as &[(&str, Value)]);
//! let spans = b"\x12\x03\x2a\x01a\x12\x03\x2a\x01b"; // two spans that have nothing but a name
//!
//! let mut body = Vec::new();
//! let runs = [&spans[..]];
//! let scope_spans = request::ScopeSpans::new(&scope, &runs);
//! request::append_resource_spans(&mut body, &resource, "", &[scope_spans]);
//!
//! let mut names = Vec::new();
//! for resource_spans in request::resource_spans(&body) {
//!     for scope_spans in resource_spans?.scope_spans() {
//!         for span in scope_spans?.spans() {
//!             names.push(span?.name());
//!         }
//!     }
//! }
//! assert_eq!(names, ["a", "b"]);
//! # Ok::<(), throughline_wire::Malformed>(())
//! ```

use crate::any_value::KeyValues;
use crate::encode::{delimited_len, text_len};
use crate::protobuf::{self, Field, Fields, Malformed};
use crate::{SpanView, varint};

/// The tag in front of each span in a `ScopeSpans`; its length, as a varint, follows.
pub const SPAN_TAG: u8 = 0x12;

/// The spans of one library, on their way into a request.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpans<'a> {
    /// A message as [`encode_scope`](crate::encode_scope) makes it.
    pub scope: &'a [u8],
    /// The scope's schema; may be empty.
    pub schema_url: &'a str,
    /// The spans, in pieces of one or more, every span as [`SPAN_TAG`], length, body.
    pub spans: &'a [&'a [u8]],
}

impl<'a> ScopeSpans<'a> {
    /// Of a scope without a schema.
    #[must_use]
    pub fn new(scope: &'a [u8], spans: &'a [&'a [u8]]) -> Self {
        Self {
            scope,
            schema_url: "",
            spans,
        }
    }

    fn spans_len(&self) -> usize {
        self.spans.iter().map(|piece| piece.len()).sum()
    }

    fn body_len(&self) -> usize {
        delimited_len(self.scope.len()) + self.spans_len() + text_len(self.schema_url)
    }
}

/// Appends one `ResourceSpans` to a request, in one pass.
///
/// `resource` is a message as [`encode_resource`](crate::encode_resource) makes it. Scopes with no spans are left out, and
/// nothing is appended if all of them have none. `schema_url` may be empty.
pub fn append_resource_spans(out: &mut Vec<u8>, resource: &[u8], schema_url: &str, scopes: &[ScopeSpans<'_>]) {
    let scopes = scopes.iter().filter(|group| group.spans_len() > 0);
    let scopes_len: usize = scopes.clone().map(|group| delimited_len(group.body_len())).sum();
    if scopes_len == 0 {
        return;
    }
    let body = delimited_len(resource.len()) + scopes_len + text_len(schema_url);
    out.reserve(delimited_len(body));
    push_head(out, 0x0a, body);
    push_head(out, 0x0a, resource.len());
    out.extend_from_slice(resource);
    for group in scopes {
        push_head(out, 0x12, group.body_len());
        push_head(out, 0x0a, group.scope.len());
        out.extend_from_slice(group.scope);
        for piece in group.spans {
            out.extend_from_slice(piece);
        }
        push_schema_url(out, group.schema_url);
    }
    push_schema_url(out, schema_url);
}

/// Field 3 of both messages.
fn push_schema_url(out: &mut Vec<u8>, schema_url: &str) {
    if !schema_url.is_empty() {
        push_head(out, 0x1a, schema_url.len());
        out.extend_from_slice(schema_url.as_bytes());
    }
}

/// The parts of an `ExportTraceServiceRequest` or a `TracesData`. The first one that cannot be
/// read is the last item, an error.
pub fn resource_spans(request: &[u8]) -> impl Iterator<Item = Result<ResourceSpansView<'_>, Malformed>> {
    messages(request, 1).map(|message| Ok(ResourceSpansView { message: message? }))
}

/// A reader over one OTLP `ResourceSpans`: spans of one origin.
#[derive(Clone, Copy, Debug)]
pub struct ResourceSpansView<'a> {
    message: &'a [u8],
}

impl<'a> ResourceSpansView<'a> {
    /// The `Resource` message; empty if there is none.
    #[must_use]
    pub fn resource(&self) -> &'a [u8] {
        protobuf::last(self.message, 1, Field::bytes).unwrap_or_default()
    }

    /// The attributes of the resource: who made the spans.
    #[must_use]
    pub fn resource_attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.resource(), 1, 1)
    }

    /// How many attributes of the resource are missing because of a limit.
    #[must_use]
    pub fn resource_dropped_attributes_count(&self) -> u32 {
        protobuf::last(self.resource(), 2, Field::uint32).unwrap_or_default()
    }

    /// The schema of the resource; empty if not said.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        protobuf::last(self.message, 3, Field::text).unwrap_or_default()
    }

    /// The spans by scope. The first part that cannot be read is the last item, an error.
    pub fn scope_spans(&self) -> impl Iterator<Item = Result<ScopeSpansView<'a>, Malformed>> + use<'a> {
        messages(self.message, 2).map(|message| Ok(ScopeSpansView { message: message? }))
    }
}

/// A reader over one OTLP `ScopeSpans`: spans of one library.
#[derive(Clone, Copy, Debug)]
pub struct ScopeSpansView<'a> {
    message: &'a [u8],
}

impl<'a> ScopeSpansView<'a> {
    /// The `InstrumentationScope` message; empty if there is none.
    #[must_use]
    pub fn scope(&self) -> &'a [u8] {
        protobuf::last(self.message, 1, Field::bytes).unwrap_or_default()
    }

    /// The name of the library; empty if not said.
    #[must_use]
    pub fn scope_name(&self) -> &'a str {
        protobuf::last(self.scope(), 1, Field::text).unwrap_or_default()
    }

    /// The version of the library; empty if not said.
    #[must_use]
    pub fn scope_version(&self) -> &'a str {
        protobuf::last(self.scope(), 2, Field::text).unwrap_or_default()
    }

    /// The attributes of the scope.
    #[must_use]
    pub fn scope_attributes(&self) -> KeyValues<'a> {
        KeyValues::new(self.scope(), 3, 1)
    }

    /// How many attributes of the scope are missing because of a limit.
    #[must_use]
    pub fn scope_dropped_attributes_count(&self) -> u32 {
        protobuf::last(self.scope(), 4, Field::uint32).unwrap_or_default()
    }

    /// The schema of the spans; empty if not said.
    #[must_use]
    pub fn schema_url(&self) -> &'a str {
        protobuf::last(self.message, 3, Field::text).unwrap_or_default()
    }

    /// The spans. The first that cannot be read is the last item, an error. What is inside a span
    /// is looked at only when it is asked for.
    pub fn spans(&self) -> impl Iterator<Item = Result<SpanView<'a>, Malformed>> + use<'a> {
        messages(self.message, 2).map(|message| message.map(SpanView::new))
    }
}

/// The messages in field `number`; an error if that field holds something else.
fn messages(message: &[u8], number: u32) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::new(message).filter_map(move |field| match field {
        Ok((found, field)) if found == number => Some(field.bytes().ok_or(Malformed)),
        Ok(_) => None,
        Err(malformed) => Some(Err(malformed)),
    })
}

/// A tag and the length of the body that has to follow.
fn push_head(out: &mut Vec<u8>, tag: u8, body: usize) {
    out.push(tag);
    varint::push(out, body as u64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_without_spans_is_no_request() {
        let mut out = Vec::new();
        append_resource_spans(&mut out, b"\x0a\x00", "url", &[]);
        append_resource_spans(&mut out, b"\x0a\x00", "url", &[ScopeSpans::new(b"\x0a\x01x", &[b""])]);
        assert!(out.is_empty());
        assert!(resource_spans(&out).next().is_none());
    }

    #[test]
    fn room_is_reserved_once() {
        let spans = [SPAN_TAG, 2, 0x2a, 0];
        let mut out = Vec::new();
        let scope = |spans| ScopeSpans::new(b"", spans);
        append_resource_spans(
            &mut out,
            b"",
            "url",
            &[scope(&[&spans]), scope(&[b""]), scope(&[&spans])],
        );
        assert_eq!(out.capacity(), out.len());
        let parts: Result<Vec<_>, _> = resource_spans(&out).collect();
        assert_eq!(parts.unwrap()[0].scope_spans().count(), 2);
    }

    #[test]
    fn malformed_framing_is_an_error_at_every_level() {
        for bytes in [&b"\x0a\x05x"[..], b"\x08\x01", b"\x0f"] {
            let read: Result<Vec<_>, _> = resource_spans(bytes).collect();
            assert_eq!(read.unwrap_err(), Malformed);
        }
        let resource = ResourceSpansView { message: b"\x12\x05x" };
        assert!(resource.scope_spans().any(|part| part.is_err()));
        let scope = ScopeSpansView {
            message: b"\x12\x00\x12\x05x",
        };
        let spans: Vec<_> = scope.spans().collect();
        assert!(spans[0].is_ok() && spans[1].is_err() && spans.len() == 2);
    }
}
