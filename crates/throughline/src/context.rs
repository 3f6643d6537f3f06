//! A trace context as a value: to hand to another thread, a task, a header, or a new span.

use std::fmt;
use std::sync::Arc;

use throughline_context::{Ids, Relay};
use throughline_wire::{Baggage, SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::random;

/// Which span something belongs to, with the `tracestate` and `baggage` that travel along.
///
/// It holds ids, not the span: it can be cloned, sent, stored, and outlive the span. It is what a new span takes as its
/// parent, what [`inject`](crate::inject) writes, and what [`extract`](crate::extract) reads.
///
/// ```
/// use throughline::Context;
///
/// let here = Context::current();
/// std::thread::spawn(move || {
///     let _entered = here.enter();
///     // Spans that start here are children of the span that was current there.
/// });
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Context(throughline_context::Context);

impl Context {
    /// The context that is current on this thread; an empty one when there is none.
    #[must_use]
    pub fn current() -> Self {
        Self(throughline_context::current())
    }

    /// An empty context: a span that takes it as its parent is a root.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// The context of a span that is known by its ids only.
    #[must_use]
    pub fn of(span: SpanContext) -> Self {
        let ids = Ids::new(
            span.trace_id().to_bytes(),
            span.span_id().to_bytes(),
            span.flags().to_byte(),
        );
        let ids = if span.is_remote() { ids.remote() } else { ids };
        Self(throughline_context::Context::new(ids, None))
    }

    pub(crate) fn new(ids: Ids, relay: Option<Arc<Relay>>) -> Self {
        Self(throughline_context::Context::new(ids, relay))
    }

    /// Makes this context current on this thread until the guard is dropped.
    ///
    /// The guard is not `Send`. In async code use [`in_context`](crate::InSpanExt::in_context).
    pub fn enter(&self) -> EnteredContext {
        EnteredContext {
            _context: throughline_context::enter(self.0.ids(), self.0.relay().cloned()),
        }
    }

    /// Runs `f` with this context current.
    pub fn in_scope<R>(&self, f: impl FnOnce() -> R) -> R {
        throughline_context::scope(self.0.ids(), self.0.relay().cloned(), f)
    }

    /// The span's ids and flags, if there is a span.
    #[must_use]
    pub fn span_context(&self) -> Option<SpanContext> {
        span_context(self.0.ids())
    }

    /// The trace's id, if there is a span.
    #[must_use]
    pub fn trace_id(&self) -> Option<TraceId> {
        TraceId::from_bytes(self.0.ids().trace_id())
    }

    /// The span's id, if there is a span.
    #[must_use]
    pub fn span_id(&self) -> Option<SpanId> {
        SpanId::from_bytes(self.0.ids().span_id())
    }

    /// The `tracestate` header's value; empty when there is none.
    #[must_use]
    pub fn trace_state(&self) -> &str {
        self.0.relay().map_or("", |relay| relay.trace_state())
    }

    /// The baggage that travels along.
    #[must_use]
    pub fn baggage(&self) -> Baggage {
        Baggage::parse_headers([self.baggage_header().as_bytes()])
    }

    /// The `baggage` header's value as it came; empty when there is none.
    #[must_use]
    pub fn baggage_header(&self) -> &str {
        self.0.relay().map_or("", |relay| relay.baggage())
    }

    /// The same context with other baggage.
    #[must_use]
    pub fn with_baggage(&self, baggage: &Baggage) -> Self {
        self.with_relay(|relay| relay.with_baggage(baggage.to_header()))
    }

    /// The same context with another `tracestate`.
    #[must_use]
    pub fn with_trace_state(&self, trace_state: &TraceState) -> Self {
        self.with_relay(|relay| relay.with_trace_state(trace_state.as_str()))
    }

    /// What is noted in this context under this key; see [`with_value`](Self::with_value).
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.relay()?.value(key)
    }

    /// The same context with a note that travels along, in this process, through all spans below: for a
    /// [`TextMapPropagator`](crate::TextMapPropagator) whose format knows more than ids, `tracestate` and baggage. With `None` there is
    /// no such note.
    ///
    /// ```
    /// use throughline::{Context, span};
    ///
    /// let context = Context::root().with_value("shop.request-id", Some("r-7"));
    /// context.in_scope(|| {
    ///     let _span = span!("order").enter();
    ///     assert_eq!(Context::current().value("shop.request-id"), Some("r-7"));
    /// });
    /// ```
    #[must_use]
    pub fn with_value(&self, key: &str, value: Option<&str>) -> Self {
        self.with_relay(|relay| relay.with_value(key, value))
    }

    fn with_relay(&self, change: impl FnOnce(Relay) -> Relay) -> Self {
        let relay = self.relay().map_or_else(Relay::default, |relay| (**relay).clone());
        Self::new(self.ids(), Some(Arc::new(change(relay))))
    }

    /// The same context with another span, and the `tracestate` of that.
    pub(crate) fn with_span(&self, span: SpanContext, trace_state: &str) -> Self {
        let relay = self
            .with_relay(|relay| relay.with_trace_state(trace_state))
            .relay()
            .cloned();
        Self::new(Self::of(span).ids(), relay)
    }

    /// A context for a child of this one that nobody records: the same trace, a new span id. Of an empty context, a new trace that is
    /// not sampled.
    ///
    /// For layers that hand a context on and record nothing themselves.
    ///
    /// ```
    /// let parent = throughline::extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]).unwrap();
    /// let child = parent.child();
    /// assert_eq!(child.trace_id(), parent.trace_id());
    /// assert_ne!(child.span_id(), parent.span_id());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        /// The id of a new trace is random (Trace Context Level 2, section 3.2.2.5.2).
        const RANDOM: u8 = 0x02;
        let parent = self.ids();
        let (trace_id, flags) = match parent.is_span() {
            true => (parent.trace_id(), parent.flags()),
            false => (random::trace_id(), RANDOM),
        };
        Self::new(Ids::new(trace_id, random::span_id(), flags), self.relay().cloned())
    }

    /// Whether there is neither a span nor anything that travels along.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn ids(&self) -> Ids {
        self.0.ids()
    }

    pub(crate) fn relay(&self) -> Option<&Arc<Relay>> {
        self.0.relay()
    }
}

