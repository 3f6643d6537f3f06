//! Spans as `opentelemetry_sdk` has them.

use std::fmt::Write;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{Array, InstrumentationScope, KeyValue, StringValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use throughline::export::{AnyValueView, ExportedSpan, KeyValues, LinkView, ResourceSpansView, StatusCode};

/// `Span.flags` of OTLP: the parent is remote.
const PARENT_IS_REMOTE: u32 = 0x200;

pub(super) fn resource(of: ResourceSpansView<'_>) -> Resource {
    let builder = Resource::builder_empty();
    match of.schema_url() {
        "" => builder.with_attributes(attributes(of.resource_attributes())).build(),
        url => builder
            .with_schema_url(attributes(of.resource_attributes()), url.to_owned())
            .build(),
    }
}

pub(super) fn span_data(exported: &ExportedSpan<'_>) -> SpanData {
    let span = exported.span.fields();
    let view = exported.span;
    let mut events = SpanEvents::default();
    events.dropped_count = view.dropped_events_count();
    events.events = view
        .events()
        .map(|event| {
            Event::new(
                event.name().to_owned(),
                time(event.time_unix_nano()),
                attributes(event.attributes()),
                event.dropped_attributes_count(),
            )
        })
        .collect();
    let mut links = SpanLinks::default();
    links.dropped_count = view.dropped_links_count();
    links.links = view.links().map(|link| self::link(&link)).collect();
    SpanData {
        span_context: SpanContext::new(
            trace_id(span.trace_id()),
            span_id(span.span_id()),
            // The W3C flags are the lowest byte.
            TraceFlags::new(view.flags() as u8),
            false,
            trace_state(view.trace_state()),
        ),
        parent_span_id: span_id(span.parent_span_id()),
        parent_span_is_remote: view.flags() & PARENT_IS_REMOTE != 0,
        span_kind: kind(view.kind()),
        name: view.name().to_owned().into(),
        start_time: time(view.start_time_unix_nano()),
        end_time: time(view.end_time_unix_nano()),
        attributes: attributes(view.attributes()),
        dropped_attributes_count: view.dropped_attributes_count(),
        events,
        links,
        status: status(view.status()),
        instrumentation_scope: scope(exported),
    }
}

fn link(link: &LinkView<'_>) -> Link {
    let flags = link.flags();
    let context = SpanContext::new(
        trace_id(link.trace_id()),
        span_id(link.span_id()),
        TraceFlags::new(flags as u8),
        flags & PARENT_IS_REMOTE != 0,
        trace_state(link.trace_state()),
    );
    Link::new(context, attributes(link.attributes()), link.dropped_attributes_count())
}

fn scope(exported: &ExportedSpan<'_>) -> InstrumentationScope {
    let view = exported.scope;
    let mut scope = InstrumentationScope::builder(view.scope_name().to_owned())
        .with_attributes(attributes(view.scope_attributes()));
    if !view.scope_version().is_empty() {
        scope = scope.with_version(view.scope_version().to_owned());
    }
    if !view.schema_url().is_empty() {
        scope = scope.with_schema_url(view.schema_url().to_owned());
    }
    scope.build()
}

fn trace_id(id: Option<throughline::TraceId>) -> TraceId {
    id.map_or(TraceId::INVALID, |id| TraceId::from_bytes(id.to_bytes()))
}

fn span_id(id: Option<throughline::SpanId>) -> SpanId {
    id.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_bytes()))
}

fn trace_state(header: &str) -> TraceState {
    match header {
        "" => TraceState::NONE,
        header => header.parse().unwrap_or_default(),
    }
}

fn time(unix_nano: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_nanos(unix_nano)
}

