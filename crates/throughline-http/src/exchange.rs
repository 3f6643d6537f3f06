//! One request and its response: the span around both, and the rules of its end. Servers and clients, HTTP and gRPC share it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use http::uri::PathAndQuery;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body::{Body, Frame};
use throughline::{Context, Span};

use crate::captured::Named;
use crate::failure::{self, CONNECTION_DROPPED, PANIC};
use crate::grpc::{self, GrpcCall, GrpcStatus};
use crate::late::{self, Late};
use crate::names::{Route, SpanName, with_name};
use crate::options::Options;
use crate::response_headers;
use crate::rpc::{self, Side};

/// A span from the request to the end of the response's body. Dropped before, it was cancelled.
#[derive(Debug)]
pub(crate) struct Exchange {
    span: Span,
    options: Arc<Options>,
    side: Side,
    rules: Rules,
    progress: Progress,
    /// Somebody gave the span a name; no route takes it away.
    is_named: bool,
}

/// By which conventions the span is written.
#[derive(Debug)]
pub(crate) enum Rules {
    Http {
        method: Method,
    },
    Grpc {
        /// Of a server only.
        path: Option<PathAndQuery>,
        /// From when on a call that is dropped has run out of time.
        deadline: Option<Instant>,
    },
}

#[derive(Debug)]
enum Progress {
    /// No response yet.
    Waiting,
    /// The body of a response with this status; nothing of it has come yet.
    Headers(StatusCode),
    /// The same, and some of it has come.
    Body(StatusCode),
    /// All is said.
    Over,
}

/// What a response still has to say when its headers are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    Nothing,
    /// A body; of this length in bytes, if that is known.
    Body(Option<u64>),
}

impl Exchange {
    pub fn new(span: Span, options: Arc<Options>, side: Side, rules: Rules) -> Self {
        Self {
            span,
            options,
            side,
            rules,
            progress: Progress::Waiting,
            is_named: false,
        }
    }

    /// Its span has a name that was given with the request, if `is_named`.
    pub fn named(mut self, is_named: bool) -> Self {
        self.is_named = is_named;
        self
    }

