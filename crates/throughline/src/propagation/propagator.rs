//! The formats there are, and the list of those that are on.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use throughline_wire::propagation::{BAGGAGE, TRACEPARENT, TRACESTATE, b3, jaeger, ot_trace, xray};

use super::custom::TextMapPropagator;

/// A format that carries the context over a border; for [`Builder::propagators`](crate::Builder::propagators).
#[derive(Clone)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`. In `OTEL_PROPAGATORS`: `tracecontext`.
    TraceContext,
    /// W3C Baggage: `baggage`. In `OTEL_PROPAGATORS`: `baggage`.
    Baggage,
    /// The format of Zipkin, written as the one header `b3`. Both kinds are read. In `OTEL_PROPAGATORS`: `b3`.
    B3,
    /// The same, written as several headers: `x-b3-traceid`, `x-b3-spanid`, and `x-b3-sampled` or `x-b3-flags`. In
    /// `OTEL_PROPAGATORS`: `b3multi`.
    B3Multi,
    /// The format of Jaeger's own clients: `uber-trace-id`, and `uberctx-*` for baggage. In `OTEL_PROPAGATORS`: `jaeger`.
    Jaeger,
    /// The format of OpenTracing's basic tracers: `ot-tracer-*`, and `ot-baggage-*` for baggage. It has 64-bit trace ids: the first
    /// half of a longer one is lost. In `OTEL_PROPAGATORS`: `ottrace`.
    OtTrace,
    /// The format of AWS X-Ray: `x-amzn-trace-id`. In `OTEL_PROPAGATORS`: `xray`.
    XRay,
    /// One of the program's own; see [`Propagator::custom`].
    Custom(Arc<dyn TextMapPropagator>),
}

impl Propagator {
    /// A format of the program's own.
    ///
    /// ```
    /// use throughline::{Carrier, Context, Fields, Propagator, TextMapPropagator};
    ///
    /// /// Hands on a header that older services of the shop know.
    /// struct RequestId;
    ///
    /// impl TextMapPropagator for RequestId {
    ///     fn fields(&self) -> &[&'static str] {
    ///         &["x-request-id"]
    ///     }
    ///
    ///     fn extract(&self, fields: &Fields<'_>, context: Context) -> Context {
    ///         match fields.get("x-request-id").filter(|id| id.len() <= 64) {
    ///             Some(id) => context.with_value("x-request-id", Some(id)),
    ///             None => context,
    ///         }
    ///     }
    ///
    ///     fn inject(&self, context: &Context, carrier: &mut dyn Carrier) {
    ///         if let Some(id) = context.value("x-request-id") {
    ///             carrier.set("x-request-id", id);
    ///         }
    ///     }
    /// }
    ///
    /// # fn program() {
    /// let _tracing = throughline::builder("orders")
    ///     .propagators([Propagator::TraceContext, Propagator::custom(RequestId)])
    ///     .init();
    /// # }
    /// ```
    pub fn custom(propagator: impl TextMapPropagator + 'static) -> Self {
        Self::Custom(Arc::new(propagator))
    }

    /// The names of its headers, in lower case.
    pub(super) fn fields(&self) -> &[&'static str] {
        match self {
            Self::TraceContext => &[TRACEPARENT, TRACESTATE],
            Self::Baggage => &[BAGGAGE],
            Self::B3 | Self::B3Multi => &b3::HEADERS,
            Self::Jaeger => &[jaeger::TRACE_ID],
            Self::OtTrace => &ot_trace::HEADERS,
            Self::XRay => &[xray::TRACE_HEADER],
            Self::Custom(custom) => custom.fields(),
        }
    }

    /// What the names of its other headers begin with.
    pub(super) fn prefix(&self) -> Option<&'static str> {
        match self {
            Self::Jaeger => Some(jaeger::BAGGAGE_PREFIX),
            Self::OtTrace => Some(ot_trace::BAGGAGE_PREFIX),
            _ => None,
        }
    }

    /// By its name in `OTEL_PROPAGATORS`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "tracecontext" => Self::TraceContext,
            "baggage" => Self::Baggage,
            "b3" => Self::B3,
            "b3multi" => Self::B3Multi,
            "jaeger" => Self::Jaeger,
            "ottrace" => Self::OtTrace,
            "xray" => Self::XRay,
            _ => return None,
        })
    }
}

/// A custom one is equal to its clones only.
impl PartialEq for Propagator {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Custom(one), Self::Custom(other)) => Arc::ptr_eq(one, other),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Propagator {}

impl fmt::Debug for Propagator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TraceContext => "TraceContext",
            Self::Baggage => "Baggage",
            Self::B3 => "B3",
            Self::B3Multi => "B3Multi",
            Self::Jaeger => "Jaeger",
            Self::OtTrace => "OtTrace",
            Self::XRay => "XRay",
            Self::Custom(_) => "Custom",
        })
    }
}

/// Those that are on, in their order, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Propagators(Vec<Propagator>);

impl Propagators {
    pub(crate) fn is_default(&self) -> bool {
        matches!(*self.0, [Propagator::TraceContext, Propagator::Baggage])
    }
}

/// "If not specified, [..] `tracecontext,baggage`".
impl Default for Propagators {
    fn default() -> Self {
        Self(vec![Propagator::TraceContext, Propagator::Baggage])
    }
}

impl FromIterator<Propagator> for Propagators {
    fn from_iter<I: IntoIterator<Item = Propagator>>(propagators: I) -> Self {
        let mut list = Vec::new();
        for propagator in propagators {
            if !list.contains(&propagator) {
                list.push(propagator);
            }
        }
        Self(list)
    }
}

impl Deref for Propagators {
    type Target = [Propagator];

    fn deref(&self) -> &[Propagator] {
        &self.0
    }
}
