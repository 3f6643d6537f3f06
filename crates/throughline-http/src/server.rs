//! The layer for servers.

mod start;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::header::HeaderName;
use http::{Extensions, Request, Response};
use http_body::Body;
use throughline::{extract, seam};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::TracedBody;
use crate::exchange::Around;
use crate::future::ResponseFuture;
use crate::late;
use crate::methods::KnownMethods;
use crate::options::{Options, RequestHead};
use crate::redact::SensitiveKeys;
use crate::trust::Trust;

/// A tower layer that gives each request a SERVER span: for axum, hyper, tonic, and every service from requests to responses.
///
/// The span follows the conventions of HTTP, or of gRPC where the request's `content-type` is `application/grpc`. It lasts until the
/// response's body ends. The default traces all requests and continues their callers' traces.
///
/// A layer inside another one makes no second span: it tells the outer one its route. So a router below a `nest_service`, or below a
/// layer around all of the program, has a layer of its own to be named by.
///
/// ```
/// use axum::{Router, routing::get};
/// use throughline_http::ServerLayer;
///
/// let app: Router = Router::new()
///     .route("/orders/{id}", get(|| async { "an order" }))
///     .layer(ServerLayer::new());
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until a service is given to it"]
pub struct ServerLayer {
    options: Arc<Options>,
}

impl ServerLayer {
    /// A layer with the defaults. `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` is read once in a process.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// What is done with the trace that a caller is in. Default: [`Trust::Trust`].
    pub fn trust(self, trust: Trust) -> Self {
        self.with(|options| options.trust = trust)
    }

    /// Which requests have a span: those for which `filter` says `true`. Others pass without one. With [`Trust::Trust`] what they bring
    /// goes on to what the service calls; with [`Trust::Link`] and [`Trust::Ignore`] nothing of it does. Default: all.
    ///
    /// ```
    /// use throughline_http::ServerLayer;
    ///
    /// let layer = ServerLayer::new().filter(|request| request.uri.path() != "/healthz");
    /// ```
    pub fn filter(self, filter: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|options| options.filter = Some(Arc::new(filter)))
    }

    /// Headers of requests to be recorded, as `http.request.header.{name}` or `rpc.request.header.{name}`. Default: none.
    ///
    /// Values that are [sensitive](http::HeaderValue::is_sensitive) become `REDACTED`. Of one name 32 values are recorded at most.
    pub fn capture_request_headers<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        self.with(|options| options.capture_request_headers(names))
    }

    /// Headers of responses to be recorded, as `http.response.header.{name}`; of gRPC `rpc.response.header.{name}` and
    /// `rpc.response.trailer.{name}`. Default: none.
    pub fn capture_response_headers<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        self.with(|options| options.capture_response_headers(names))
    }

    /// The methods that are known, in place of the conventions' list and of `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`. Case-sensitive;
    /// all others are `_OTHER`.
    pub fn known_methods<M: AsRef<str>>(self, methods: impl IntoIterator<Item = M>) -> Self {
        self.with(|options| options.known_methods = KnownMethods::listed(methods))
    }

    /// The keys of queries whose values become `REDACTED`, in place of the conventions' list (`sig`, `X-Amz-Signature` and five
    /// others). Case-sensitive.
    pub fn sensitive_query_keys<K: AsRef<str>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        self.with(|options| options.sensitive_keys = SensitiveKeys::listed(keys))
    }

    /// Whether responses tell their trace in a `traceresponse` header (W3C Trace Context Level 3, draft). Default: no.
    pub fn traceresponse(self, is_sent: bool) -> Self {
        self.with(|options| options.traceresponse = is_sent)
    }

    /// Whether responses tell their trace in `Server-Timing`, where scripts in a browser can read it. Default: no.
    pub fn server_timing(self, is_sent: bool) -> Self {
        self.with(|options| options.server_timing = is_sent)
    }

    /// Whether the first byte of a response's body is an event, `http.response.first_byte`. Default: no.
    pub fn time_to_first_byte(self, is_recorded: bool) -> Self {
        self.with(|options| options.first_byte = is_recorded)
    }

    /// The `url.scheme` of requests that do not say it, as those of HTTP/1.1 never do. Default: `http`.
    pub fn scheme(self, scheme: &'static str) -> Self {
        self.with(|options| options.scheme = scheme)
    }

    /// Where the address of the other end of the connection is to be found, beside [`PeerAddress`](crate::PeerAddress).
    ///
    /// ```
    /// use throughline_http::ServerLayer;
    /// use tonic::transport::server::TcpConnectInfo;
    ///
    /// let layer = ServerLayer::new().peer_address(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr());
    /// ```
    pub fn peer_address(self, find: fn(&Extensions) -> Option<SocketAddr>) -> Self {
        self.with(|options| options.find_peer = Some(find))
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = TracedServer<S>;

    fn layer(&self, inner: S) -> TracedServer<S> {
        TracedServer {
            inner,
            options: self.options.clone(),
        }
    }
}

/// A service whose requests have SERVER spans; made by [`ServerLayer`].
#[derive(Clone, Debug)]
pub struct TracedServer<S> {
    inner: S,
    options: Arc<Options>,
}

impl<S> TracedServer<S> {
    /// The service itself.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    fn around<B>(&self, request: &Request<B>) -> Around {
        let caller = extract(request.headers()).unwrap_or_default();
        // Off, nobody asks the filter, and nothing is looked up for a span that will not be.
        if !seam::is_on() || !self.options.wants(&RequestHead::of(request)) {
            return match caller.is_empty() || self.options.trust != Trust::Trust {
                true => Around::Nothing,
                false => Around::Context(caller),
            };
        }
        start::exchange(&self.options, request, &caller)
    }
}

impl<S, B, R> Service<Request<B>> for TracedServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Display + 'static,
    R: Body,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(task)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut around = match late::is_inside() {
            true => {
                start::tell_route(&request);
                Around::Nothing
            }
            false => self.around(&request),
        };
        let future = around.run(|| self.inner.call(request));
        ResponseFuture::new(future, around)
    }
}
