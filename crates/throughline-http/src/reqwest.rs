//! A middleware for reqwest, by `reqwest-middleware`.

use std::any::Any;
use std::future::poll_fn;

use async_trait::async_trait;
use http::Extensions;
use reqwest::{Body, Request, Response, ResponseBuilderExt as _};
use reqwest_middleware::{Middleware, Next, Result};

use crate::address::PeerAddress;
use crate::body::TracedBody;
use crate::client::{Attempts, ClientLayer};
use crate::exchange::{Around, Exchange, Rest};
use crate::failure;
use crate::names::{SpanName, UrlTemplate};
use crate::redact::{REDACTED, SensitiveKeys};

/// Gives each request of a reqwest client a CLIENT span; made from a [`ClientLayer`], whose options hold.
///
/// Put it inside of middlewares that repeat requests (`with` after them): each attempt then has a span, and from the second on
/// `http.request.resend_count`. Redirects are followed inside of reqwest, where nobody sees them: they are within one span, which has
/// the first URL. To see each, give the client `redirect::Policy::none()` and follow them outside.
///
/// [`SpanName`] and [`UrlTemplate`] are given by `with_extension` of the request's builder.
///
/// ```no_run
/// use reqwest_middleware::ClientBuilder;
/// use throughline_http::{ClientLayer, UrlTemplate, reqwest::TraceMiddleware};
///
/// # async fn show() -> Result<(), Box<dyn std::error::Error>> {
/// let client = ClientBuilder::new(reqwest::Client::new())
///     .with(TraceMiddleware::new(ClientLayer::new()))
///     .build();
/// let order = client.get("http://orders.example/orders/7").with_extension(UrlTemplate::new("/orders/{id}")).send().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TraceMiddleware {
    layer: ClientLayer,
}

impl TraceMiddleware {
    /// A middleware with the options of a layer.
    #[must_use]
    pub fn new(layer: ClientLayer) -> Self {
        Self { layer }
    }

    /// The span starts, and its context goes into the request's headers.
    fn start(&self, request: &mut Request, extensions: &mut Extensions) -> Around {
        // What a tower service would be given: with no body, since the span's start does not look at it.
        let mut head = http::Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.url().as_str().parse().unwrap_or_default();
        std::mem::swap(head.headers_mut(), request.headers_mut());
        let attempts = extensions.get_or_insert_default::<Attempts>().clone();
        head.extensions_mut().insert(attempts);
        copy::<SpanName>(extensions, head.extensions_mut());
        copy::<UrlTemplate>(extensions, head.extensions_mut());
        let around = self.layer.around(&mut head);
        std::mem::swap(head.headers_mut(), request.headers_mut());
        around
    }
}

fn copy<T: Clone + Send + Sync + 'static>(from: &Extensions, to: &mut Extensions) {
    if let Some(value) = from.get::<T>() {
        to.insert(value.clone());
    }
}

/// In the extensions of a request while a middleware further outside has its span.
#[derive(Clone)]
struct HasSpan;

/// What is repeated comes with the same extensions, and has a span of its own; also when this attempt was given up.
struct Marked<'e>(&'e mut Extensions);

impl<'e> Marked<'e> {
    fn new(extensions: &'e mut Extensions) -> Self {
        extensions.insert(HasSpan);
        Self(extensions)
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.0.remove::<HasSpan>();
    }
}

#[async_trait]
impl Middleware for TraceMiddleware {
    async fn handle(&self, mut request: Request, extensions: &mut Extensions, next: Next<'_>) -> Result<Response> {
        if extensions.get::<HasSpan>().is_some() {
            return next.run(request, extensions).await;
        }
        let mut around = self.start(&mut request, extensions);
        let result = {
            let marked = Marked::new(extensions);
            let mut sending = next.run(request, marked.0);
            poll_fn(|task| around.run(|| sending.as_mut().poll(task))).await
        };
        match around {
            Around::Exchange(exchange) if exchange.is_recording() => finish(exchange, result),
            _ => result,
        }
    }
}

/// The headers are there, or there will be none.
fn finish(mut exchange: Exchange, result: Result<Response>) -> Result<Response> {
    let response = result.inspect_err(|error| exchange.failed(error))?;
    let (url, peer) = (response.url().clone(), response.remote_addr());
    let mut response: http::Response<Body> = response.into();
    if let Some(peer) = peer {
        response.extensions_mut().insert(PeerAddress(peer));
    }
    // reqwest knows the URL of a response that is made by hand from its extensions.
    if let Ok(mut named) = http::Response::builder().url(url).body(()) {
        response.extensions_mut().extend(std::mem::take(named.extensions_mut()));
    }
    let rest = exchange.response(&mut response);
    Ok(match rest {
        Rest::Nothing => response.into(),
        Rest::Body(length) => {
            let traced = |body| Body::wrap(TracedBody::new(body, Around::Exchange(exchange), length));
            response.map(traced).into()
        }
    })
}

fn of_reqwest(error: &dyn Any) -> Option<&reqwest::Error> {
    match error.downcast_ref::<reqwest_middleware::Error>() {
        Some(reqwest_middleware::Error::Reqwest(error)) => Some(error),
        Some(reqwest_middleware::Error::Middleware(_)) => None,
        None => error.downcast_ref(),
    }
}

/// The message of an error: where it is reqwest's, which tells the URL, without credentials and signatures.
pub(crate) fn redacted(error: &dyn Any, message: String, keys: &SensitiveKeys) -> String {
    let Some(url) = of_reqwest(error).and_then(reqwest::Error::url) else {
        return message;
    };
    let mut shown = url.clone();
    // A URL that has no user cannot be given one, and needs none.
    if !url.username().is_empty() {
        let _ = shown.set_username(REDACTED);
    }
    if url.password().is_some() {
        let _ = shown.set_password(Some(REDACTED));
    }
    if let Some(query) = url.query() {
        shown.set_query(Some(&keys.redacted(query)));
    }
    message.replace(url.as_str(), shown.as_str())
}

/// The `error.type` of reqwest's errors.
pub(crate) fn error_type(error: &dyn Any) -> Option<&'static str> {
    if let Some(reqwest_middleware::Error::Middleware(_)) = error.downcast_ref() {
        return Some("_OTHER");
    }
    Some(match of_reqwest(error)? {
        error if error.is_timeout() => "timeout",
        error if error.is_redirect() => "redirect",
        error => failure::of_chain(error).unwrap_or("reqwest::Error"),
    })
}
