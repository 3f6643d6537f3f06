//! Throughline's formats as a text map propagator of the API.

use std::sync::OnceLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use throughline::{Carrier, propagation_fields};

use crate::context::{to_opentelemetry, to_throughline, with_rest};
use crate::current;

/// Carries the context in the formats that `OTEL_PROPAGATORS` or [`Builder::propagators`](throughline::Builder::propagators) say;
/// [`install`](crate::install) makes it the global one.
///
/// An [`Injector`] cannot remove anything: clear a carrier that is used again of its [`fields`](TextMapPropagator::fields).
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::propagation::TextMapPropagator;
/// use opentelemetry::trace::TraceContextExt;
///
/// let propagator = throughline_opentelemetry::Propagator::new();
/// let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let incoming = HashMap::from([("traceparent".to_owned(), traceparent.to_owned())]);
/// let context = propagator.extract(&incoming);
/// assert!(context.span().span_context().is_remote());
/// let mut outgoing = HashMap::new();
/// propagator.inject_context(&context, &mut outgoing);
/// assert_eq!(outgoing, incoming);
/// ```
#[derive(Debug, Default)]
pub struct Propagator {
    /// As they are when they are first asked for.
    fields: OnceLock<Vec<String>>,
}

impl Propagator {
    /// A propagator, like any other.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let _lent = current::lent();
        current::newest(cx).inject(Injected(injector));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let _lent = current::lent();
        let Some(found) = throughline::extract(self.headers(extractor)) else {
            return cx.clone();
        };
        // What is not found stays as it is.
        let found = match found.baggage_header() {
            "" => found.with_baggage(&to_throughline(cx).baggage()),
            _ => found,
        };
        match found.span_context() {
            Some(_) => to_opentelemetry(cx, &found),
            None => with_rest(cx.clone(), &found.into()),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(self.field_names())
    }
}

impl Propagator {
    fn field_names(&self) -> &[String] {
        self.fields
            .get_or_init(|| propagation_fields().into_iter().map(str::to_owned).collect())
    }

    /// All that an extractor has: those that it lists, and those that it finds without listing them.
    fn headers<'a>(&'a self, extractor: &'a dyn Extractor) -> Vec<(&'a str, &'a str)> {
        let keys = extractor.keys();
        let is_listed = |field: &str| keys.iter().any(|key| key.eq_ignore_ascii_case(field));
        let unlisted = self.field_names().iter().filter(|field| !is_listed(field));
        let mut headers = Vec::new();
        for key in keys.iter().copied() {
            let values = extractor.get_all(key).unwrap_or_default();
            headers.extend(values.into_iter().map(|value| (key, value)));
        }
        for field in unlisted {
            let values = extractor.get_all(field).unwrap_or_default();
            headers.extend(values.into_iter().map(|value| (field.as_str(), value)));
        }
        headers
    }
}

struct Injected<'a>(&'a mut dyn Injector);

impl Carrier for Injected<'_> {
    fn set(&mut self, name: &'static str, value: &str) {
        self.0.set(name, value.to_owned());
    }

    fn remove(&mut self, _: &str) {}

    fn set_named(&mut self, name: &str, value: &str) {
        self.0.set(name, value.to_owned());
    }
}
