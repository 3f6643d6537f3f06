//! OTLP/JSON: spans as text that backends and people can read, written and read.
//!
//! What is written: the proto3 JSON mapping with the deviations of OTLP: ids are lower-case hexadecimal, enums are
//! integers. 64-bit numbers are strings, NaN and the infinities too, bytes are base64. Fields with
//! their default value are left out, apart from ids, name, kind and times of a span, and from the
//! values of an empty array or map, without which some readers refuse it. What OTLP may
//! add to a message later, and `Resource.entity_refs`, are not written.
//!
//! Everything is on one line, so that a request is a line of a JSONL file.

mod attribute;
mod fields;
mod parser;
mod read;
mod syntax;

use attribute::{attribute, write_attribute};
pub(crate) use read::base64 as from_base64;
pub use read::{InvalidJson, read_request, read_response, read_span, read_status};
use syntax::{Object, base64, double, list, quoted, quoted_signed, string};

use crate::any_value::{AnyValueView, KeyValues};
use crate::protobuf::{self, Field};
use crate::request::{self, ResourceSpansView, ScopeSpansView};
use crate::view::{EventView, LinkView, SpanView};
use crate::{Malformed, hex};

/// Appends a request as `{"resourceSpans":[…]}`, with no line break at the end.
///
/// # Errors
/// [`Malformed`] if the framing around the spans cannot be read; `out` is as before then.
///
/// ```
/// use throughline_wire::{encode_resource, json, request, Value};
///
/// let resource = encode_resource(&[("service.name", Value::from("orders"))]);
/// let mut body = Vec::new();
/// request::append_resource_spans(&mut body, &resource, "", &[request::ScopeSpans::new(b"\x0a\x04shop", &[b"\x12\x03\x2a\x01a"])]);
/// let mut line = String::new();
/// json::write_request(&mut line, &body)?;
/// assert!(line.starts_with(
///     r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"orders"}}]}"#
/// ));
/// # Ok::<(), throughline_wire::Malformed>(())
/// ```
pub fn write_request(out: &mut String, request: &[u8]) -> Result<(), Malformed> {
    let mut bytes = std::mem::take(out).into_bytes();
    let written = append_request(&mut bytes, request);
    *out = text(bytes);
    written
}

/// As [`write_request`], to bytes, which need not be checked to be text: to be sent, or written to a file.
///
/// # Errors
/// [`Malformed`] if the framing around the spans cannot be read; `out` is as before then.
///
/// ```
/// let mut line = Vec::new();
/// throughline_wire::json::append_request(&mut line, b"")?;
/// assert_eq!(line, br#"{"resourceSpans":[]}"#);
/// # Ok::<(), throughline_wire::Malformed>(())
/// ```
pub fn append_request(out: &mut Vec<u8>, request: &[u8]) -> Result<(), Malformed> {
    // Before anything is written.
    for part in request::resource_spans(request) {
        for scope in part?.scope_spans() {
            scope?.spans().try_for_each(|span| span.map(drop))?;
        }
    }
    let mut object = Object::begin(out);
    let parts = request::resource_spans(request).map_while(Result::ok);
    list(object.member("resourceSpans"), parts, write_resource_spans);
    object.end();
    Ok(())
}

/// Appends one span as a JSON object. What cannot be read of it is left out.
///
/// ```
/// use throughline_wire::{json, SpanView};
///
/// let mut text = String::new();
/// json::write_span(&mut text, &SpanView::new(b"\x12\x08\x01\x02\x03\x04\x05\x06\x07\x08\x2a\x01a\x30\x03"));
/// assert_eq!(
///     text,
///     r#"{"traceId":"","spanId":"0102030405060708","name":"a","kind":3,"startTimeUnixNano":"0","endTimeUnixNano":"0"}"#
/// );
/// ```
pub fn write_span(out: &mut String, span: &SpanView<'_>) {
    let mut bytes = std::mem::take(out).into_bytes();
    write_span_bytes(&mut bytes, *span);
    *out = text(bytes);
}

/// What was text, with something of this module behind it.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("only text is appended: names, digits, and strings")
}

fn write_span_bytes(out: &mut Vec<u8>, span: SpanView<'_>) {
    let fields = span.fields();
    // Of a usual span with some attributes.
    out.reserve(1024);
    let mut object = Object::begin(out);
    id(object.member("traceId"), fields.trace_id);
    id(object.member("spanId"), fields.span_id);
    object.text("traceState", fields.trace_state());
    if !fields.parent_span_id.is_empty() {
        id(object.member("parentSpanId"), fields.parent_span_id);
    }
    object.number("flags", fields.flags);
    string(object.member("name"), fields.name());
    object.whole_number("kind", fields.kind);
    quoted(object.member("startTimeUnixNano"), fields.start);
    quoted(object.member("endTimeUnixNano"), fields.end);
    match fields.attributes.get(..fields.attributes_count) {
        Some(few) => {
            let few = few.iter().filter_map(|message| attribute(message));
            object.list("attributes", few, write_attribute);
        }
        None => object.list("attributes", fields.attributes(), write_key_value),
    }
    object.number("droppedAttributesCount", fields.dropped_attributes);
    object.list("events", fields.events(), write_event);
    object.number("droppedEventsCount", fields.dropped_events);
    object.list("links", fields.links(), write_link);
    object.number("droppedLinksCount", fields.dropped_links);
    let (code, message) = fields.status_number();
    if code != 0 || !message.is_empty() {
        let mut status = Object::begin(object.member("status"));
        status.text("message", message);
        status.number("code", code);
        status.end();
    }
    object.end();
}

