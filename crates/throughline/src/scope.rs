//! Instrumentation scopes: which library made a span.

use std::sync::atomic::{AtomicU32, Ordering};

use throughline_wire::Value;
use throughline_wire::encode_scope;

/// The library that makes spans, by name and version (OpenTelemetry specification, "Instrumentation Scope").
///
/// [`span!`](crate::span!) makes one for the crate it is used in; there is seldom a reason to make another.
#[derive(Debug)]
pub struct Scope {
    name: &'static str,
    version: &'static str,
    /// The scope's number in the records of this process, plus 1; 0 until it is first used.
    number: AtomicU32,
}

impl Scope {
    /// A scope for the spans of one library.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            number: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn number(&self) -> u32 {
        match self.number.load(Ordering::Relaxed) {
            0 => self.register(),
            number => number - 1,
        }
    }

    #[cold]
    fn register(&self) -> u32 {
        let number = throughline_spool::scope(&encode_scope(self.name, self.version, &[] as &[(&str, Value<'_>)]));
        self.number.store(number + 1, Ordering::Relaxed);
        number
    }
}
