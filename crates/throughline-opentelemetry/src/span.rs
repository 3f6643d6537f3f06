//! Spans of the API.

use std::borrow::Cow;
use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{self, SpanContext, Status, TraceContextExt};
use throughline::seam;

use crate::context::to_throughline;
use crate::reachable::{self, Kept};
use crate::value::{with_attributes, with_value};

/// A span of Throughline behind the API's trait; made by a [`Tracer`](crate::Tracer). It ends when it is dropped, or by
/// [`end`](trace::Span::end); then what is set on it is lost.
///
/// It is not current by existing: the API makes it so in a context. There `throughline::current` and `event!` reach it too.
#[derive(Debug)]
pub struct Span {
    context: SpanContext,
    /// Locked for as long as it takes to share it; never by those who have `&mut self`.
    place: Mutex<Place>,
}

/// Where the span is.
#[derive(Debug)]
enum Place {
    /// Here alone.
    Own(throughline::Span),
    /// Also where native code looks for the current one.
    Shared(Kept),
}

impl Span {
    pub(crate) fn new(context: SpanContext, span: throughline::Span) -> Self {
        Self {
            context,
            place: Mutex::new(Place::Own(span)),
        }
    }

    /// No code of the user's runs in `f`.
    fn with(&mut self, f: impl FnOnce(&mut throughline::Span)) {
        match self.place.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Place::Own(span) => f(span),
            Place::Shared(kept) => {
                kept.with(f);
            }
        }
    }

    /// Lets native code reach the span, if there is a place for that.
    fn share(&self) {
        let Some(mut place) = seam::lock(&self.place) else {
            return;
        };
        let Place::Own(span) = &mut *place else { return };
        if !span.is_recording() {
            return;
        }
        if let Some(kept) = reachable::keep(self.context.span_id(), span) {
            *place = Place::Shared(kept);
        }
    }

    fn take(&mut self) -> throughline::Span {
        let place = self.place.get_mut().unwrap_or_else(PoisonError::into_inner);
        match mem::replace(place, Place::Own(throughline::Span::none())) {
            Place::Own(span) => span,
            Place::Shared(kept) => kept.take().unwrap_or_else(throughline::Span::none),
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        // It ends when nothing is locked: processors are called.
        drop(self.take());
    }
}

impl trace::Span for Span {
    fn add_event<T>(&mut self, name: T, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        let name = name.into();
        // By the clock that the span itself is measured with.
        with_attributes(&attributes, |attributes| {
            self.with(|span| span.event(&name, attributes));
        });
    }

    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        let name = name.into();
        with_attributes(&attributes, |attributes| {
            self.with(|span| span.event_at(&name, timestamp, attributes));
        });
    }

    /// Who makes a span current asks for this first, and nothing else tells of it: so from here on native code reaches the span.
    fn span_context(&self) -> &SpanContext {
        self.share();
        &self.context
    }

    fn is_recording(&self) -> bool {
        match seam::lock(&self.place).as_deref() {
            Some(Place::Own(span)) => span.is_recording(),
            Some(Place::Shared(kept)) => kept.with(|span| span.is_recording()).unwrap_or(false),
            None => false,
        }
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        with_value(&attribute.value, |value| {
            self.with(|span| span.set(attribute.key.as_str(), value));
        });
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
        let new_name = new_name.into();
        self.with(|span| span.rename(&new_name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        let to = linked(&span_context);
        with_attributes(&attributes, |attributes| {
            self.with(|span| span.link(&to, attributes));
        });
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
