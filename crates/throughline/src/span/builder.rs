//! Starting a span with all choices.

use std::time::SystemTime;

use throughline_wire::SpanKind;

use super::request::Request;
use super::{Parent, Span};
use crate::attributes::{Encoded, Of};
use crate::context::Context;
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
