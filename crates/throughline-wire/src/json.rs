//! OTLP/JSON: spans as text that backends and people can read, written and read.
//!
//! What is written: the proto3 JSON mapping with the deviations of OTLP: ids are lower-case hexadecimal, enums are
//! integers. 64-bit numbers are strings, NaN and the infinities too, bytes are base64. Fields with
//! their default value are left out, apart from ids, name, kind and times of a span, and from the
//! values of an empty array or map, without which some readers refuse it. What OTLP may
//! add to a message later, and `Resource.entity_refs`, are not written.
//!
//! Everything is on one line, so that a request is a line of a JSONL file.

mod fields;
mod parser;
mod read;
mod syntax;

pub use read::{InvalidJson, read_request, read_response, read_span, read_status};
use syntax::{Object, base64, double, list, push, quoted, string};

use crate::any_value::{AnyValueView, KeyValues};
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
    let parts: Vec<_> = request::resource_spans(request)
        .map(|part| {
            let part = part?;
            let scopes: Result<Vec<_>, _> = part.scope_spans().map(read_scope).collect();
            Ok((part, scopes?))
        })
        .collect::<Result<_, _>>()?;
    let mut object = Object::begin(out);
    list(
        object.member("resourceSpans"),
        parts.into_iter(),
        |out, (part, scopes)| write_resource_spans(out, &part, scopes),
    );
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
    let mut object = Object::begin(out);
    id(object.member("traceId"), span.trace_id_bytes());
    id(object.member("spanId"), span.span_id_bytes());
    object.text("traceState", span.trace_state());
    if !span.parent_span_id_bytes().is_empty() {
        id(object.member("parentSpanId"), span.parent_span_id_bytes());
    }
    object.number("flags", span.flags());
    string(object.member("name"), span.name());
    push(object.member("kind"), format_args!("{}", span.kind_number()));
    quoted(object.member("startTimeUnixNano"), span.start_time_unix_nano());
    quoted(object.member("endTimeUnixNano"), span.end_time_unix_nano());
    attributes(&mut object, span.attributes(), span.dropped_attributes_count());
    object.list("events", span.events(), write_event);
    object.number("droppedEventsCount", span.dropped_events_count());
    object.list("links", span.links(), write_link);
    object.number("droppedLinksCount", span.dropped_links_count());
    let (code, message) = span.status_number();
    if code != 0 || !message.is_empty() {
        let mut status = Object::begin(object.member("status"));
        status.text("message", message);
        status.number("code", code);
        status.end();
    }
    object.end();
}

type Scope<'a> = (ScopeSpansView<'a>, Vec<SpanView<'a>>);

fn read_scope(scope: Result<ScopeSpansView<'_>, Malformed>) -> Result<Scope<'_>, Malformed> {
    let scope = scope?;
    let spans: Result<_, _> = scope.spans().collect();
    Ok((scope, spans?))
}

fn write_resource_spans(out: &mut String, part: &ResourceSpansView<'_>, scopes: Vec<Scope<'_>>) {
    let mut object = Object::begin(out);
    let mut resource = Object::begin(object.member("resource"));
    let dropped = part.resource_dropped_attributes_count();
    attributes(&mut resource, part.resource_attributes(), dropped);
    resource.end();
    object.list("scopeSpans", scopes.into_iter(), |out, (scope, spans)| {
        write_scope_spans(out, &scope, &spans);
    });
    object.text("schemaUrl", part.schema_url());
    object.end();
}

fn write_scope_spans(out: &mut String, part: &ScopeSpansView<'_>, spans: &[SpanView<'_>]) {
    let mut object = Object::begin(out);
    let mut scope = Object::begin(object.member("scope"));
    scope.text("name", part.scope_name());
    scope.text("version", part.scope_version());
    let dropped = part.scope_dropped_attributes_count();
    attributes(&mut scope, part.scope_attributes(), dropped);
    scope.end();
    object.list("spans", spans.iter(), write_span);
    object.text("schemaUrl", part.schema_url());
    object.end();
}

fn write_event(out: &mut String, event: EventView<'_>) {
    let mut object = Object::begin(out);
    quoted(object.member("timeUnixNano"), event.time_unix_nano());
    string(object.member("name"), event.name());
    attributes(&mut object, event.attributes(), event.dropped_attributes_count());
    object.end();
}

fn write_link(out: &mut String, link: LinkView<'_>) {
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

fn write_key_value(out: &mut String, (key, value): (&str, AnyValueView<'_>)) {
    let mut object = Object::begin(out);
    string(object.member("key"), key);
    write_value(object.member("value"), value);
    object.end();
}

/// Recursive, as deep as [`any_value::MAX_DEPTH`](crate::any_value::MAX_DEPTH) lets values be.
fn write_value(out: &mut String, value: AnyValueView<'_>) {
    let mut object = Object::begin(out);
    match value {
        AnyValueView::Empty => {}
        AnyValueView::Str(text) => string(object.member("stringValue"), text),
        AnyValueView::Bool(value) => push(object.member("boolValue"), format_args!("{value}")),
        AnyValueView::I64(value) => quoted(object.member("intValue"), value),
        AnyValueView::F64(value) => double(object.member("doubleValue"), value),
        AnyValueView::Bytes(bytes) => base64(object.member("bytesValue"), bytes),
        AnyValueView::Array(array) => {
            let mut values = Object::begin(object.member("arrayValue"));
            list(values.member("values"), array.iter(), write_value);
            values.end();
        }
        AnyValueView::Map(entries) => {
            let mut values = Object::begin(object.member("kvlistValue"));
            list(values.member("values"), entries, write_key_value);
            values.end();
        }
    }
    object.end();
}

/// An id in quotes, whatever length it has.
fn id(out: &mut String, bytes: &[u8]) {
    out.push('"');
    hex::push(out, bytes);
    out.push('"');
}
