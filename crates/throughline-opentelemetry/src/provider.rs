//! Tracers for libraries.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace;
use throughline::Scope;

use crate::tracer::Tracer;
use crate::value::with_value;

/// Gives out [`Tracer`]s; [`install`](crate::install) makes it the global one.
///
/// Name, version, schema URL and attributes of a library become the scope of its spans. A library may ask again for each span: known
/// scopes are found again. It holds nothing; where spans go was decided by [`throughline::init`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TracerProvider(());

impl TracerProvider {
    /// A provider, like any other.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl trace::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer::new(known(scope))
    }
}

/// More different scopes are not kept here: a library that makes up names gets a new one each time.
const MOST: usize = 1000;

static KNOWN: LazyLock<Mutex<HashMap<InstrumentationScope, Arc<Scope>>>> = LazyLock::new(Mutex::default);

fn known(scope: InstrumentationScope) -> Arc<Scope> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(found) = known.get(&scope) {
        return found.clone();
    }
    let made = Arc::new(native(&scope));
    if known.len() < MOST {
        known.insert(scope, made.clone());
    }
    made
}

fn native(scope: &InstrumentationScope) -> Scope {
    let version = scope.version().unwrap_or_default().to_owned();
    let mut native = Scope::named(scope.name().to_owned(), version);
    for attribute in scope.attributes() {
        native = with_value(&attribute.value, |value| {
            native.with_attribute(attribute.key.as_str(), value)
        });
    }
    native.with_schema_url(scope.schema_url().unwrap_or_default().to_owned())
}