fn write_resource_spans(out: &mut Vec<u8>, part: ResourceSpansView<'_>) {
    let mut object = Object::begin(out);
    let mut resource = Object::begin(object.member("resource"));
    let dropped = part.resource_dropped_attributes_count();
    attributes(&mut resource, part.resource_attributes(), dropped);
    resource.end();
    let scopes = part.scope_spans().map_while(Result::ok);
    object.list("scopeSpans", scopes, write_scope_spans);
    object.text("schemaUrl", part.schema_url());
    object.end();
}

fn write_scope_spans(out: &mut Vec<u8>, part: ScopeSpansView<'_>) {
    let mut object = Object::begin(out);
    // Looked for once: behind it come all spans.
    let message = part.scope();
    let field = |number| protobuf::last(message, number, Field::text).unwrap_or_default();
    let mut scope = Object::begin(object.member("scope"));
    scope.text("name", field(1));
    scope.text("version", field(2));
    let dropped = protobuf::last(message, 4, Field::uint32).unwrap_or_default();
    attributes(&mut scope, KeyValues::new(message, 3, 1), dropped);
    scope.end();
    let spans = part.spans().map_while(Result::ok);
    object.list("spans", spans, write_span_bytes);
    object.text("schemaUrl", part.schema_url());
    object.end();
}

fn write_event(out: &mut Vec<u8>, event: EventView<'_>) {
    let mut object = Object::begin(out);
    quoted(object.member("timeUnixNano"), event.time_unix_nano());
    string(object.member("name"), event.name());
    attributes(&mut object, event.attributes(), event.dropped_attributes_count());
    object.end();
}

fn write_link(out: &mut Vec<u8>, link: LinkView<'_>) {
    let mut object = Object::begin(out);
    id(object.member("traceId"), link.trace_id_bytes());
    id(object.member("spanId"), link.span_id_bytes());
    object.text("traceState", link.trace_state());
    attributes(&mut object, link.attributes(), link.dropped_attributes_count());
    object.number("flags", link.flags());
    object.end();
}

fn attributes(object: &mut Object<'_>, attributes: KeyValues<'_>, dropped: u32) {
    object.list("attributes", attributes, write_key_value);
    object.number("droppedAttributesCount", dropped);
}

fn write_key_value(out: &mut Vec<u8>, (key, value): (&str, AnyValueView<'_>)) {
    out.extend_from_slice(b"{\"key\":");
    string(out, key);
    out.extend_from_slice(b",\"value\":");
    write_value(out, value);
    out.push(b'}');
}

/// Recursive, as deep as [`any_value::MAX_DEPTH`](crate::any_value::MAX_DEPTH) lets values be.
fn write_value(out: &mut Vec<u8>, value: AnyValueView<'_>) {
    // The usual ones come so often that each is written whole.
    match value {
        AnyValueView::Empty => out.extend_from_slice(b"{}"),
        AnyValueView::Str(text) => {
            out.extend_from_slice(b"{\"stringValue\":");
            string(out, text);
            out.push(b'}');
        }
        AnyValueView::Bool(true) => out.extend_from_slice(b"{\"boolValue\":true}"),
        AnyValueView::Bool(false) => out.extend_from_slice(b"{\"boolValue\":false}"),
        AnyValueView::I64(value) => {
            out.extend_from_slice(b"{\"intValue\":");
            quoted_signed(out, value);
            out.push(b'}');
        }
        AnyValueView::F64(value) => {
            out.extend_from_slice(b"{\"doubleValue\":");
            double(out, value);
            out.push(b'}');
        }
        AnyValueView::Bytes(bytes) => {
            let mut object = Object::begin(out);
            base64(object.member("bytesValue"), bytes);
            object.end();
        }
        AnyValueView::Array(array) => {
            let mut object = Object::begin(out);
            let mut values = Object::begin(object.member("arrayValue"));
            list(values.member("values"), array.iter(), write_value);
            values.end();
            object.end();
        }
        AnyValueView::Map(entries) => {
            let mut object = Object::begin(out);
            let mut values = Object::begin(object.member("kvlistValue"));
            list(values.member("values"), entries, write_key_value);
            values.end();
            object.end();
        }
    }
}

/// An id in quotes, whatever length it has.
fn id(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    hex::push_bytes(out, bytes);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::SpanFields;

    #[test]
    fn attributes_are_written_however_many_there_are() {
        for count in [0, 1, SpanFields::ATTRIBUTES, SpanFields::ATTRIBUTES + 1, 100] {
            // An attribute with the key `k` and the value 7.
            let span = b"\x4a\x07\x0a\x01k\x12\x02\x18\x07".repeat(count);
            let mut text = String::new();
            write_span(&mut text, &SpanView::new(&span));
            let written = text.matches(r#"{"key":"k","value":{"intValue":"7"}}"#).count();
            assert_eq!((written, text.contains("attributes")), (count, count > 0));
        }
    }
}