fn kind(kind: throughline::SpanKind) -> SpanKind {
    match kind {
        throughline::SpanKind::Client => SpanKind::Client,
        throughline::SpanKind::Server => SpanKind::Server,
        throughline::SpanKind::Producer => SpanKind::Producer,
        throughline::SpanKind::Consumer => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn status((code, message): (StatusCode, &str)) -> Status {
    match code {
        StatusCode::Ok => Status::Ok,
        StatusCode::Error => Status::error(message.to_owned()),
        _ => Status::Unset,
    }
}

fn attributes(all: KeyValues<'_>) -> Vec<KeyValue> {
    all.map(|(key, value)| KeyValue::new(key.to_owned(), self::value(&value)))
        .collect()
}

fn value(view: &AnyValueView<'_>) -> Value {
    match view {
        AnyValueView::Str(text) => Value::String((*text).to_owned().into()),
        AnyValueView::Bool(value) => Value::Bool(*value),
        AnyValueView::I64(value) => Value::I64(*value),
        AnyValueView::F64(value) => Value::F64(*value),
        AnyValueView::Array(items) => array(&items.iter().collect::<Vec<_>>()).unwrap_or_else(|| as_text(view)),
        AnyValueView::Empty | AnyValueView::Map(_) | AnyValueView::Bytes(_) => as_text(view),
    }
}

/// `None` where the items are of several types, or of one that the SDK has no array for.
fn array(items: &[AnyValueView<'_>]) -> Option<Value> {
    let array = match items.first() {
        None => Array::String(Vec::new()),
        Some(AnyValueView::Str(_)) => {
            let texts = items
                .iter()
                .map(|item| item.as_str().map(|text| StringValue::from(text.to_owned())));
            Array::String(texts.collect::<Option<_>>()?)
        }
        Some(AnyValueView::Bool(_)) => Array::Bool(items.iter().map(AnyValueView::as_bool).collect::<Option<_>>()?),
        Some(AnyValueView::I64(_)) => Array::I64(items.iter().map(AnyValueView::as_i64).collect::<Option<_>>()?),
        Some(AnyValueView::F64(_)) => Array::F64(items.iter().map(AnyValueView::as_f64).collect::<Option<_>>()?),
        Some(_) => return None,
    };
    Some(Value::Array(array))
}

fn as_text(view: &AnyValueView<'_>) -> Value {
    let mut text = String::new();
    match view {
        AnyValueView::Bytes(bytes) => push_hex(&mut text, bytes),
        view => push_json(&mut text, view),
    }
    Value::String(text.into())
}

fn push_json(out: &mut String, view: &AnyValueView<'_>) {
    // Writing to memory does not fail.
    let _ = match view {
        AnyValueView::Empty => write!(out, "null"),
        AnyValueView::Bool(value) => write!(out, "{value}"),
        AnyValueView::I64(value) => write!(out, "{value}"),
        AnyValueView::F64(value) if value.is_finite() => write!(out, "{value:?}"),
        AnyValueView::F64(value) => write!(out, "\"{value}\""),
        AnyValueView::Str(text) => {
            push_string(out, text);
            Ok(())
        }
        AnyValueView::Bytes(bytes) => {
            out.push('"');
            push_hex(out, bytes);
            write!(out, "\"")
        }
        AnyValueView::Array(items) => {
            push_list(out, ['[', ']'], items.iter(), |out, item| push_json(out, &item));
            Ok(())
        }
        AnyValueView::Map(members) => {
            push_list(out, ['{', '}'], members.clone(), |out, (key, value)| {
                push_string(out, key);
                out.push(':');
                push_json(out, &value);
            });
            Ok(())
        }
    };
}

fn push_list<T>(out: &mut String, ends: [char; 2], items: impl Iterator<Item = T>, push: impl Fn(&mut String, T)) {
    out.push(ends[0]);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.push(',');
        }
        push(out, item);
    }
    out.push(ends[1]);
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => out.extend(['\\', letter]),
            letter if letter.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(letter));
            }
            letter => out.push(letter),
        }
    }
    out.push('"');
}

fn push_hex(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
}
