//! Spans of several sources, put together as an OTLP `TracesData`.

use std::sync::Arc;

use throughline_spool::Source;
use throughline_wire::{request, varint};

/// A `TracesData` under construction: each resource and each scope once, in the order in which they came.
#[derive(Debug, Default)]
pub struct TracesData {
    /// Encoded spans, each as a field of its scope's message.
    sources: Vec<(Arc<Source>, Vec<u8>)>,
    spans: usize,
}

impl TracesData {
    /// Adds an encoded `Span`.
    pub fn add(&mut self, source: &Arc<Source>, span: &[u8]) {
        let is_same = |(known, _): &(Arc<Source>, Vec<u8>)| Arc::ptr_eq(known, source) || known == source;
        let at = self.sources.iter().rposition(is_same).unwrap_or_else(|| {
            self.sources.push((source.clone(), Vec::new()));
            self.sources.len() - 1
        });
        let spans = &mut self.sources[at].1;
        spans.push(request::SPAN_TAG);
        varint::push(spans, span.len() as u64);
        spans.extend_from_slice(span);
        self.spans += 1;
    }

    /// How many spans were added.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Appends the message, and begins another.
    pub fn take_into(&mut self, out: &mut Vec<u8>) {
        self.spans = 0;
        let mut sources = std::mem::take(&mut self.sources);
        while !sources.is_empty() {
            let first = sources[0].0.clone();
            let is_same = |(source, _): &(Arc<Source>, Vec<u8>)| {
                (&source.resource, &source.schema_url) == (&first.resource, &first.schema_url)
            };
            let (same, others): (Vec<_>, Vec<_>) = sources.into_iter().partition(is_same);
            let pieces: Vec<_> = same.iter().map(|(_, spans)| [spans.as_slice()]).collect();
            let scopes = same
                .iter()
                .zip(&pieces)
                .map(|((source, _), spans)| request::ScopeSpans {
                    scope: &source.scope,
                    schema_url: &source.scope_schema_url,
                    spans,
                });
            let scopes: Vec<_> = scopes.collect();
            request::append_resource_spans(out, &first.resource, &first.schema_url, &scopes);
            sources = others;
        }
    }
}

#[cfg(test)]
mod tests {
    use throughline_wire::{Value, encode_resource, encode_scope};

    use super::*;

    #[test]
    fn each_resource_and_scope_comes_once_in_order() {
        let source = |service: &str, scope: &str| {
            Arc::new(Source {
                resource: encode_resource(&[("service.name", Value::from(service))]).into(),
                scope: encode_scope(scope, "", &[] as &[(&str, Value<'_>)]).into(),
                ..Source::default()
            })
        };
        let mut data = TracesData::default();
        for (service, scope) in [("b", "x"), ("a", "x"), ("b", "y"), ("b", "x")] {
            data.add(&source(service, scope), b"\x2a\x01n");
        }
        assert_eq!(data.spans(), 4);
        let mut out = Vec::new();
        data.take_into(&mut out);
        let counts: Vec<Vec<usize>> = request::resource_spans(&out)
            .map(|part| {
                part.unwrap()
                    .scope_spans()
                    .map(|scope| scope.unwrap().spans().count())
                    .collect()
            })
            .collect();
        assert_eq!(counts, [vec![2, 1], vec![1]]);
        out.clear();
        data.take_into(&mut out);
        assert!(out.is_empty() && data.spans() == 0);
    }
}
