//! How a CLIENT span starts.

use std::sync::Arc;

use http::{HeaderMap, Request, Uri};
use throughline::{Span, SpanKind, StartAttributes};

use super::Attempts;
use crate::address::{HostPort, text};
use crate::captured::Named;
use crate::exchange::{Around, Exchange, Rules};
use crate::grpc::{self, GrpcCall};
use crate::names::{SpanName, UrlTemplate, with_name, with_text};
use crate::options::Options;
use crate::redact::push_authority;
use crate::rpc::{self, Side};
use crate::scope;

/// In the extensions of a request that has a span: it is that of this request, and of what repeats it further inside.
#[derive(Clone)]
struct HasSpan;

/// Starts the span of a request, by the rules of HTTP or of gRPC, and puts its context into the headers.
pub(super) fn exchange<B>(options: &Arc<Options>, request: &mut Request<B>) -> Around {
    if request.extensions().get::<HasSpan>().is_some() {
        return Around::Nothing;
    }
    let start = match grpc::is_grpc(request.headers()) {
        true => start_grpc,
        false => start_http,
    };
    let (span, rules) = start(options, request);
    let context = span.context();
    context.inject(request.headers_mut());
    if span.is_recording() {
        request.extensions_mut().insert(HasSpan);
    } else if context.is_empty() {
        return Around::Nothing;
    }
    Around::Exchange(Exchange::new(span, options.clone(), Side::Client, rules))
}

fn start_http<B>(options: &Options, request: &Request<B>) -> (Span, Rules) {
    let (uri, headers, extensions) = (request.uri(), request.headers(), request.extensions());
    let method = options.known_methods.shown(request.method());
    let template = extensions.get::<UrlTemplate>().map(UrlTemplate::as_str);
    let resent = extensions.get::<Attempts>().map(Attempts::next);
    let describe = |attributes: &mut StartAttributes<'_, '_>| {
        attributes.set("http.request.method", method.method);
        attributes.set("http.request.method_original", method.original);
        with_text(
            |url| write_url(url, options, uri, headers),
            |url| attributes.set("url.full", url),
        );
        if let Some(server) = server(options, uri, headers) {
            attributes.set("server.address", server.host);
            attributes.set(
                "server.port",
                server
                    .port
                    .or_else(|| default_port(uri.scheme_str().unwrap_or(options.scheme))),
            );
        }
        attributes.set("url.template", template);
        attributes.set("http.request.resend_count", resent.filter(|resent| *resent > 0));
        options.request_headers.record(headers, Named::Http, attributes);
    };
    let start = |name: &str| {
        Span::builder(name)
            .kind(SpanKind::Client)
            .scope(scope())
            .start_with(describe)
    };
    let span = match extensions.get::<SpanName>() {
        Some(name) => start(name.as_str()),
        None => with_name(method.name, template, start),
    };
    let method = request.method().clone();
    (span, Rules::Http { method })
}

fn start_grpc<B>(options: &Options, request: &Request<B>) -> (Span, Rules) {
    let (uri, headers, extensions) = (request.uri(), request.headers(), request.extensions());
    let call = GrpcCall { path: uri.path() };
    let describe = |attributes: &mut StartAttributes<'_, '_>| {
        rpc::describe(&call, attributes);
        if let Some(server) = server(options, uri, headers) {
            attributes.set("server.address", server.host);
            attributes.set("server.port", server.port);
        }
        options.request_headers.record(headers, Named::Rpc, attributes);
    };
    let start = |name: &str| {
        Span::builder(name)
            .kind(SpanKind::Client)
            .scope(scope())
            .start_with(describe)
    };
    let span = match extensions.get::<SpanName>() {
        Some(name) => start(name.as_str()),
        None => rpc::with_name(&call, start),
    };
    let deadline = grpc::deadline(headers);
    (span, Rules::Grpc { path: None, deadline })
}

/// What is dialled: as the layer was told, else as the request says.
fn server<'a>(options: &'a Options, uri: &'a Uri, headers: &'a HeaderMap) -> Option<HostPort<'a>> {
    match &options.target {
        Some(target) => Some(HostPort::of_target(target)),
        None => HostPort::of_request(uri, headers),
    }
}

/// `url.full`: without credentials and signatures. A request with a path only gets its host from `Host`.
fn write_url(url: &mut String, options: &Options, uri: &Uri, headers: &HeaderMap) {
    let host = || text(headers, &http::header::HOST);
    if let Some(authority) = uri.authority().map(|authority| authority.as_str()).or_else(host) {
        url.push_str(uri.scheme_str().unwrap_or(options.scheme));
        url.push_str("://");
        push_authority(url, authority);
    }
    url.push_str(uri.path());
    if let Some(query) = uri.query() {
        url.push('?');
        url.push_str(&options.sensitive_keys.redacted(query));
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}
