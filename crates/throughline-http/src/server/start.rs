//! How a SERVER span starts.

use std::borrow::Cow;
use std::sync::Arc;

use http::header::USER_AGENT;
use http::{Extensions, Request};
use throughline::{Context, Span, SpanKind, StartAttributes, display};

use crate::address::{ForwardedFor, HostPort, text};
use crate::captured::Named;
use crate::exchange::{Around, Exchange, Rules};
use crate::grpc::{self, GrpcCall};
use crate::late;
use crate::names::{Route, SpanName, with_name};
use crate::options::{Options, describe_peer, version};
use crate::rpc::{self, Side};
use crate::scope;
use crate::trust::Trust;

/// Starts the span of a request, by the rules of HTTP or of gRPC.
pub(super) fn exchange<B>(options: &Arc<Options>, request: &Request<B>, caller: &Context) -> Around {
    let start = match grpc::is_grpc(request.headers()) {
        true => start_grpc,
        false => start_http,
    };
    let (span, rules) = start(options, request, caller);
    if !span.is_recording() && span.context().is_empty() {
        return Around::Nothing;
    }
    let is_named = request.extensions().get::<SpanName>().is_some();
    Around::Exchange(Exchange::new(span, options.clone(), Side::Server, rules).named(is_named))
}

/// A layer inside another one knows the route better.
pub(super) fn tell_route<B>(request: &Request<B>) {
    if let Some(route) = route(request.extensions()) {
        late::set_route(route.into_owned());
    }
    if let Some(name) = request.extensions().get::<SpanName>() {
        late::set_name(name.0.clone());
    }
}

fn route(extensions: &Extensions) -> Option<Cow<'_, str>> {
    if let Some(route) = extensions.get::<Route>() {
        return Some(Cow::Borrowed(route.as_str()));
    }
    #[cfg(feature = "axum")]
    return crate::axum::route(extensions);
    #[cfg(not(feature = "axum"))]
    None
}

fn start_http<B>(options: &Options, request: &Request<B>, caller: &Context) -> (Span, Rules) {
    let (uri, headers, extensions) = (request.uri(), request.headers(), request.extensions());
    let method = options.known_methods.shown(request.method());
    let route = route(extensions);
    let describe = |attributes: &mut StartAttributes<'_, '_>| {
        let forwarded = match options.trust {
            Trust::Trust => ForwardedFor::of(headers),
            Trust::Link | Trust::Ignore => ForwardedFor::default(),
        };
        attributes.set("http.request.method", method.method);
        attributes.set("http.request.method_original", method.original);
        attributes.set("url.path", uri.path());
        if let Some(query) = uri.query() {
            attributes.set("url.query", &*options.sensitive_keys.redacted(query));
        }
        let scheme = forwarded.scheme.or(uri.scheme_str()).unwrap_or(options.scheme);
        attributes.set("url.scheme", scheme);
        if let Some(server) = forwarded.host.or_else(|| HostPort::of_request(uri, headers)) {
            attributes.set("server.address", server.host);
            attributes.set("server.port", server.port);
        }
        attributes.set("http.route", route.as_deref());
        attributes.set("network.protocol.version", version(request.version()));
        attributes.set("user_agent.original", text(headers, &USER_AGENT));
        let peer = options.peer(extensions);
        match forwarded.client {
            Some(client) => attributes.set("client.address", client.host),
            None => attributes.set("client.address", peer.map(|peer| display(peer.ip()))),
        }
        describe_peer(peer, attributes);
        options.request_headers.record(headers, Named::Http, attributes);
    };
    let start = |name: &str| {
        let span = Span::builder(name).kind(SpanKind::Server).scope(scope());
        options.trust.apply(span, caller).start_with(describe)
    };
    let span = match extensions.get::<SpanName>() {
        Some(name) => start(name.as_str()),
        None => with_name(method.name, route.as_deref(), start),
    };
    let method = request.method().clone();
    (span, Rules::Http { method })
}

fn start_grpc<B>(options: &Options, request: &Request<B>, caller: &Context) -> (Span, Rules) {
    let (uri, headers, extensions) = (request.uri(), request.headers(), request.extensions());
    let call = GrpcCall { path: uri.path() };
    let describe = |attributes: &mut StartAttributes<'_, '_>| {
        rpc::describe(&call, attributes);
        if let Some(server) = HostPort::of_request(uri, headers) {
            attributes.set("server.address", server.host);
            attributes.set("server.port", server.port);
        }
        describe_peer(options.peer(extensions), attributes);
        options.request_headers.record(headers, Named::Rpc, attributes);
    };
    let start = |name: &str| {
        let span = Span::builder(name).kind(SpanKind::Server).scope(scope());
        options.trust.apply(span, caller).start_with(describe)
    };
    let span = match extensions.get::<SpanName>() {
        Some(name) => start(name.as_str()),
        None => rpc::with_name(&call, start),
    };
    let deadline = grpc::deadline(headers);
    let path = uri.path_and_query().cloned();
    (span, Rules::Grpc { path, deadline })
}
