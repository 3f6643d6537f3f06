//! A backend that speaks OTLP, as a program names it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A backend that speaks OTLP; made by [`Destination::otlp`](crate::Destination::otlp).
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
#[must_use = "it is used by `Builder::destination`"]
pub struct OtlpDestination {
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) protocol: Protocol,
    pub(crate) compression: Compression,
    pub(crate) authorities: Option<PathBuf>,
    /// The files of the certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// How spans are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP over HTTP/1.1, as protobuf.
    #[default]
    HttpProtobuf,
    /// OTLP over HTTP/1.1, as JSON: for backends that take nothing else. It is about three times as long.
    HttpJson,
}

/// Whether requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// They are sent as they are.
    #[default]
    None,
    /// By gzip (RFC 1952), at its fastest level.
    Gzip,
}

impl OtlpDestination {
    pub(super) fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            headers: Vec::new(),
            timeout: None,
            protocol: Protocol::default(),
            compression: Compression::default(),
            authorities: None,
            client: None,
        }
    }

    /// A header of every request. May be called again for others. Its value is never shown.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one request may take. Default 10 s; zero is no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Whether requests are compressed. Default [`Compression::None`]: within one machine or network it costs more than it saves.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Trusts the certificate authorities in this PEM file, instead of the system's, when the endpoint begins with `https://`.
    ///
    /// The file is read for each new connection: one that is replaced is used from then on. While it cannot be used, which is said
    /// in one line, spans stay in the local spool.
    pub fn certificate(mut self, authorities: impl Into<PathBuf>) -> Self {
        self.authorities = Some(authorities.into());
        self
    }

    /// Shows the certificate of this PEM file, proven by the private key of that one, to a server that asks for it (mTLS).
    ///
    /// Behind the certificate may follow those of the authorities between it and one that the server trusts. Both files are read
    /// for each new connection, so that certificates that live for hours can be replaced.
    pub fn client_certificate(mut self, certificate: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        self.client = Some((certificate.into(), key.into()));
        self
    }

    /// How spans are sent. Default [`Protocol::HttpProtobuf`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
}

impl fmt::Debug for OtlpDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("OtlpDestination")
            .field("endpoint", &crate::config::masked(&self.endpoint))
            .field("headers", &headers)
            .field("timeout", &self.timeout)
            .field("protocol", &self.protocol)
            .field("compression", &self.compression)
            .field("certificate", &self.authorities)
            .field("client_certificate", &self.client)
            .finish()
    }
}
