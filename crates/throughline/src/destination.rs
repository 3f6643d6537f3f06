//! A place that spans are sent to, as a program names it.

mod otlp;

pub use otlp::{Compression, OtlpDestination, Protocol};

/// A place that spans are sent to; for [`Builder::destination`](crate::Builder::destination).
///
/// ```
/// use throughline::Destination;
///
/// let all: [Destination; 2] = [
///     Destination::otlp("http://localhost:4318").into(),
///     Destination::otlp("https://otlp.example.com").header("x-api-key", "secret").into(),
/// ];
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is used by `Builder::destination`"]
pub struct Destination {
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Otlp(OtlpDestination),
}

impl Destination {
    /// A backend that speaks OTLP at a base URL, to which `/v1/traces` is appended. One that is no such URL is said in one line when
    /// tracing is switched on, and left out.
    pub fn otlp(endpoint: impl Into<String>) -> OtlpDestination {
        OtlpDestination::new(endpoint.into())
    }
}

impl From<OtlpDestination> for Destination {
    fn from(otlp: OtlpDestination) -> Self {
        Self { kind: Kind::Otlp(otlp) }
    }
}
