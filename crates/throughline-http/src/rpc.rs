//! Spans for an RPC of one's own, by the same rules that gRPC has here.
//!
//! A framework says two things: what a call is ([`Call`]), and how it ended ([`Outcome`]). The rest is done here: names and
//! attributes of the RPC conventions, context over the border, calls that are dropped.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use throughline_http::Trust;
//! use throughline_http::rpc::{self, Named};
//!
//! # let capture = throughline::testing::capture();
//! // The caller: the context goes into whatever the protocol has for it.
//! let mut metadata = HashMap::new();
//! let call = rpc::client(&Named::new("shoprpc", "Orders/Place"), &mut metadata);
//!
//! // The other side:
//! let served = rpc::server(&Named::new("shoprpc", "Orders/Place"), throughline::extract(&metadata), Trust::Trust);
//! served.finish(&Ok::<u32, rpc::Failure>(7));
//!
//! call.finish(&Ok::<u32, rpc::Failure>(7));
//! # capture.assert_tree("Orders/Place\n  Orders/Place");
//! ```
//!
//! Futures and streams have [`around`](RpcSpan::around). A callback, from the server to its client, is a call the other way round,
//! and a handshake is a call like any other: its context is that of the connection, for what carries none of its own.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;
use throughline::{Carrier, Context, Span, SpanKind};

use crate::captured::Attributes;
use crate::scope;
use crate::trust::Trust;

/// Which end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a call has two ends")]
pub enum Side {
    /// It waits for the answer.
    Client,
    /// It answers.
    Server,
}

/// What a call is, before it begins.
pub trait Call {
    /// `rpc.system.name`: the protocol or framework, fixed, in lower case.
    fn system(&self) -> &str;

    /// `rpc.method`, which is also the span's name: service and method. `None` for a method that nobody here knows, since what a
    /// caller sends must not make names: then it is `_OTHER`.
    fn method(&self) -> Option<&str>;

    /// `rpc.method_original`, recorded when [`method`](Self::method) is `None`. Default: none.
    fn original_method(&self) -> Option<&str> {
        None
    }

    /// `server.address` and `server.port`: what the client dials. Default: none.
    fn server(&self) -> Option<(&str, Option<u16>)> {
        None
    }
}

/// How a call ended.
///
/// A `Result` whose error is an outcome is one: `Ok` is a success without a code.
pub trait Outcome {
    /// `rpc.status_code`, where the protocol has one; of a failure it is the `error.type` as well. Few and fixed.
    fn status_code(&self) -> Option<Cow<'_, str>>;

    /// Whether it is a failure, seen from this side. A caller's mistake is mostly none of the server's.
    fn is_error(&self, side: Side) -> bool;

    /// What a person should read of a failure, if it says more than the code. Default: nothing.
    fn description(&self) -> Option<Cow<'_, str>> {
        None
    }
}

impl<T, E: Outcome> Outcome for Result<T, E> {
    fn status_code(&self) -> Option<Cow<'_, str>> {
        self.as_ref().err()?.status_code()
    }

    fn is_error(&self, side: Side) -> bool {
        self.as_ref().err().is_some_and(|error| error.is_error(side))
    }

    fn description(&self) -> Option<Cow<'_, str>> {
        self.as_ref().err()?.description()
    }
}

/// A [`Call`] that is a system and a method, for frameworks that have no type for it.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    system: &'a str,
    method: &'a str,
}

impl<'a> Named<'a> {
    /// `system` as of [`Call::system`]; `method` as of [`Call::method`], and known.
    #[must_use]
    pub fn new(system: &'a str, method: &'a str) -> Self {
        Self { system, method }
    }
}

impl Call for Named<'_> {
    fn system(&self) -> &str {
        self.system
    }

    fn method(&self) -> Option<&str> {
        Some(self.method)
    }
}

/// An [`Outcome`] that is a failure on both sides, by its code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure(
    /// `rpc.status_code` and `error.type`.
    pub &'static str,
);

impl Outcome for Failure {
    fn status_code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(self.0))
    }

    fn is_error(&self, _: Side) -> bool {
        true
    }
}

/// Starts the CLIENT span of a call, below the current span, and writes its context into `carrier`.
pub fn client(call: &impl Call, carrier: impl Carrier) -> RpcSpan {
    let span = with_name(call, |name| {
        let span = Span::builder(name).kind(SpanKind::Client).scope(scope());
        span.start_with(|attributes| describe(call, attributes))
    });
    span.context().inject(carrier);
    RpcSpan::new(span, Side::Client)
}

/// Starts the SERVER span of a call. `caller` is what [`extract`](throughline::extract) read from it, and counts as far as it is trusted.
pub fn server(call: &impl Call, caller: Option<Context>, trust: Trust) -> RpcSpan {
    let caller = caller.unwrap_or_default();
    let span = with_name(call, |name| {
        let span = Span::builder(name).kind(SpanKind::Server).scope(scope());
        trust
            .apply(span, &caller)
            .start_with(|attributes| describe(call, attributes))
    });
    RpcSpan::new(span, Side::Server)
}

/// The span of a call; made by [`client`] and [`server`].
///
/// It ends by [`finish`](Self::finish), or with the future or stream that it is [around](Self::around). One that is dropped before
/// was cancelled: on a client that is a failure with the `error.type` `CANCELLED`, on a server it is none of its own.
#[derive(Debug)]
#[must_use = "a call that is dropped was cancelled; `let _ = call` drops it at once"]
pub struct RpcSpan {
    span: Span,
    side: Side,
    is_over: bool,
}

