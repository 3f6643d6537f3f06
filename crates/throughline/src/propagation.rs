//! Context over borders: headers, message metadata, environment variables.

use std::sync::Arc;

use throughline_context::{Ids, Relay};
use throughline_wire::propagation::{self, Carrier, Pair};

use crate::context::Context;
use crate::tracer;

/// A format that carries the context over a border; for [`Builder::propagators`](crate::Builder::propagators).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Propagator {
    /// W3C Trace Context: `traceparent` and `tracestate`.
    TraceContext,
    /// W3C Baggage: `baggage`.
    Baggage,
}

/// Reads a context from headers or anything like them: pairs of name and value, in any case and order.
///
/// Takes `&HashMap<String, String>`, `&http::HeaderMap`, `&Vec<(String, String)>`, iterators of pairs of strings or bytes.
/// The result is a parent for the span of this side. `None` when there is nothing valid to continue; never an error, since
/// what a caller sends wrong is not the callee's failure. A broken `traceparent` also voids `tracestate`, not baggage.
///
/// ```
/// use throughline::{extract, span};
///
/// let headers = [("TraceParent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
/// let parent = extract(headers).expect("a valid traceparent");
/// assert_eq!(parent.trace_id().unwrap().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
/// let span = span!(parent: &parent, kind: Server, "GET /");
/// ```
#[must_use]
pub fn extract<I>(headers: I) -> Option<Context>
where
    I: IntoIterator,
    I::Item: Pair,
{
    let read = propagation::extract(headers);
    let chosen = tracer::propagators();
    let ids = read
        .span
        .filter(|_| chosen.trace_context)
        .map_or_else(Ids::default, |span| Context::of(span).ids());
    let trace_state = read.trace_state.filter(|_| ids.is_span());
    let baggage = read.baggage.filter(|_| chosen.baggage);
    // Mostly there is neither, and then nothing is allocated.
    let relay = (trace_state.is_some() || baggage.is_some()).then(|| {
        Arc::new(Relay::new(
            trace_state.map_or_else(String::new, |state| state.as_str().to_owned()),
            baggage.map_or_else(String::new, |baggage| baggage.to_header()),
        ))
    });
    let context = Context::new(ids, relay);
    (!context.is_empty()).then_some(context)
}

/// Writes the current context into headers or anything like them, and returns them.
///
/// Names are lower case; other spellings and stale headers of an earlier trace are removed. Without a current context
/// (also when tracing is off and nobody handed one in) the carrier stays as it is. It never fails and does no I/O.
///
/// A carrier that is given by reference is written in place: `inject(&mut headers)`.
///
/// ```
/// use std::collections::HashMap;
/// use throughline::{extract, inject};
///
/// let incoming = extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]).unwrap();
/// let outgoing: HashMap<String, String> = incoming.in_scope(|| inject(HashMap::new()));
/// assert!(outgoing["traceparent"].starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"));
/// ```
pub fn inject<C: Carrier>(carrier: C) -> C {
    Context::current().inject(carrier)
}

impl Context {
    /// Writes this context into headers or anything like them; see [`inject`].
    pub fn inject<C: Carrier>(&self, mut carrier: C) -> C {
        let chosen = tracer::propagators();
        let span = self.span_context().filter(|_| chosen.trace_context);
        let trace_state = if span.is_some() { self.trace_state() } else { "" };
        let baggage = if chosen.baggage { self.baggage_header() } else { "" };
        propagation::inject(&mut carrier, span.as_ref(), trace_state, baggage);
        carrier
    }
}