    /// Runs a part of the exchange: its span is current there. A panic is its end, and goes on.
    #[inline]
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let running = Running { exchange: self };
        let span = &mut running.exchange.span;
        let (result, learnt) = match running.exchange.side {
            Side::Server => span.in_scope(|| late::inside(f)),
            Side::Client => (span.in_scope(|| late::outside(f)), None),
        };
        // It did not panic.
        std::mem::forget(running);
        if let Some(learnt) = learnt {
            self.learn(&learnt);
        }
        result
    }

    /// The route or the name turned out while the request was handled.
    fn learn(&mut self, late: &Late) {
        if !self.span.is_recording() {
            return;
        }
        if let Some(route) = late.route.as_deref() {
            self.span.set("http.route", route);
            if let (Rules::Http { method }, false) = (&self.rules, self.is_named) {
                let method = self.options.known_methods.shown(method).name;
                with_name(method, Some(route), |name| self.span.rename(name));
            }
        }
        if let Some(name) = late.name.as_deref() {
            self.is_named = true;
            self.span.rename(name);
        }
    }

    /// The headers of the response are there.
    pub fn response<B: Body>(&mut self, response: &mut Response<B>) -> Rest {
        if self.side == Side::Server {
            response_headers::insert(&self.options, &self.span, response.headers_mut());
        }
        let status = response.status();
        self.progress = Progress::Headers(status);
        if self.span.is_recording() {
            self.describe(response);
        }
        let rest = self.rest_of(response);
        if rest == Rest::Nothing {
            self.end(Some(response.headers()));
        }
        rest
    }

    fn describe<B>(&mut self, response: &Response<B>) {
        let (headers, extensions) = (response.headers(), response.extensions());
        let captured = &self.options.response_headers;
        match &self.rules {
            Rules::Http { .. } => {
                let status = response.status();
                captured.record(headers, Named::Http, &mut self.span);
                self.span.set("http.response.status_code", status.as_u16());
                if is_failure(status, self.side) {
                    self.span.set("error.type", status.as_str());
                    self.span.status_error("");
                }
            }
            Rules::Grpc { .. } => captured.record(headers, Named::Rpc, &mut self.span),
        }
        match self.side {
            Side::Client => self.options.describe_peer(response, &mut self.span),
            Side::Server if extensions.is_empty() => {}
            Side::Server => self.learn(&Late {
                route: extensions.get::<Route>().map(|route| route.0.clone()),
                name: extensions.get::<SpanName>().map(|name| name.0.clone()),
            }),
        }
    }

    /// Which responses have no body is said in RFC 9110, section 6.4.1. hyper drops those bodies without a look at them.
    fn rest_of<B: Body>(&self, response: &Response<B>) -> Rest {
        let status = response.status();
        let has_no_body = match &self.rules {
            Rules::Http { method } => match *method {
                Method::HEAD => true,
                Method::CONNECT => status.is_success(),
                _ => false,
            },
            // Trailers alone, also where a proxy ends the stream behind them only.
            Rules::Grpc { .. } => response.headers().contains_key(grpc::STATUS),
        };
        let has_no_body = has_no_body
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || response.body().is_end_stream();
        if has_no_body {
            return Rest::Nothing;
        }
        match self.rules {
            // Its status comes in the trailers, whatever length is announced.
            Rules::Grpc { .. } => Rest::Body(None),
            Rules::Http { .. } => match length_of(response) {
                Some(0) => Rest::Nothing,
                length => Rest::Body(length),
            },
        }
    }

    /// A frame of the body has come. Trailers are its end.
    pub fn frame<D>(&mut self, frame: &Frame<D>) {
        if let (Progress::Headers(status), true) = (&self.progress, frame.is_data()) {
            self.progress = Progress::Body(*status);
            if self.options.first_byte {
                self.span.event("http.response.first_byte", []);
            }
        }
        if let Some(trailers) = frame.trailers_ref() {
            if let Rules::Grpc { .. } = self.rules {
                self.options
                    .response_headers
                    .record(trailers, Named::RpcTrailer, &mut self.span);
            }
            self.end(Some(trailers));
        }
    }

    /// The response has come to its end. gRPC: `last` are the headers or trailers that may hold the status.
    pub fn end(&mut self, last: Option<&HeaderMap>) {
        let status = match std::mem::replace(&mut self.progress, Progress::Over) {
            Progress::Headers(status) | Progress::Body(status) => status,
            Progress::Waiting | Progress::Over => return,
        };
        if let Rules::Grpc { path, .. } = &self.rules {
            let said = last.and_then(GrpcStatus::read);
            if let (Side::Server, Some(said), Some(path)) = (self.side, &said, path) {
                // The handlers of unknown services and methods answer so, with nothing but headers.
                if said.is_unknown_method() {
                    rpc::forget_method(&mut self.span, &GrpcCall { path: path.path() });
                }
            }
            let status = said.unwrap_or_else(|| GrpcStatus::of_http(status));
            rpc::settle(&mut self.span, self.side, &status);
        }
    }

    /// The service or the body failed.
    pub fn failed<E: Display + 'static>(&mut self, error: &E) {
        let options = self.options.clone();
        self.failed_as(failure::error_type(error), || {
            failure::message(error, &options.sensitive_keys)
        });
    }

    /// The same, where the error's name is known. `message` is asked only when the span is recorded.
    pub fn failed_as(&mut self, error_type: &str, message: impl FnOnce() -> String) {
        if matches!(std::mem::replace(&mut self.progress, Progress::Over), Progress::Over) {
            return;
        }
        if !self.span.is_recording() {
            return;
        }
        if let Rules::Grpc { deadline, .. } = &self.rules {
            let status = match self.side {
                // tonic's client ends a call at its deadline by an error of the connection.
                Side::Client if is_past(*deadline) => {
                    return rpc::settle(&mut self.span, self.side, &GrpcStatus::DEADLINE_EXCEEDED);
                }
                Side::Client => GrpcStatus::UNAVAILABLE,
                Side::Server => GrpcStatus::UNKNOWN,
            };
            rpc::settle(&mut self.span, self.side, &status);
        }
        self.span.set("error.type", error_type);
        self.span.status_error(&message());
    }

    /// The exchange was dropped before its end: the other side went away, a time limit ended it, or its caller lost interest.
    fn cancelled(&mut self) {
        match &self.rules {
            Rules::Grpc { deadline, .. } => {
                let status = match is_past(*deadline) {
                    true => GrpcStatus::DEADLINE_EXCEEDED,
                    false => GrpcStatus::CANCELLED,
                };
                rpc::settle(&mut self.span, self.side, &status);
            }
            // A caller that cancels, or does not read on, has not failed (HTTP spans, "Status").
            Rules::Http { .. } if self.side == Side::Client => {}
            Rules::Http { .. } => {
                self.span.set("error.type", CONNECTION_DROPPED);
                self.span.status_error("");
            }
        }
    }

    #[cfg(feature = "reqwest")]
    pub fn is_recording(&self) -> bool {
        self.span.is_recording()
    }

    pub fn is_over(&self) -> bool {
        matches!(self.progress, Progress::Over)
    }

    pub fn side(&self) -> Side {
        self.side
    }
}

/// While it lives, a part of an exchange is running: if it is dropped, by a panic.
struct Running<'a> {
    exchange: &'a mut Exchange,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.exchange.progress = Progress::Over;
        // The span's status tells the panic's message already.
        self.exchange.span.set("error.type", PANIC);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over() {
            self.cancelled();
        }
    }
}

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| Instant::now() >= deadline)
}

/// Status 4xx is a failure for the client that gets it, not for the server that says it (HTTP spans, "Status").
fn is_failure(status: StatusCode, side: Side) -> bool {
    match side {
        Side::Client => status.is_client_error() || status.as_u16() >= 500,
        Side::Server => status.as_u16() >= 500,
    }
}

/// The length of a body, if it is announced. Behind its last byte hyper does not look.
fn length_of<B: Body>(response: &Response<B>) -> Option<u64> {
    let header = response.headers().get(http::header::CONTENT_LENGTH);
    let announced = header.and_then(|length| length.to_str().ok()?.parse().ok());
    announced.or_else(|| response.body().size_hint().exact())
}

/// What a layer puts around a service's future and body.
#[derive(Debug)]
pub(crate) enum Around {
    /// Another layer of ours has the span, or tracing is off and nothing came in.
    Nothing,
    /// No span, but what came in is passed on.
    Context(Context),
    Exchange(Exchange),
}

impl Around {
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        match self {
            Self::Nothing => f(),
            Self::Context(context) => context.in_scope(f),
            Self::Exchange(exchange) => exchange.run(f),
        }
    }
}
