//! HTTP methods that are known; all others are `_OTHER` (HTTP spans, `http.request.method`).

use std::env;
use std::sync::OnceLock;

use http::Method;

/// A comma list that replaces the one above.
const VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// A method as spans show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown<'a> {
    /// `http.request.method`.
    pub method: &'a str,
    /// `http.request.method_original`.
    pub original: Option<&'a str>,
    /// The method in the span's name.
    pub name: &'a str,
}

/// The methods that are known.
#[derive(Clone, Debug)]
pub(crate) enum KnownMethods {
    Standard,
    Listed(Vec<Box<str>>),
}

impl KnownMethods {
    /// As the environment says; it is read once in the life of a process.
    pub fn from_environment() -> Self {
        static KNOWN_METHODS: OnceLock<KnownMethods> = OnceLock::new();
        let read = || match env::var(VARIABLE) {
            Ok(list) if !list.trim().is_empty() => Self::listed(list.split(',')),
            _ => Self::Standard,
        };
        KNOWN_METHODS.get_or_init(read).clone()
    }

    pub fn listed<M: AsRef<str>>(methods: impl IntoIterator<Item = M>) -> Self {
        let mut listed = Vec::new();
        for method in methods {
            match method.as_ref().trim() {
                "" => {}
                method => listed.push(Box::from(method)),
            }
        }
        Self::Listed(listed)
    }

    pub fn shown<'a>(&self, method: &'a Method) -> Shown<'a> {
        let method = method.as_str();
        let is_known = match self {
            // The list of the conventions: RFC 9110, PATCH, and QUERY.
            Self::Standard => matches!(
                method,
                "CONNECT" | "DELETE" | "GET" | "HEAD" | "OPTIONS" | "PATCH" | "POST" | "PUT" | "QUERY" | "TRACE"
            ),
            Self::Listed(known) => known.iter().any(|known| **known == *method),
        };
        match is_known {
            true => Shown {
                method,
                original: None,
                name: method,
            },
            false => Shown {
                method: "_OTHER",
                original: Some(method),
                name: "HTTP",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_method_is_folded() {
        let standard = KnownMethods::Standard;
        let listed = KnownMethods::listed(["PURGE", " GET ", ""]);
        for (known, method, expected) in [
            (&standard, "GET", None),
            (&standard, "QUERY", None),
            (&standard, "get", Some("get")),
            (&standard, "PURGE", Some("PURGE")),
            (&listed, "PURGE", None),
            (&listed, "GET", None),
            (&listed, "POST", Some("POST")),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let shown = known.shown(&method);
            assert_eq!(shown.original, expected);
            let folded = ("_OTHER", "HTTP");
            let as_it_is = (method.as_str(), method.as_str());
            assert_eq!(
                (shown.method, shown.name),
                if expected.is_some() { folded } else { as_it_is }
            );
        }
    }
}
