//! Instrumentation scopes: which library made a span.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, Ordering};

use throughline_wire::encode::push_key_value;
use throughline_wire::{Value, encode_scope};

use crate::value::ToValue;

/// The library that makes spans, by name and version (OpenTelemetry specification, "Instrumentation Scope").
///
/// [`span!`](crate::span!) makes one for the crate it is used in; a bridge makes one for each library that it speaks for, and keeps
/// it: each different scope costs a little memory for the rest of the process's life.
///
/// ```
/// use throughline::{Scope, Span};
///
/// static SCOPE: Scope = Scope::new("shop-client", "1.2");
/// let span = Span::builder("charge").scope(&SCOPE).start();
///
/// let name = String::from("found at run time");
/// let scope = Scope::named(name, "").with_attribute("kind", "plug-in").with_schema_url("https://example.com/schema/1");
/// let span = Span::builder("work").scope(&scope).start();
/// ```
#[derive(Debug)]
pub struct Scope {
    name: Cow<'static, str>,
    version: Cow<'static, str>,
    schema_url: Cow<'static, str>,
    /// Encoded.
    attributes: Vec<u8>,
    /// The scope's number in the records of this process, plus 1; 0 until it is first used.
    number: AtomicU32,
}

impl Scope {
    /// A scope for the spans of one library. An empty version is none.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            version: Cow::Borrowed(version),
            schema_url: Cow::Borrowed(""),
            attributes: Vec::new(),
            number: AtomicU32::new(0),
        }
    }

    /// The same, with texts that are known at run time.
    #[must_use]
    pub fn named(name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            ..Self::new("", "")
        }
    }

    /// The same scope with one more attribute. Keys should be unique.
    #[must_use]
    pub fn with_attribute(mut self, key: &str, value: impl ToValue) -> Self {
        /// `InstrumentationScope.attributes`.
        const ATTRIBUTE: u8 = 0x1a;
        value.with_value(|value| push_key_value(&mut self.attributes, ATTRIBUTE, key, value));
        self.number = AtomicU32::new(0);
        self
    }

    /// The same scope, whose spans follow the conventions of this schema (OTLP `ScopeSpans.schema_url`).
    #[must_use]
    pub fn with_schema_url(mut self, url: impl Into<Cow<'static, str>>) -> Self {
        self.schema_url = url.into();
        self.number = AtomicU32::new(0);
        self
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
        let mut scope = encode_scope(&self.name, &self.version, &[] as &[(&str, Value<'_>)]);
        scope.extend_from_slice(&self.attributes);
        let number = throughline_spool::scope(&scope, &self.schema_url);
        self.number.store(number + 1, Ordering::Relaxed);
        number
    }
}

/// The name of the crate a macro is used in: as Cargo says it, else as the path of its modules begins.
#[doc(hidden)]
#[must_use]
pub const fn crate_name(by_cargo: Option<&'static str>, module_path: &'static str) -> &'static str {
    if let Some(name) = by_cargo {
        return name;
    }
    let bytes = module_path.as_bytes();
    let mut end = 0;
    while end < bytes.len() && bytes[end] != b':' {
        end += 1;
    }
    match std::str::from_utf8(bytes.split_at(end).0) {
        Ok(name) => name,
        Err(_) => module_path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crate_is_named_by_cargo_or_by_its_modules() {
        for (by_cargo, path, expected) in [
            (Some("my-shop"), "my_shop::cart", "my-shop"),
            (None, "my_shop::cart", "my_shop"),
            (None, "my_shop", "my_shop"),
        ] {
            assert_eq!(crate_name(by_cargo, path), expected);
        }
    }
}
