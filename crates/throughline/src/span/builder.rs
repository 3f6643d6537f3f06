//! Starting a span with all choices.

use throughline_wire::{SpanKind, Value};

use super::{Parent, Span};
use crate::context::Context;
use crate::scope::Scope;

static NO_SCOPE: Scope = Scope::new("", "");

/// A span that is about to start; made by [`Span::builder`].
///
/// ```
/// use throughline::{Context, Kind, Span};
///
/// let cause = Context::current();
/// let span = Span::builder("send")
///     .kind(Kind::Producer)
///     .parent(&Context::root())
///     .link(&cause)
///     .set("messaging.system", "kafka")
///     .start();
/// ```
#[derive(Debug)]
#[must_use = "the span starts with `start`"]
pub struct SpanBuilder<'a> {
    name: &'a str,
    kind: SpanKind,
    parent: Parent<'a>,
    scope: &'a Scope,
    links: Vec<&'a Context>,
    attributes: Vec<(&'a str, Value<'a>)>,
}

impl<'a> SpanBuilder<'a> {
    pub(super) fn new(name: &'a str) -> Self {
        let links = Vec::new();
        let attributes = Vec::new();
        Self {
            name,
            kind: SpanKind::Internal,
            parent: Parent::Current,
            scope: &NO_SCOPE,
            links,
            attributes,
        }
    }

    /// What part the span plays between processes. Default [`Kind::Internal`](crate::Kind::Internal).
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Whose child the span is. Default: of the current span. An empty context makes a root.
    pub fn parent(mut self, parent: &'a Context) -> Self {
        self.parent = Parent::Of(parent);
        self
    }

    /// Links another span. An empty context is no link.
    pub fn link(mut self, to: &'a Context) -> Self {
        self.links.push(to);
        self
    }

    /// Sets an attribute, before samplers look. A key that was set before gets the new value.
    pub fn set(mut self, key: &'a str, value: impl Into<Value<'a>>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }

    /// The library that makes the span. Default: none.
    pub fn scope(mut self, scope: &'a Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Starts the span.
    pub fn start(self) -> Span {
        let mut span = Span::start(self.name, self.scope, self.kind, self.parent);
        for (key, value) in self.attributes {
            span.set(key, value);
        }
        for link in self.links {
            span.link(link, []);
        }
        span
    }
}
