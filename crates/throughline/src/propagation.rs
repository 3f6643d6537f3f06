//! Context over borders: headers, message metadata, environment variables.

mod composite;
mod custom;
mod propagator;

use std::sync::Arc;

use throughline_context::{Ids, Relay};
use throughline_wire::propagation::{self, Carrier, Extracted, Pair};

pub use custom::{Fields, TextMapPropagator};
pub use propagator::Propagator;
pub(crate) use propagator::Propagators;

use crate::context::Context;
use crate::tracer;

/// Reads a context from headers or anything like them: pairs of name and value, in any case and order.
///
/// Takes `&HashMap<String, String>`, `&http::HeaderMap`, `&Vec<(String, String)>`, iterators of pairs of strings or bytes.
/// The result is a parent for the span of this side. `None` when there is nothing valid to continue; never an error, since
/// what a caller sends wrong is not the callee's failure. A broken `traceparent` also voids `tracestate`, not baggage.
///
/// Which formats are read is said by [`Builder::propagators`](crate::Builder::propagators). Where several find a span that of the last
/// one counts (OpenTelemetry, API Propagators, "Composite Propagator"); baggage of all is put together.
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
    let propagators = tracer::propagators();
    let context = match propagators.is_default() {
        true => of_w3c(propagation::extract(headers)),
        false => composite::extract(propagators, headers),
    };
    (!context.is_empty()).then_some(context)
}

fn of_w3c(read: Extracted) -> Context {
    let ids = read.span.map_or_else(Ids::default, |span| Context::of(span).ids());
    let trace_state = read.trace_state.filter(|_| ids.is_span());
    // Mostly there is neither, and then nothing is allocated.
    let relay = (trace_state.is_some() || read.baggage.is_some()).then(|| {
        Arc::new(Relay::new(
            trace_state.map_or_else(String::new, |state| state.as_str().to_owned()),
            read.baggage.map_or_else(String::new, |baggage| baggage.to_header()),
        ))
    });
    Context::new(ids, relay)
}

/// Writes the current context into headers or anything like them, and returns them.
///
/// Names are lower case; other spellings and stale headers of an earlier trace are removed, of all formats that are on. Without a
/// current context (also when tracing is off and nobody handed one in) the carrier stays as it is. It never fails and does no I/O.
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

/// The names of the headers that [`inject`] writes and [`extract`] reads, in lower case: of all propagators that are on (OpenTelemetry,
/// API Propagators, "Fields"). Those that begin with a prefix, as `uberctx-plan` does, are not among them.
///
/// For carriers that are written several times, and for servers that have to name the headers they accept.
///
/// ```
/// assert_eq!(throughline::propagation_fields(), ["traceparent", "tracestate", "baggage"]);
/// ```
#[must_use]
pub fn propagation_fields() -> Vec<&'static str> {
    let mut fields = Vec::new();
    for field in tracer::propagators().iter().flat_map(Propagator::fields) {
        if !fields.contains(field) {
            fields.push(*field);
        }
    }
    fields
}

impl Context {
    /// Writes this context into headers or anything like them; see [`inject`].
    pub fn inject<C: Carrier>(&self, mut carrier: C) -> C {
        let propagators = tracer::propagators();
        if propagators.is_default() {
            propagation::inject(
                &mut carrier,
                self.span_context().as_ref(),
                self.trace_state(),
                self.baggage_header(),
            );
        } else {
            composite::inject(propagators, self, &mut carrier);
        }
        carrier
    }
}
