//! Starting spans through the API.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{self, SpanBuilder};
use throughline::__private::{ParentRef, key_bit, wants_all};
use throughline::{Scope, SpanKind};

use crate::context::span_context;
use crate::current;
use crate::span::{Span, linked};
use crate::value::{with_attributes, with_value};

/// Starts spans for one library; made by a [`TracerProvider`](crate::TracerProvider).
///
/// Whether a span is recorded is decided by Throughline's sampler, once attributes and links that the builder has are known to it. Where
/// telemetry is suppressed, and where tracing is off, a span is not recorded and stands for its parent.
///
/// ```
/// use opentelemetry::KeyValue;
/// use opentelemetry::trace::{Span, SpanKind, Tracer, TracerProvider};
///
/// let capture = throughline::testing::capture();
/// let tracer = throughline_opentelemetry::TracerProvider::new().tracer("shop-client");
/// let mut span = tracer
///     .span_builder("charge")
///     .with_kind(SpanKind::Client)
///     .with_attributes([KeyValue::new("order.id", 7)])
///     .start(&tracer);
/// span.end();
/// capture.assert_tree("charge {order.id=7}");
/// ```
#[derive(Clone, Debug)]
pub struct Tracer {
    scope: Arc<Scope>,
}

impl Tracer {
    pub(crate) fn new(scope: Arc<Scope>) -> Self {
        Self { scope }
    }
}

impl trace::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> Span {
        // The API lends its current context for this call: samplers and processors may not attach another one meanwhile.
        let _lent = current::lent();
        let parent = current::newest(parent_cx);
        let mut span = match builder.links.is_none() && builder.start_time.is_none() && !wants_all() {
            true => self.start(&builder, &parent),
            false => self.start_in_full(&builder, &parent),
        };
        for event in builder.events.unwrap_or_default() {
            with_attributes(&event.attributes, |attributes| {
                span.event_at(&event.name, event.timestamp, attributes);
            });
        }
        let context = match span.context() {
            // It does nothing; what came in goes on.
            context if context.is_empty() => parent,
            context => context,
        };
        Span::new(span_context(&context.into()), span)
    }
}

impl Tracer {
    /// Ids decide whether the span is recorded: nothing is gathered before.
    fn start(&self, builder: &SpanBuilder, parent: &throughline::Context) -> throughline::Span {
        let parent = ParentRef::Of(parent);
        let mut span = throughline::Span::start(&builder.name, &self.scope, kind(builder), parent);
        let attributes = builder.attributes.iter().flatten();
        if let Some(mut batch) = span.batch() {
            for attribute in attributes {
                let key = attribute.key.as_str();
                with_value(&attribute.value, |value| batch.put_slowly(key, key_bit(key), &value));
            }
            batch.finish();
        }
        span
    }

    fn start_in_full(&self, builder: &SpanBuilder, parent: &throughline::Context) -> throughline::Span {
        let mut native = throughline::Span::builder(&builder.name)
            .kind(kind(builder))
            .scope(&self.scope)
            .parent(parent);
        for attribute in builder.attributes.iter().flatten() {
            native = with_value(&attribute.value, |value| native.set(attribute.key.as_str(), value));
        }
        for link in builder.links.iter().flatten() {
            native = native.link_with(&linked(&link.span_context), |attributes| {
                for attribute in &link.attributes {
                    with_value(&attribute.value, |value| {
                        attributes.set(attribute.key.as_str(), value);
                    });
                }
            });
        }
        if let Some(time) = builder.start_time {
            native = native.start_time(time);
        }
        native.start()
    }
}

fn kind(builder: &SpanBuilder) -> SpanKind {
    match builder.span_kind {
        Some(trace::SpanKind::Client) => SpanKind::Client,
        Some(trace::SpanKind::Server) => SpanKind::Server,
        Some(trace::SpanKind::Producer) => SpanKind::Producer,
        Some(trace::SpanKind::Consumer) => SpanKind::Consumer,
        Some(trace::SpanKind::Internal) | None => SpanKind::Internal,
    }
}
