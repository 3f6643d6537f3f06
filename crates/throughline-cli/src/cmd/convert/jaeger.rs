//! The JSON that Jaeger's user interface uploads, and its query API answers: traces with their spans and processes.
//!
//! Kind, status and scope become the tags that Jaeger itself makes of them (OpenTelemetry, "OpenTelemetry to Jaeger
//! Transformation").

use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::view::EventView;
use throughline_wire::{AnyValueView, SpanFields, SpanId, SpanKind, SpanView, StatusCode};

use super::Converter;
use super::held::{Held, HeldSpan};
use crate::input::Visitor;
use crate::origin::Origin;
use crate::plain_json::{self, hex, list, number, string};

pub struct Jaeger<'a> {
    out: &'a mut dyn Write,
    held: Held,
}

impl<'a> Jaeger<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        let held = Held::default();
        Self { out, held }
    }
}

impl Visitor for Jaeger<'_> {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        self.held.add(origin, span);
        Ok(())
    }
}

impl Converter for Jaeger<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.held.spans.sort_by_key(|span| (span.trace, span.start));
        let held = &self.held;
        let scopes: Vec<_> = held.origins.iter().map(|origin| origin.scope()).collect();
        let scopes: Vec<_> = scopes
            .iter()
            .map(|scope| (scope.scope_name(), scope.scope_version()))
            .collect();
        self.out.write_all(b"{\"data\":[")?;
        let mut text = Vec::new();
        for (at, spans) in held.spans.chunk_by(|a, b| a.trace == b.trace).enumerate() {
            text.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
            text.extend_from_slice(b"{\"traceID\":");
            hex(&mut text, &spans[0].trace);
            text.extend_from_slice(b",\"spans\":[");
            for (at, span) in spans.iter().enumerate() {
                if at > 0 {
                    text.extend_from_slice(b",\n");
                }
                write_span(&mut text, span, &held.fields(span), scopes[span.origin]);
                // A trace may be long.
                self.out.write_all(&text)?;
                text.clear();
            }
            text.push(b']');
            write_processes(&mut text, held, spans);
            text.extend_from_slice(b",\"warnings\":null}");
        }
        text.extend_from_slice(b"\n],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}\n");
        self.out.write_all(&text)
    }
}

