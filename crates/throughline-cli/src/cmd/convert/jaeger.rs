//! The JSON that Jaeger's user interface uploads, and its query API answers: traces with their spans and processes.
//!
//! Kind, status and scope become the tags that Jaeger itself makes of them (OpenTelemetry, "OpenTelemetry to Jaeger
//! Transformation").

use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::view::EventView;
use throughline_wire::{AnyValueView, SpanKind, SpanView, StatusCode};

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
        self.out.write_all(b"{\"data\":[")?;
        let mut text = Vec::new();
        for (at, spans) in self.held.spans.chunk_by(|a, b| a.trace == b.trace).enumerate() {
            text.clear();
            text.extend_from_slice(if at > 0 { b",\n" } else { b"\n" });
            trace(&mut text, &self.held, spans);
            self.out.write_all(&text)?;
        }
        self.out
            .write_all(b"\n],\"total\":0,\"limit\":0,\"offset\":0,\"errors\":null}\n")
    }
}

fn trace(out: &mut Vec<u8>, held: &Held, spans: &[HeldSpan]) {
    let id = hex(&spans[0].trace);
    member(out, b"{\"traceID\":", |out| string(out, &id));
    member(out, b",\"spans\":", |out| {
        list(out, b"[]", spans.iter(), |out, span| {
            write_span(out, &id, span, &held.view(span), &held.origins[span.origin]);
        });
    });
    let mut origins: Vec<_> = spans.iter().map(|span| span.origin).collect();
    origins.sort_unstable();
    origins.dedup();
    member(out, b",\"processes\":", |out| {
        list(out, b"{}", origins.into_iter(), |out, number| {
            let origin = &held.origins[number];
            process_id(out, number);
            member(out, b":{\"serviceName\":", |out| string(out, &origin.service));
            let attributes = origin.resource_attributes().filter(|(key, _)| *key != "service.name");
            member(out, b",\"tags\":", |out| tags(out, attributes, &[]));
            out.push(b'}');
        });
    });
    out.extend_from_slice(b",\"warnings\":null}");
}

/// A tag that is made of something else than an attribute.
type Made<'a> = (&'static str, AnyValueView<'a>);

fn write_span(out: &mut Vec<u8>, trace: &str, held: &HeldSpan, span: &SpanView<'_>, origin: &Origin) {
    member(out, b"{\"traceID\":", |out| string(out, trace));
    let id = span.span_id().map_or_else(String::new, |id| id.to_string());
    member(out, b",\"spanID\":", |out| string(out, &id));
    member(out, b",\"flags\":", |out| number(out, span.flags() & 0xff));
    member(out, b",\"operationName\":", |out| string(out, span.name()));
    let parent = span.parent_span_id();
    let parent = parent.map(|parent| ("CHILD_OF", trace.to_owned(), parent.to_string()));
    let links = span.links().filter_map(|link| {
        Some((
            "FOLLOWS_FROM",
            link.trace_id()?.to_string(),
            link.span_id()?.to_string(),
        ))
    });
    member(out, b",\"references\":", |out| {
        list(
            out,
            b"[]",
            parent.into_iter().chain(links),
            |out, (kind, trace, span)| {
                member(out, b"{\"refType\":", |out| string(out, kind));
                member(out, b",\"traceID\":", |out| string(out, &trace));
                member(out, b",\"spanID\":", |out| string(out, &span));
                out.push(b'}');
            },
        );
    });
    member(out, b",\"startTime\":", |out| number(out, held.start / 1000));
    member(out, b",\"duration\":", |out| {
        number(out, (held.end - held.start) / 1000);
    });
    member(out, b",\"tags\":", |out| {
        tags(out, span.attributes(), &made(span, origin));
    });
    member(out, b",\"logs\":", |out| list(out, b"[]", span.events(), log));
    member(out, b",\"processID\":", |out| process_id(out, held.origin));
    out.extend_from_slice(b",\"warnings\":null}");
}

fn made<'a>(span: &SpanView<'a>, origin: &'a Origin) -> Vec<Made<'a>> {
    let kind = match span.kind() {
        SpanKind::Client => "client",
        SpanKind::Consumer => "consumer",
        SpanKind::Producer => "producer",
        SpanKind::Server => "server",
        _ => "internal",
    };
    let mut made = vec![("span.kind", AnyValueView::Str(kind))];
    let scope = origin.scope();
    let (code, message) = span.status();
    let code_name = match code {
        StatusCode::Error => "ERROR",
        StatusCode::Ok => "OK",
        _ => "",
    };
    for (key, text) in [
        ("otel.scope.name", scope.scope_name()),
        ("otel.scope.version", scope.scope_version()),
        ("otel.status_code", code_name),
        ("otel.status_description", message),
        ("w3c.tracestate", span.trace_state()),
    ] {
        if !text.is_empty() {
            made.push((key, AnyValueView::Str(text)));
        }
    }
    if code == StatusCode::Error {
        made.push(("error", AnyValueView::Bool(true)));
    }
    made
}

fn log(out: &mut Vec<u8>, event: EventView<'_>) {
    member(out, b"{\"timestamp\":", |out| {
        number(out, event.time_unix_nano() / 1000);
    });
    let name = [("event", AnyValueView::Str(event.name()))];
    member(out, b",\"fields\":", |out| tags(out, event.attributes(), &name));
    out.push(b'}');
}

fn tags<'a>(out: &mut Vec<u8>, attributes: impl Iterator<Item = (&'a str, AnyValueView<'a>)>, made: &[Made<'_>]) {
    out.push(b'[');
    let mut is_first = true;
    let mut one = |key: &str, value: &AnyValueView<'_>| {
        if !std::mem::take(&mut is_first) {
            out.push(b',');
        }
        tag(out, key, value);
    };
    made.iter().for_each(|(key, value)| one(key, value));
    attributes.for_each(|(key, value)| one(key, &value));
    out.push(b']');
}

fn tag(out: &mut Vec<u8>, key: &str, value: &AnyValueView<'_>) {
    let kind = match value {
        AnyValueView::Bool(_) => "bool",
        AnyValueView::I64(_) => "int64",
        AnyValueView::F64(_) => "float64",
        _ => "string",
    };
    member(out, b"{\"key\":", |out| string(out, key));
    member(out, b",\"type\":", |out| string(out, kind));
    member(out, b",\"value\":", |out| match value {
        AnyValueView::Empty => string(out, ""),
        // There are no tags with structure: they are texts that hold JSON.
        AnyValueView::Array(_) | AnyValueView::Map(_) => {
            let mut json = Vec::new();
            plain_json::value(&mut json, value);
            string(out, &String::from_utf8_lossy(&json));
        }
        _ => plain_json::value(out, value),
    });
    out.push(b'}');
}

fn process_id(out: &mut Vec<u8>, number: usize) {
    string(out, &format!("p{}", number + 1));
}

/// A member's name with what stands around it, and its value.
fn member(out: &mut Vec<u8>, name: &[u8], value: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(name);
    value(out);
}
