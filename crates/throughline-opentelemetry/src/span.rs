//! Spans of the API.

use std::borrow::Cow;
use std::mem;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{self, SpanContext, Status, TraceContextExt};

use crate::context::to_throughline;
use crate::value::{with_attributes, with_value};

/// A span of Throughline behind the API's trait; made by a [`Tracer`](crate::Tracer). It ends when it is dropped, or by
/// [`end`](trace::Span::end); then what is set on it is lost.
///
/// It is not current by existing: the API makes it so in a context.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    span: throughline::Span,
}

impl Span {
    pub(crate) fn new(context: SpanContext, span: throughline::Span) -> Self {
        Self { context, span }
    }

    fn take(&mut self) -> throughline::Span {
        mem::replace(&mut self.span, throughline::Span::none())
    }
}

impl trace::Span for Span {
    fn add_event<T>(&mut self, name: T, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        // By the clock that the span itself is measured with.
        with_attributes(&attributes, |attributes| self.span.event(&name.into(), attributes));
    }

    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        with_attributes(&attributes, |attributes| {
            self.span.event_at(&name.into(), timestamp, attributes);
        });
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.span.is_recording()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        with_value(&attribute.value, |value| self.span.set(attribute.key.as_str(), value));
    }

    fn set_status(&mut self, status: Status) {
        match status {
            Status::Unset => {}
            Status::Ok => self.span.status_ok(),
            Status::Error { description } => self.span.status_error(&description),
        }
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.span.rename(&new_name.into());
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        let to = linked(&span_context);
        with_attributes(&attributes, |attributes| self.span.link(&to, attributes));
    }

    fn end(&mut self) {
        drop(self.take());
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.take().end_at(timestamp);
    }
}

/// What a link leads to.
pub(crate) fn linked(span_context: &SpanContext) -> throughline::Context {
    to_throughline(&opentelemetry::Context::new().with_remote_span_context(span_context.clone()))
}