/// The processes of the spans of a trace.
fn write_processes(out: &mut Vec<u8>, held: &Held, spans: &[HeldSpan]) {
    let mut origins: Vec<_> = spans.iter().map(|span| span.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    out.extend_from_slice(b",\"processes\":");
    list(out, b"{}", origins.into_iter(), |out, number| {
        let origin = &held.origins[number];
        process_id(out, number);
        out.extend_from_slice(b":{\"serviceName\":");
        string(out, &origin.service);
        let mut tags = Tags::begin(out, b",\"tags\":[");
        for (key, value) in origin.resource_attributes().filter(|(key, _)| *key != "service.name") {
            tags.add(key, &value);
        }
        tags.end();
        out.push(b'}');
    });
}

fn write_span(out: &mut Vec<u8>, held: &HeldSpan, span: &SpanFields<'_>, scope: (&str, &str)) {
    out.extend_from_slice(b"{\"traceID\":");
    hex(out, &held.trace);
    out.extend_from_slice(b",\"spanID\":");
    let id = span.span_id().map(SpanId::to_bytes);
    hex(out, id.as_ref().map_or(&[], |id| id));
    out.extend_from_slice(b",\"flags\":");
    number(out, u64::from(span.flags() & 0xff));
    out.extend_from_slice(b",\"operationName\":");
    string(out, span.name());
    let parent = span.parent_span_id();
    let parent = parent.map(|parent| (&b"CHILD_OF"[..], held.trace, parent));
    let links = span.links();
    let links = links.filter_map(|link| Some((&b"FOLLOWS_FROM"[..], link.trace_id()?.to_bytes(), link.span_id()?)));
    out.extend_from_slice(b",\"references\":");
    list(
        out,
        b"[]",
        parent.into_iter().chain(links),
        |out, (kind, trace, span)| {
            out.extend_from_slice(b"{\"refType\":\"");
            out.extend_from_slice(kind);
            out.extend_from_slice(b"\",\"traceID\":");
            hex(out, &trace);
            out.extend_from_slice(b",\"spanID\":");
            hex(out, &span.to_bytes());
            out.push(b'}');
        },
    );
    out.extend_from_slice(b",\"startTime\":");
    number(out, held.start / 1000);
    out.extend_from_slice(b",\"duration\":");
    number(out, (held.end - held.start) / 1000);
    let mut tags = Tags::begin(out, b",\"tags\":[");
    add_made(&mut tags, span, scope);
    for (key, value) in span.attributes() {
        tags.add(key, &value);
    }
    tags.end();
    out.extend_from_slice(b",\"logs\":");
    list(out, b"[]", span.events(), write_log);
    out.extend_from_slice(b",\"processID\":");
    process_id(out, held.origin);
    out.extend_from_slice(b",\"warnings\":null}");
}

/// Adds the tags that are made of something else than an attribute.
fn add_made(tags: &mut Tags<'_>, span: &SpanFields<'_>, (scope_name, scope_version): (&str, &str)) {
    let kind = match span.kind() {
        SpanKind::Client => "client",
        SpanKind::Consumer => "consumer",
        SpanKind::Producer => "producer",
        SpanKind::Server => "server",
        _ => "internal",
    };
    let (code, message) = span.status();
    let code_name = match code {
        StatusCode::Error => "ERROR",
        StatusCode::Ok => "OK",
        _ => "",
    };
    for (key, text) in [
        ("span.kind", kind),
        ("otel.scope.name", scope_name),
        ("otel.scope.version", scope_version),
        ("otel.status_code", code_name),
        ("otel.status_description", message),
        ("w3c.tracestate", span.trace_state()),
    ] {
        if !text.is_empty() {
            tags.add(key, &AnyValueView::Str(text));
        }
    }
    if code == StatusCode::Error {
        tags.add("error", &AnyValueView::Bool(true));
    }
}

fn write_log(out: &mut Vec<u8>, event: EventView<'_>) {
    out.extend_from_slice(b"{\"timestamp\":");
    number(out, event.time_unix_nano() / 1000);
    let mut tags = Tags::begin(out, b",\"fields\":[");
    tags.add("event", &AnyValueView::Str(event.name()));
    for (key, value) in event.attributes() {
        tags.add(key, &value);
    }
    tags.end();
    out.push(b'}');
}

/// A list of tags that is being written.
struct Tags<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Tags<'a> {
    fn begin(out: &'a mut Vec<u8>, head: &[u8]) -> Self {
        out.extend_from_slice(head);
        Self { out, is_empty: true }
    }

    fn add(&mut self, key: &str, value: &AnyValueView<'_>) {
        let kind: &[u8] = match value {
            AnyValueView::Bool(_) => b",\"type\":\"bool\",\"value\":",
            AnyValueView::I64(_) => b",\"type\":\"int64\",\"value\":",
            AnyValueView::F64(_) => b",\"type\":\"float64\",\"value\":",
            _ => b",\"type\":\"string\",\"value\":",
        };
        self.out
            .extend_from_slice(if self.is_empty { b"{\"key\":" } else { b",{\"key\":" });
        self.is_empty = false;
        string(self.out, key);
        self.out.extend_from_slice(kind);
        match value {
            AnyValueView::Empty => string(self.out, ""),
            // There are no tags with structure: they are texts that hold JSON.
            AnyValueView::Array(_) | AnyValueView::Map(_) => {
                let mut json = Vec::new();
                plain_json::value(&mut json, value);
                string(self.out, &String::from_utf8_lossy(&json));
            }
            _ => plain_json::value(self.out, value),
        }
        self.out.push(b'}');
    }

    fn end(self) {
        self.out.push(b']');
    }
}

fn process_id(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(b"\"p");
    plain_json::number(out, number as u64 + 1);
    out.push(b'"');
}
