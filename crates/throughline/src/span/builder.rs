//! Starting a span with all choices.

use std::time::SystemTime;

use throughline_wire::SpanKind;

use super::request::Request;
use super::{Parent, Span, tracer};
use crate::attributes::{Encoded, Of};
use crate::context::Context;
use crate::recording::{Batch, key_bit};
use crate::scope::Scope;
use crate::value::ToValue;

static NO_SCOPE: Scope = Scope::new("", "");

/// A span that is about to start; made by [`Span::builder`].
///
/// ```
/// use throughline::{Context, SpanKind, Span};
///
/// let cause = Context::current();
/// let span = Span::builder("send")
///     .kind(SpanKind::Producer)
///     .parent(&Context::root())
///     .link(&cause)
///     .set("messaging.system", "kafka")
///     .start();
/// ```
#[derive(Debug)]
#[must_use = "the span starts with `start`"]
pub struct SpanBuilder<'a> {
    request: Request<'a>,
    parent: Parent<'a>,
    /// Nothing is formatted, copied or allocated for a span that cannot be recorded.
    is_on: bool,
}

impl<'a> SpanBuilder<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        Self {
            request: Request::new(name, &NO_SCOPE, SpanKind::Internal),
            parent: Parent::Current,
            is_on: throughline_spool::is_on(),
        }
    }

    /// What part the span plays between processes. Default [`SpanKind::Internal`](crate::SpanKind::Internal).
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.request.kind = kind;
        self
    }

    /// Whose child the span is. Default: of the current span. An empty context, or `None`, makes a root.
    pub fn parent(mut self, parent: impl Into<Parent<'a>>) -> Self {
        self.parent = parent.into();
        self
    }

    /// Links another span. An empty context is no link.
    pub fn link(self, to: &Context) -> Self {
        self.link_with(to, |_| {})
    }

    /// Links another span, with attributes: `.link_with(&context, |link| { link.set("retry", 2); })`. One to an empty context is
    /// kept for its attributes.
    pub fn link_with(mut self, to: &Context, set: impl FnOnce(&mut LinkAttributes)) -> Self {
        if self.is_on {
            let mut attributes = LinkAttributes(Encoded::new(Of::Link));
            set(&mut attributes);
            self.request.links.0.push(to.clone());
            self.request.links.1.push(attributes.0);
        }
        self
    }

    /// Sets an attribute, before samplers look. A key that was set before gets the new value; an `Option` that is `None` sets
    /// nothing.
    pub fn set(mut self, key: &str, value: impl ToValue) -> Self {
        if self.is_on {
            value.with_value(|value| self.request.attributes.put(key, 0, value));
        }
        self
    }

    /// When the span started, where that is not now: for work that was measured elsewhere. Such a span ends by the wall clock, or
    /// with [`Span::end_at`].
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.request.start = Some(time);
        self
    }

    /// The library that makes the span. Default: none, and backends show it without one; [`span!`](crate::span!) takes the name and version
    /// of the crate that it is in.
    pub fn scope(mut self, scope: &'a Scope) -> Self {
        self.request.scope = scope;
        self
    }

    /// Starts the span.
    pub fn start(self) -> Span {
        Span::start_with(&self.request, self.parent.by_ref())
    }

    /// Starts the span with the attributes that `fill` sets: as cheap as [`span!`](crate::span!), for libraries whose names, kinds
    /// and attributes are known only when the program runs.
    ///
    /// `fill` is called only for a span that is recorded, or when a sampler wants to see attributes.
    ///
    /// ```
    /// use throughline::{Span, SpanKind, testing};
    ///
    /// let capture = testing::capture();
    /// let name = String::from("GET /orders/{id}");
    /// let span = Span::builder(&name).kind(SpanKind::Server).start_with(|attributes| {
    ///     attributes.set("http.request.method", "GET");
    /// });
    /// drop(span);
    /// capture.assert_tree("GET /orders/{id} {http.request.method=GET}");
    /// ```
    #[inline]
    pub fn start_with(mut self, fill: impl FnOnce(&mut StartAttributes<'_, '_>)) -> Span {
        if tracer::wants_all() || !self.request.is_plain() {
            if self.is_on {
                fill(&mut StartAttributes(Target::Request(&mut self.request.attributes)));
            }
            return Span::start_with(&self.request, self.parent.by_ref());
        }
        let Request { name, scope, kind, .. } = self.request;
        let mut span = Span::start(name, scope, kind, self.parent.by_ref());
        if let Some(mut batch) = span.batch() {
            fill(&mut StartAttributes(Target::Span(&mut batch)));
            batch.finish();
        }
        span
    }
}

/// The attributes of a span that is about to start; see [`SpanBuilder::start_with`].
#[derive(Debug)]
pub struct StartAttributes<'a, 's>(Target<'a, 's>);

#[derive(Debug)]
enum Target<'a, 's> {
    /// The span has started, and has room.
    Span(&'a mut Batch<'s>),
    /// A sampler is to see them first.
    Request(&'a mut Encoded),
}

impl StartAttributes<'_, '_> {
    /// Sets an attribute. A key that was set before gets the new value; an `Option` that is `None` sets nothing.
    #[inline(always)]
    pub fn set(&mut self, key: &str, value: impl ToValue) {
        let bit = key_bit(key);
        match (&mut self.0, value.direct()) {
            (Target::Span(batch), Some(value)) => batch.put(key, bit, &value),
            (Target::Span(batch), None) => {
                value.with_value(|value| batch.put_slowly(key, bit, value));
            }
            (Target::Request(attributes), _) => {
                value.with_value(|value| attributes.put(key, bit, value));
            }
        }
    }
}

/// The attributes of a link that is about to be made; see [`SpanBuilder::link_with`].
#[derive(Debug)]
pub struct LinkAttributes(Encoded);

impl LinkAttributes {
    /// Sets an attribute.
    pub fn set(&mut self, key: &str, value: impl ToValue) -> &mut Self {
        value.with_value(|value| self.0.put(key, 0, value));
        self
    }
}
