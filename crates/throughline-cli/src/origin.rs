//! Whose spans are: a resource and an instrumentation scope, read once for many spans.

use std::collections::HashMap;
use std::sync::Arc;

use throughline_spool::Source;
use throughline_wire::any_value::KeyValues;
use throughline_wire::request::{self, ResourceSpansView, ScopeSpans, ScopeSpansView};

/// A service whose resource does not say its name, as the specification calls it.
const UNKNOWN: &str = "unknown_service";

/// A source and what it says.
#[derive(Debug)]
pub struct Origin {
    pub source: Arc<Source>,
    /// `service.name`.
    pub service: Arc<str>,
    /// A request with this source around one span without fields, for those who read requests.
    request: Vec<u8>,
}

impl Origin {
    pub fn new(source: impl Into<Arc<Source>>) -> Self {
        let source = source.into();
        let empty_span = [[request::SPAN_TAG, 0].as_slice()];
        let scope = ScopeSpans {
            scope: &source.scope,
            schema_url: &source.scope_schema_url,
            spans: &empty_span,
        };
        let mut request = Vec::new();
        request::append_resource_spans(&mut request, &source.resource, &source.schema_url, &[scope]);
        let mut origin = Self {
            source,
            service: UNKNOWN.into(),
            request,
        };
        let name = origin.resource_attributes().get("service.name");
        let name = name.and_then(|name| name.as_str().map(Arc::from));
        origin.service = name.unwrap_or(origin.service);
        origin
    }

    /// The attributes of the resource.
    pub fn resource_attributes(&self) -> KeyValues<'_> {
        self.resource().resource_attributes()
    }

    /// The scope.
    pub fn scope(&self) -> ScopeSpansView<'_> {
        let mut scopes = self.resource().scope_spans();
        scopes.next().and_then(Result::ok).expect("it was written a moment ago")
    }

    fn resource(&self) -> ResourceSpansView<'_> {
        let mut parts = request::resource_spans(&self.request);
        parts.next().and_then(Result::ok).expect("it was written a moment ago")
    }
}

impl Origin {
    /// Whether it is that of these spans.
    fn is_of(&self, part: &ResourceSpansView<'_>, scope: &ScopeSpansView<'_>) -> bool {
        *self.source.resource == *part.resource()
            && *self.source.scope == *scope.scope()
            && *self.source.schema_url == *part.schema_url()
            && *self.source.scope_schema_url == *scope.schema_url()
    }
}

/// The origins that were met so far, each once.
#[derive(Debug, Default)]
pub struct Origins {
    by_source: HashMap<Arc<Source>, Arc<Origin>>,
    /// Spans of one origin mostly come together.
    last: Option<Arc<Origin>>,
}

impl Origins {
    pub fn of(&mut self, source: &Arc<Source>) -> Arc<Origin> {
        if let Some(last) = self.last.as_ref().filter(|last| Arc::ptr_eq(&last.source, source)) {
            return last.clone();
        }
        let known = self.by_source.entry(source.clone());
        let origin = known.or_insert_with(|| Arc::new(Origin::new(source.clone()))).clone();
        self.last = Some(origin.clone());
        origin
    }

    /// The origin of these spans of a request.
    pub fn of_parts(&mut self, part: &ResourceSpansView<'_>, scope: &ScopeSpansView<'_>) -> Arc<Origin> {
        match self.last.as_ref().filter(|last| last.is_of(part, scope)) {
            Some(last) => last.clone(),
            None => self.of(&Arc::new(Source {
                resource: part.resource().into(),
                schema_url: part.schema_url().into(),
                scope: scope.scope().into(),
                scope_schema_url: scope.schema_url().into(),
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use throughline_wire::{Value, encode_resource, encode_scope};

    use super::*;

    #[test]
    fn origin_tells_service_resource_and_scope() {
        let resource = encode_resource(&[("service.name", Value::from("orders")), ("n", Value::I64(1))]);
        let source = Arc::new(Source {
            resource: resource.into(),
            scope: encode_scope("shop", "1.2", &[] as &[(&str, Value<'_>)]).into(),
            ..Source::default()
        });
        let mut origins = Origins::default();
        let origin = origins.of(&source);
        assert!(Arc::ptr_eq(&origin, &origins.of(&source)));
        assert_eq!(&*origin.service, "orders");
        assert_eq!(origin.resource_attributes().count(), 2);
        let scope = origin.scope();
        assert_eq!((scope.scope_name(), scope.scope_version()), ("shop", "1.2"));
        assert_eq!(&*Origin::new(Source::default()).service, UNKNOWN);
    }
}