/// For bridges to other APIs that have a current context.
impl From<throughline_context::Context> for Context {
    fn from(context: throughline_context::Context) -> Self {
        Self(context)
    }
}

/// For bridges to other APIs that have a current context.
impl From<Context> for throughline_context::Context {
    fn from(context: Context) -> Self {
        context.0
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Context");
        if let Some(span) = self.span_context() {
            out.field("trace_id", &format_args!("{}", span.trace_id()))
                .field("span_id", &format_args!("{}", span.span_id()))
                .field("flags", &format_args!("{:02x}", span.flags().to_byte()))
                .field("is_remote", &span.is_remote());
        }
        if !self.trace_state().is_empty() {
            out.field("trace_state", &self.trace_state());
        }
        if !self.baggage_header().is_empty() {
            out.field("baggage", &self.baggage_header());
        }
        out.finish()
    }
}

pub(crate) fn span_context(ids: Ids) -> Option<SpanContext> {
    let trace_id = TraceId::from_bytes(ids.trace_id())?;
    let span_id = SpanId::from_bytes(ids.span_id())?;
    Some(SpanContext::new(
        trace_id,
        span_id,
        TraceFlags::from_byte(ids.flags()),
        ids.is_remote(),
    ))
}

/// Keeps a context current on this thread; made by [`Context::enter`].
#[derive(Debug)]
#[must_use = "the context is current only as long as the guard lives"]
pub struct EnteredContext {
    _context: throughline_context::Entered,
}
