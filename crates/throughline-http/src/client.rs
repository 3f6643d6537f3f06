//! The layer for clients.

mod start;

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context as TaskContext, Poll};

use http::header::HeaderName;
use http::{Extensions, Request, Response};
use http_body::Body;
use throughline::Context;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::TracedBody;
use crate::exchange::Around;
use crate::future::{ResponseFuture, finish};
use crate::methods::KnownMethods;
use crate::options::{Options, RequestHead};
use crate::redact::SensitiveKeys;

/// A tower layer that gives each request a CLIENT span and puts its context into the headers: for hyper's and tonic's clients, and
/// every service from requests to responses.
///
/// The span follows the conventions of HTTP, or of gRPC where the request's `content-type` is `application/grpc`. It lasts until the
/// response's body ends. Put the layer inside what repeats requests (retries, redirects), so that each attempt has its span, and
/// outside of what holds connections (a pool, tonic's `Channel`). A layer inside another one makes no second span.
///
/// ```
/// use throughline_http::ClientLayer;
/// use tower::ServiceBuilder;
/// # fn show(channel: tonic::transport::Channel) {
///
/// let client = ServiceBuilder::new()
///     .layer(ClientLayer::new().target("dns:///orders.example:50051"))
///     .service(channel);
/// # }
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a layer does nothing until a service is given to it"]
pub struct ClientLayer {
    options: Arc<Options>,
}

impl ClientLayer {
    /// A layer with the defaults. `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS` is read once in a process.
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(Arc::make_mut(&mut self.options));
        self
    }

    /// Which requests have a span: those for which `filter` says `true`. Others get the current context as it is. Default: all.
    pub fn filter(self, filter: impl Fn(&RequestHead<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.with(|options| options.filter = Some(Arc::new(filter)))
    }

    /// Headers of requests to be recorded; see [`ServerLayer::capture_request_headers`](crate::ServerLayer::capture_request_headers).
    pub fn capture_request_headers<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        self.with(|options| options.capture_request_headers(names))
    }

    /// Headers of responses to be recorded; see [`ServerLayer::capture_response_headers`](crate::ServerLayer::capture_response_headers).
    pub fn capture_response_headers<N>(self, names: impl IntoIterator<Item = N>) -> Self
    where
        HeaderName: TryFrom<N>,
    {
        self.with(|options| options.capture_response_headers(names))
    }

    /// The methods that are known; see [`ServerLayer::known_methods`](crate::ServerLayer::known_methods).
    pub fn known_methods<M: AsRef<str>>(self, methods: impl IntoIterator<Item = M>) -> Self {
        self.with(|options| options.known_methods = KnownMethods::listed(methods))
    }

    /// The keys of queries whose values become `REDACTED`; see
    /// [`ServerLayer::sensitive_query_keys`](crate::ServerLayer::sensitive_query_keys).
    pub fn sensitive_query_keys<K: AsRef<str>>(self, keys: impl IntoIterator<Item = K>) -> Self {
        self.with(|options| options.sensitive_keys = SensitiveKeys::listed(keys))
    }

    /// Whether the first byte of a response's body is an event, `http.response.first_byte`. Default: no.
    pub fn time_to_first_byte(self, is_recorded: bool) -> Self {
        self.with(|options| options.first_byte = is_recorded)
    }

    /// The scheme of requests that do not say it: those with a path only. Default: `http`.
    pub fn scheme(self, scheme: &'static str) -> Self {
        self.with(|options| options.scheme = scheme)
    }

    /// What is dialled, where requests do not say it, as those of a tonic client do not: `http://host:50051`, or any target of gRPC
    /// (`dns:///host:50051`, `unix:///socket`). It becomes `server.address` and `server.port`. Default: what the request says.
    pub fn target(self, target: impl Into<String>) -> Self {
        self.with(|options| options.target = Some(target.into().into()))
    }

    /// Where the address of the other end is to be found in the extensions of a response, beside
    /// [`PeerAddress`](crate::PeerAddress).
    ///
    /// ```
    /// use hyper_util::client::legacy::connect::HttpInfo;
    /// use throughline_http::ClientLayer;
    ///
    /// let layer = ClientLayer::new().peer_address(|extensions| Some(extensions.get::<HttpInfo>()?.remote_addr()));
    /// ```
    pub fn peer_address(self, find: fn(&Extensions) -> Option<SocketAddr>) -> Self {
        self.with(|options| options.find_peer = Some(find))
    }

    /// Starts the span of a request that no tower service sends, and puts its context into the headers.
    ///
    /// ```
    /// use http::{Request, Response};
    /// use throughline_http::ClientLayer;
    ///
    /// # fn send(request: Request<()>) -> Result<Response<Empty>, std::io::Error> { Ok(Response::new(Empty)) }
    /// # use http_body_util::Empty as E; type Empty = E<bytes::Bytes>; #[allow(non_upper_case_globals)] const Empty: Empty = E::new();
    /// let mut request = Request::get("http://orders.example/").body(()).unwrap();
    /// let call = ClientLayer::new().start(&mut request);
    /// let response = call.finish(send(request));
    /// ```
    pub fn start<B>(&self, request: &mut Request<B>) -> ClientCall {
        ClientCall {
            around: self.around(request),
        }
    }

    pub(crate) fn around<B>(&self, request: &mut Request<B>) -> Around {
        if !self.options.wants(&RequestHead::of(request)) {
            Context::current().inject(request.headers_mut());
            return Around::Nothing;
        }
        start::exchange(&self.options, request)
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = TracedClient<S>;

    fn layer(&self, inner: S) -> TracedClient<S> {
        TracedClient {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service whose requests have CLIENT spans; made by [`ClientLayer`].
#[derive(Clone, Debug)]
pub struct TracedClient<S> {
    inner: S,
    layer: ClientLayer,
}

impl<S> TracedClient<S> {
    /// The service itself.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, B, R> Service<Request<B>> for TracedClient<S>
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

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut around = self.layer.around(&mut request);
        let future = around.run(|| self.inner.call(request));
        ResponseFuture::new(future, around)
    }
}

/// The span of a request that no tower service sends; made by [`ClientLayer::start`]. Dropped, it was cancelled.
#[derive(Debug)]
#[must_use = "a call that is dropped was cancelled; `let _ = call` drops it at once"]
pub struct ClientCall {
    around: Around,
}

impl ClientCall {
    /// Runs `f` while the span is current on this thread. For futures there is [`wait`](Self::wait).
    pub fn in_scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.around.run(f)
    }

    /// Runs the future that sends the request: the span is current in every poll, and goes on in the response's body.
    pub fn wait<F, B, E>(self, sending: F) -> ResponseFuture<F>
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body,
        E: Display + 'static,
    {
        ResponseFuture::new(sending, self.around)
    }

    /// The response, in whose body the span goes on, or the failure.
    ///
    /// # Errors
    ///
    /// The failure that was given.
    pub fn finish<B: Body, E: Display + 'static>(
        self,
        result: Result<Response<B>, E>,
    ) -> Result<Response<TracedBody<B>>, E> {
        finish(self.around, result)
    }
}

/// Counts the attempts of one request, for `http.request.resend_count`.
///
/// Put it into the extensions of a request before it goes to a service that repeats requests, with a [`ClientLayer`] inside of that.
/// Clones count together.
///
/// ```
/// use throughline_http::Attempts;
///
/// let mut request = http::Request::get("http://localhost/").body(()).unwrap();
/// request.extensions_mut().insert(Attempts::default());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU32>);

impl Attempts {
    /// How many were made before this one.
    pub(crate) fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
