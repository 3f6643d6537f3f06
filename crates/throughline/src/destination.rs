//! A place that spans are sent to, as a program names it.

use std::fmt;
use std::time::Duration;

/// A place that spans are sent to; for [`Builder::destination`](crate::Builder::destination).
///
/// ```
/// use std::time::Duration;
/// use throughline::Destination;
///
/// let collector = Destination::otlp("http://localhost:4318").timeout(Duration::from_secs(3));
/// let vendor = Destination::otlp("https://otlp.example.com").header("x-api-key", "secret");
/// assert!(!format!("{vendor:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct Destination {
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) protocol: Protocol,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP over HTTP/1.1, as protobuf.
    #[default]
    HttpProtobuf,
}

impl Destination {
    /// A backend that speaks OTLP at a base URL, to which `/v1/traces` is appended. One that is no such URL is said in one line when
    /// tracing is switched on, and left out.
    #[must_use]
    pub fn otlp(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            headers: Vec::new(),
            timeout: None,
            protocol: Protocol::default(),
        }
    }

    /// A header of every request. May be called again for others. Its value is never shown.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one request may take. Default 10 s; zero is no limit.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How spans are sent. Default [`Protocol::HttpProtobuf`].
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Destination")
            .field("endpoint", &crate::config::masked(&self.endpoint))
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("protocol", &self.protocol)
            .finish()
    }
}
