//! What the layers of servers and clients can be told.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::header::HeaderName;
use http::{Extensions, HeaderMap, Method, Response, Uri, Version};
use throughline::{Span, display};

use crate::address::PeerAddress;
use crate::captured::{Attributes, Captured};
use crate::methods::KnownMethods;
use crate::redact::SensitiveKeys;
use crate::trust::Trust;

/// A request without its body, for filters.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a Method,
    /// The target, as far as the request says it.
    pub uri: &'a Uri,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// What other layers have put there.
    pub extensions: &'a Extensions,
}

impl<'a> RequestHead<'a> {
    pub(crate) fn of<B>(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

pub(crate) type Filter = dyn Fn(&RequestHead<'_>) -> bool + Send + Sync;
pub(crate) type FindPeer = fn(&Extensions) -> Option<SocketAddr>;

/// Those of a server and of a client; each uses what it knows.
#[derive(Clone)]
pub(crate) struct Options {
    pub trust: Trust,
    pub filter: Option<Arc<Filter>>,
    pub known_methods: KnownMethods,
    pub sensitive_keys: SensitiveKeys,
    pub request_headers: Captured,
    pub response_headers: Captured,
    pub traceresponse: bool,
    pub server_timing: bool,
    pub first_byte: bool,
    /// The scheme of requests that do not say it.
    pub scheme: &'static str,
    /// What a client dials, where its requests do not say it.
    pub target: Option<Box<str>>,
    pub find_peer: Option<FindPeer>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            trust: Trust::default(),
            filter: None,
            known_methods: KnownMethods::from_environment(),
            sensitive_keys: SensitiveKeys::Standard,
            request_headers: Captured::default(),
            response_headers: Captured::default(),
            traceresponse: false,
            server_timing: false,
            first_byte: false,
            scheme: "http",
            target: None,
            find_peer: None,
        }
    }
}

impl Options {
    pub fn capture_request_headers<N>(&mut self, names: impl IntoIterator<Item = N>)
    where
        HeaderName: TryFrom<N>,
    {
        self.request_headers.add(names, "request");
    }

    pub fn capture_response_headers<N>(&mut self, names: impl IntoIterator<Item = N>)
    where
        HeaderName: TryFrom<N>,
    {
        self.response_headers.add(names, "response");
    }

    /// Whether a request is to have a span.
    pub fn wants(&self, request: &RequestHead<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(request))
    }

    pub fn peer(&self, extensions: &Extensions) -> Option<SocketAddr> {
        if let Some(PeerAddress(address)) = extensions.get() {
            return Some(*address);
        }
        #[cfg(feature = "axum")]
        if let Some(address) = crate::axum::peer(extensions) {
            return Some(address);
        }
        self.find_peer.and_then(|find| find(extensions))
    }

    /// What a client learns of the connection when the response is there.
    pub fn describe_peer<B>(&self, response: &Response<B>, span: &mut Span) {
        span.set("network.protocol.version", version(response.version()));
        describe_peer(self.peer(response.extensions()), span);
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}

/// `network.peer.*`.
pub(crate) fn describe_peer(peer: Option<SocketAddr>, attributes: &mut impl Attributes) {
    if let Some(peer) = peer {
        attributes.set_attribute("network.peer.address", display(peer.ip()));
        attributes.set_attribute("network.peer.port", peer.port());
    }
}

/// `network.protocol.version`.
pub(crate) fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_09 => Some("0.9"),
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
