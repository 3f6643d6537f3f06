//! A native span as the API sees it while it is current.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{self, SpanContext, Status};

use crate::value::{with_attributes, with_value};

/// Stands for a native span in the context that is current: what is set on it goes to the native span, as long as that is the current
/// one of the thread. Ending it is the business of whoever started it.
#[derive(Debug)]
pub(crate) struct NativeSpan {
    context: SpanContext,
}

impl NativeSpan {
    pub(crate) fn new(context: SpanContext) -> Self {
        Self { context }
    }

    fn with<R>(&self, f: impl FnOnce(&mut throughline::Current) -> R) -> Option<R> {
        throughline::current(|span| {
            let span_id = span.context().span_id();
            let is_it = span_id.is_some_and(|id| id.to_bytes() == self.context.span_id().to_bytes());
            is_it.then(|| f(span))
        })
        .flatten()
    }
}

impl trace::Span for NativeSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.with(|span| {
            with_attributes(&attributes, |attributes| {
                span.event_at(&name.into(), timestamp, attributes);
            });
        });
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.with(|span| span.is_recording()).unwrap_or(false)
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.with(|span| with_value(&attribute.value, |value| span.set(attribute.key.as_str(), value)));
    }

    fn set_status(&mut self, status: Status) {
        self.with(|span| match status {
            Status::Unset => {}
            Status::Ok => span.status_ok(),
            Status::Error { description } => span.status_error(&description),
        });
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.with(|span| span.rename(&new_name.into()));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        let to = crate::span::linked(&span_context);
        self.with(|span| with_attributes(&attributes, |attributes| span.link(&to, attributes)));
    }

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