impl RpcSpan {
    fn new(span: Span, side: Side) -> Self {
        Self {
            span,
            side,
            is_over: false,
        }
    }

    /// The call's context: the parent of what is done for it elsewhere.
    #[must_use]
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// The span, to set attributes and events.
    pub fn span(&mut self) -> &mut Span {
        &mut self.span
    }

    /// Runs `f` while the span is current on this thread. A panic in it is a failure of the call, and goes on.
    pub fn in_scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let panicking = Panicking { call: self };
        let result = panicking.call.span.in_scope(f);
        std::mem::forget(panicking);
        result
    }

    /// Says how the call ended, and ends the span.
    pub fn finish(mut self, outcome: &impl Outcome) {
        self.settle(outcome);
    }

    /// Runs a future or a stream as this call: the span is current in every poll. A future's output is the call's outcome; of a stream
    /// each item is one, and the first failure or else its end is the outcome of the call.
    pub fn around<T>(self, inner: T) -> InCall<T> {
        InCall {
            inner: Some(inner),
            call: Some(self),
        }
    }

    fn settle(&mut self, outcome: &impl Outcome) {
        if !self.is_over {
            self.is_over = true;
            settle(&mut self.span, self.side, outcome);
        }
    }
}

impl Drop for RpcSpan {
    fn drop(&mut self) {
        self.settle(&Cancelled);
    }
}

/// While it lives, a call is running: if it is dropped, by a panic.
struct Panicking<'a> {
    call: &'a mut RpcSpan,
}

impl Drop for Panicking<'_> {
    fn drop(&mut self) {
        self.call.is_over = true;
        self.call.span.set("error.type", "panic");
    }
}

struct Cancelled;

impl Outcome for Cancelled {
    fn status_code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed("CANCELLED"))
    }

    fn is_error(&self, side: Side) -> bool {
        side == Side::Client
    }
}

pin_project! {
    /// A future or stream that runs as a call; made by [`RpcSpan::around`].
    #[derive(Debug)]
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InCall<T> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<T>,
        // `None` when the call is over.
        call: Option<RpcSpan>,
    }

    impl<T> PinnedDrop for InCall<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(call) = this.call {
                // It is cancelled: its destructors belong to the call.
                call.in_scope(|| this.inner.set(None));
            }
        }
    }
}

impl<T> InCall<T> {
    fn poll_inner<R>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut T>) -> Poll<R>,
        settle: impl FnOnce(&R, &mut RpcSpan) -> bool,
    ) -> Poll<R> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Pending;
        };
        let Some(call) = this.call else {
            return poll(inner);
        };
        let polled = call.in_scope(|| poll(inner));
        if let Poll::Ready(output) = &polled {
            if settle(output, call) {
                *this.call = None;
            }
        }
        polled
    }
}

impl<F: Future<Output: Outcome>> Future for InCall<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let settle = |output: &F::Output, call: &mut RpcSpan| {
            call.settle(output);
            true
        };
        self.poll_inner(|future| future.poll(task), settle)
    }
}

impl<S: Stream<Item: Outcome>> Stream for InCall<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        let settle = |item: &Option<S::Item>, call: &mut RpcSpan| match item {
            None => {
                call.settle(&Ok::<(), Failure>(()));
                true
            }
            Some(item) => {
                if item.is_error(call.side) {
                    call.settle(item);
                }
                false
            }
        };
        self.poll_inner(|stream| stream.poll_next(task), settle)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

/// Lends the span's name: the method, or the system where that is not known.
pub(crate) fn with_name<R>(call: &impl Call, use_it: impl FnOnce(&str) -> R) -> R {
    use_it(call.method().unwrap_or_else(|| call.system()))
}

/// Sets what is known of a call when it starts.
pub(crate) fn describe(call: &impl Call, attributes: &mut impl Attributes) {
    attributes.set_attribute("rpc.system.name", call.system());
    match call.method() {
        Some(method) => attributes.set_attribute(METHOD, method),
        None => {
            attributes.set_attribute(METHOD, OTHER);
            attributes.set_attribute(METHOD_ORIGINAL, call.original_method());
        }
    }
    if let Some((address, port)) = call.server() {
        attributes.set_attribute("server.address", address);
        attributes.set_attribute("server.port", port);
    }
}

/// The method turned out to be one that the server does not know.
pub(crate) fn forget_method(span: &mut Span, call: &impl Call) {
    span.rename(call.system());
    span.set(METHOD, OTHER);
    span.set(METHOD_ORIGINAL, call.original_method());
}

/// Records how a call ended.
pub(crate) fn settle(span: &mut Span, side: Side, outcome: &impl Outcome) {
    if !span.is_recording() {
        return;
    }
    let code = outcome.status_code();
    span.set(STATUS_CODE, code.as_deref());
    if outcome.is_error(side) {
        span.set("error.type", code.as_deref().unwrap_or(OTHER));
        span.status_error(outcome.description().as_deref().unwrap_or_default());
    }
}

const METHOD: &str = "rpc.method";
const METHOD_ORIGINAL: &str = "rpc.method_original";
/// `rpc.response.status_code` up to version 1.44 of the conventions.
const STATUS_CODE: &str = "rpc.status_code";
const OTHER: &str = "_OTHER";
