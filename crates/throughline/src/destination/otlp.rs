//! A backend that speaks OTLP, as a program names it.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use super::token::{BearerToken, TokenSource};

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
    pub(crate) proxy: ProxyChoice,
    pub(crate) token: Option<TokenSource>,
}

/// Which proxy requests go through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProxyChoice {
    #[default]
    AsEnvironment,
    None,
    /// The URL of this one.
    Named(String),
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
    /// OTLP over gRPC, as protobuf over HTTP/2. The endpoint has no path: `http://localhost:4317`.
    Grpc,
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
            proxy: ProxyChoice::default(),
            token: None,
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

    /// Sends requests through this HTTP proxy, `http://user:password@proxy:3128`, instead of the one that `HTTPS_PROXY`, `HTTP_PROXY` or
    /// `ALL_PROXY` name. The proxy has to allow `CONNECT` to the endpoint's port; it sees no header and no span.
    ///
    /// By the environment, `localhost`, loopback addresses and what `NO_PROXY` names are reached without a proxy.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = ProxyChoice::Named(url.into());
        self
    }

    /// Sends requests without a proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = ProxyChoice::None;
        self
    }

    /// Fetches the token of `Authorization: Bearer`, which replaces a header of that name. It is fetched for the first request, anew
    /// shortly before it ends, and once when the backend refuses it (401, UNAUTHENTICATED). It goes to this endpoint only: redirects
    /// are not followed.
    ///
    /// The future runs on a thread of Throughline's own, in a Tokio runtime with sockets and timers, where tracing is switched off. While
    /// it fails, which is said in one line, spans stay in the local spool.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use throughline::{BearerToken, Destination};
    ///
    /// let vendor = Destination::otlp("https://otlp.example.com").bearer_token(|| async {
    ///     let token = std::fs::read_to_string("/run/secrets/token")?;
    ///     Ok::<_, std::io::Error>(BearerToken::new(token.trim()).valid_for(Duration::from_secs(600)))
    /// });
    /// ```
    pub fn bearer_token<F, R, E>(mut self, source: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<BearerToken, E>> + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        self.token = Some(TokenSource::new(source));
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
            .field("has_token", &self.token.is_some())
            .finish()
    }
}
