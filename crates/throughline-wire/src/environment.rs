//! Environment variables as a carrier (OpenTelemetry, "Environment Variables as Context
//! Propagation Carriers"): how a trace goes on in a child process.
//!
//! Nothing here touches the environment. Give [`pairs`] what `std::env::vars_os()` yields, and an
//! [`EnvWriter`] a function that sets variables of the child:
//!
//! ```
//! use std::process::Command;
//! use throughline_wire::environment::{pairs, EnvWriter};
//! use throughline_wire::propagation::{extract, inject};
//!
//! let vars = [("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
//! let extracted = extract(pairs(vars));
//!
//! let mut child = Command::new("true");
//! let mut carrier = EnvWriter(|name: &str, value: Option<&str>| {
//!     match value {
//!         Some(value) => child.env(name, value),
//!         None => child.env_remove(name),
//!     };
//! });
//! inject(&mut carrier, extracted.span.as_ref(), "", "");
//! assert!(child.get_envs().any(|(name, value)| name == "TRACEPARENT" && value.is_some()));
//! ```

use std::ffi::OsStr;

use crate::propagation::{Carrier, Pair};

/// The variable that stands for a header: ASCII upper case, everything but letters, digits and `_`
/// replaced by `_`, one more `_` in front of a digit; `_` for an empty name.
///
/// ```
/// use throughline_wire::environment::env_name;
///
/// assert_eq!(env_name("traceparent"), "TRACEPARENT");
/// assert_eq!(env_name("x-b3-traceid"), "X_B3_TRACEID");
/// assert_eq!(env_name("3d"), "_3D");
/// ```
#[must_use]
pub fn env_name(name: &str) -> String {
    let bytes = env_bytes(name).map(char::from);
    if name.is_empty() {
        "_".to_owned()
    } else {
        bytes.collect()
    }
}

/// The same as bytes; none for an empty name.
fn env_bytes(name: &str) -> impl Iterator<Item = u8> {
    let underline = name.starts_with(|first: char| first.is_ascii_digit()).then_some(b'_');
    underline
        .into_iter()
        .chain(name.chars().map(|letter| match letter.to_ascii_uppercase() {
            letter @ ('A'..='Z' | '0'..='9' | '_') => letter as u8,
            _ => b'_',
        }))
}

/// Those of these variables whose names are normalised, for
/// [`extract`](crate::propagation::extract): `TRACEPARENT` is read, `traceparent` is not.
pub fn pairs<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> impl Iterator<Item = EnvPair<K, V>>
where
    K: AsRef<OsStr>,
    V: AsRef<OsStr>,
{
    variables
        .into_iter()
        .map(|(name, value)| EnvPair { name, value })
        .filter(|pair| is_normalised(pair.name()))
}

/// One variable and its value.
#[derive(Clone, Copy, Debug)]
pub struct EnvPair<K, V> {
    name: K,
    value: V,
}

impl<K: AsRef<OsStr>, V: AsRef<OsStr>> Pair for EnvPair<K, V> {
    fn name(&self) -> &[u8] {
        self.name.as_ref().as_encoded_bytes()
    }

    fn value(&self) -> &[u8] {
        self.value.as_ref().as_encoded_bytes()
    }

    fn is_named(&self, header: &str) -> bool {
        self.name_behind(header).is_some_and(<[u8]>::is_empty)
    }

    fn name_behind(&self, prefix: &str) -> Option<&[u8]> {
        let mut rest = self.name();
        for byte in env_bytes(prefix) {
            rest = rest.strip_prefix(&[byte])?;
        }
        Some(rest)
    }
}

/// A [`Carrier`] that calls a function with the name of a variable and its value, `None` to remove
/// it.
pub struct EnvWriter<F>(pub F);

impl<F: FnMut(&str, Option<&str>)> Carrier for EnvWriter<F> {
    fn set(&mut self, name: &'static str, value: &str) {
        (self.0)(&env_name(name), Some(value));
    }

    /// Removes the normalised name: no other is ever read.
    fn remove(&mut self, name: &str) {
        (self.0)(&env_name(name), None);
    }

    fn set_named(&mut self, name: &str, value: &str) {
        (self.0)(&env_name(name), Some(value));
    }
}

/// `^[A-Z_][A-Z0-9_]*$`
fn is_normalised(name: &[u8]) -> bool {
    name.first().is_some_and(|first| !first.is_ascii_digit())
        && name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::propagation::{extract, inject};
    use crate::traceparent;
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn names_are_normalised() {
        let cases = [
            ("", "_"),
            ("_", "_"),
            ("tracestate", "TRACESTATE"),
            ("9lives", "_9LIVES"),
            ("a.b c-d", "A_B_C_D"),
            ("stra\u{df}e", "STRA_E"),
        ];
        for (name, variable) in cases {
            assert_eq!(env_name(name), variable);
            assert!(is_normalised(variable.as_bytes()));
        }
    }

    #[test]
    fn only_normalised_names_are_read() {
        for (name, read) in [("TRACEPARENT", true), ("traceparent", false), ("TraceParent", false)] {
            let variables = [(OsString::from(name), OsString::from(PARENT))];
            assert_eq!(extract(pairs(variables)).span.is_some(), read, "{name}");
        }
        let both = [("traceparent", "bad"), ("TRACEPARENT", PARENT), ("TRACESTATE", "a=1")];
        let extracted = extract(pairs(both));
        assert_eq!(extracted.span, traceparent::parse(PARENT.as_bytes()));
        assert_eq!(extracted.trace_state.unwrap().as_str(), "a=1");
    }

    #[test]
    fn child_gets_upper_case_names_and_nothing_stale() {
        let mut child: BTreeMap<String, Option<String>> = BTreeMap::new();
        let mut carrier = EnvWriter(|name: &str, value: Option<&str>| {
            child.insert(name.to_owned(), value.map(str::to_owned));
        });
        let span = traceparent::parse(PARENT.as_bytes());
        inject(&mut carrier, span.as_ref(), "", "a=1");
        let expected = [
            ("BAGGAGE".to_owned(), Some("a=1".to_owned())),
            ("TRACEPARENT".to_owned(), Some(PARENT.to_owned())),
            ("TRACESTATE".to_owned(), None),
        ];
        assert_eq!(child, expected.into());
    }
}
