//! Where this process sends its spans over OTLP, for those that have to tell another process.

use std::sync::OnceLock;

use crate::destination::Protocol;

static OTLP_ENDPOINT: OnceLock<Option<OtlpEndpoint>> = OnceLock::new();

/// A backend that speaks OTLP, as another process can be told of it: without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpEndpoint {
    url: String,
    protocol: Protocol,
}

/// The first of this process's destinations that speaks OTLP, whether a variable or code has named it.
///
/// `None` before tracing is switched on, when it is off, and where spans stay local or go only to files, the console or an
/// exporter of one's own.
///
/// ```
/// let tracing = throughline::builder("orders").endpoint("http://localhost:4318").init();
/// let endpoint = throughline::otlp_endpoint().expect("it was named just now");
/// assert_eq!(endpoint.url(), "http://localhost:4318/v1/traces");
/// ```
#[must_use]
pub fn otlp_endpoint() -> Option<OtlpEndpoint> {
    OTLP_ENDPOINT.get().cloned().flatten()
}

impl OtlpEndpoint {
    #[cfg(feature = "otlp")]
    pub(crate) fn new(url: String, protocol: Protocol) -> Self {
        Self { url, protocol }
    }

    /// The URL to which spans are posted, such as `http://localhost:4318/v1/traces`; over gRPC, without a path:
    /// `http://localhost:4317`. For a socket, `unix:/run/otel.sock`.
    ///
    /// A name and password in it and its query are left out.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What is spoken there.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }
}

/// The first call decides.
#[cfg(feature = "otlp")]
pub(crate) fn set(endpoint: Option<OtlpEndpoint>) {
    let _first = OTLP_ENDPOINT.set(endpoint);
}
