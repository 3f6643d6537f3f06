//! Distributed tracing in one line, at little more than two clock reads a span, that loses nothing silently.
//!
//! ```no_run
//! use throughline::span;
//!
//! let _tracing = throughline::init("orders"); // reads OTEL_*; with nothing set, spans stay in local history
//! let order = span!("handle order", order.id = 1234).enter();
//! let mut charge = span!(kind: Client, "charge card");
//! charge.status_error("declined");
//! drop(charge);
//! order.set("order.lines", 3);
//! ```
//!
//! # A span is owned, and current only when it is said to be
//!
//! [`span!`] returns a [`Span`]: 8 bytes that may move between threads and end when they are dropped. It becomes the parent of
//! other spans by [`Span::enter`] (a guard), [`Span::in_scope`] (a closure) or [`InSpanExt::in_span`] (a future), or when it is
//! named as their parent. [`current`] reaches the current span from far below; [`Span::share`] makes one that several owners
//! write to.
//!
//! # Context over borders
//!
//! [`inject`] writes the current context into headers, a map, or the environment of a child process; [`extract`] reads it there.
//! W3C Trace Context (Level 2) and Baggage, and where wanted the formats of Zipkin, Jaeger, OpenTracing, AWS X-Ray and of one's own ([`Propagator`]); tracestate and baggage travel through all local spans. [`Context`] is the same as a
//! value, to hand to a task or a thread; [`carry`] and [`InSpanExt::in_current_context`] do that for closures and futures.
//!
//! # Tests
//!
//! [`testing::capture`] collects the spans of one test, and compares them with the tree that it expects.
//!
//! # Where spans go
//!
//! A span that has ended lies in the *spool*, files of this user that are mapped into memory, where it survives the process. With
//! an endpoint set (`OTEL_EXPORTER_OTLP_ENDPOINT`, or [`Builder::endpoint`]) a thread of its own delivers it by OTLP,
//! over HTTP as protobuf or JSON, or over gRPC; what it cannot deliver goes with the next start of a program that has the same endpoint and headers, or with
//! `throughline recover`. Local files, the console and an exporter of one's own are destinations too ([`Destination`]). Without one
//! `throughline view` shows the spans. [`Tracing::flush`] says what became of all.
//!
//! # Libraries
//!
//! A library that is traced depends on this crate with `default-features = false`: spans, context and propagation, 15 crates, no
//! network, TLS or runtime. An application that has the feature `otlp`, which is on by default, shares all of it with its libraries.
//!
//! # Before anybody sees a span
//!
//! A [`SpanProcessor`] sees spans as they start and end, and may change them or leave them out, as a [`Filter`] does;
//! [`Builder::redact`] cleans what they say; [`SpanLimits`] say how much one may hold. All of it comes before a span is committed:
//! what is on disk is clean.
//!
//! # Variables
//!
//! `OTEL_SDK_DISABLED`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_EXPORTER`, `OTEL_TRACES_SAMPLER` and its
//! `_ARG`, `OTEL_PROPAGATORS`, `OTEL_BSP_*`, `OTEL_*_LIMIT`, and of `OTEL_EXPORTER_OTLP_*` and `OTEL_EXPORTER_OTLP_TRACES_*` `ENDPOINT`, `HEADERS`,
//! `TIMEOUT`, `PROTOCOL`, `INSECURE`, `COMPRESSION`, `CERTIFICATE`, `CLIENT_CERTIFICATE` and `CLIENT_KEY`; `HTTPS_PROXY` and its kin;
//! `THROUGHLINE_SPOOL_DIR`, and `THROUGHLINE_FILES_DIR` for the exporter `otlp_file`. `docs/variables.md` has each with its default. Code beats environment. A value that cannot be used is said
//! in one line on stderr, with what is used instead; telemetry never stops a program.
//!
//! # With other libraries
//!
//! A crate for each: `throughline-http` (axum, hyper, tower, reqwest, tonic, an RPC of one's own), `throughline-tracing`,
//! `throughline-opentelemetry`, `throughline-jobs` (brokers and job tables), `throughline-process`.
#![forbid(unsafe_code)]
// Flushes, reports and diagnostics are made for delivery, and stay as they are without it.
#![cfg_attr(not(feature = "otlp"), allow(dead_code))]

mod accounts;
#[cfg(feature = "otlp")]
mod adopted;
mod attributes;
mod builder;
mod carry;
mod caught;
mod check;
mod clock;
mod config;
mod context;
#[cfg(feature = "otlp")]
mod deliveries;
#[cfg(not(feature = "otlp"))]
#[path = "deliveries_without_otlp.rs"]
mod deliveries;
mod delivery;
mod destination;
mod detectors;
mod diagnostics;
mod early;
pub mod export;
mod future;
mod guard;
mod housekeeping;
mod locks;
mod macros;
mod otlp_endpoint;
mod outcome;
mod processor;
mod propagation;
mod random;
mod recording;
mod sampler;
mod scope;
#[doc(hidden)]
pub mod seam;
mod span;
mod span_limits;
mod spool_dir;
#[cfg(feature = "otlp")]
mod spool_source;
mod start;
mod stream;
pub mod testing;
mod tracer;
mod value;

pub use builder::{Builder, builder, init};
pub use carry::{carry, carry_fn};
pub use check::{Check, CheckedDestination};
pub use context::{Context, EnteredContext};
pub use delivery::{DestinationReport, Flush, Report};
#[cfg(feature = "otlp")]
pub use delivery::{TraceFile, find_trace_files};
pub use destination::{
    BearerToken, Compression, ConsoleDestination, ConsoleFormat, ConsoleStream, Destination, FileLayout,
    FilesDestination, OtlpDestination, Protocol,
};
pub use future::{InContext, InSpan, InSpanExt, SpanHandle};
pub use guard::Tracing;
pub use otlp_endpoint::{OtlpEndpoint, otlp_endpoint};
pub use processor::{BaggageAttributes, Filter, ProcessedSpan, Redact, SpanProcessor, Verdict, redact_keys};
pub use propagation::{Fields, Propagator, TextMapPropagator, extract, inject, propagation_fields};
pub use sampler::{Decision, InvalidRatio, ParentBased, Sampler, SamplingInput, SamplingResult, ShouldSample};
pub use scope::Scope;
pub use span::{
    Current, Entered, EnteredShared, LinkAttributes, Parent, SharedSpan, Span, SpanBuilder, StartAttributes, current,
};
pub use span_limits::SpanLimits;
pub use spool_dir::default_spool_dir;
/// Runs a function in a span of its own.
///
/// The span has the function's name, is current in its body, and ends with it; one that panics is an error. An `Err` that is
/// returned becomes the span's status, and an `exception` event when it is an [`Error`](std::error::Error), in a box or not. No
/// argument is recorded unless it is named.
///
/// | option | what it is |
/// |---|---|
/// | `name = "charge"` | the span's name, instead of the function's |
/// | `kind = Client` | its [`SpanKind`] |
/// | `parent = &context` | its [`Parent`], instead of the current span |
/// | `fields(order.id = order.id, ?card)` | attributes, as in [`span!`]; they see the arguments |
/// | `err = false` | an `Err` is no failure here; `err = true` makes each item of a stream that is an `Err` one |
/// | `calls = true` | each call of the closure that is returned has a span, the function itself none |
/// | `crate = tl` | the path of this crate, where it has another name |
///
/// It stands before functions and methods, `async` or not, generic or not. Of one that returns an `impl Future`, a
/// `Pin<Box<dyn Future>>` (`#[async_trait]` goes first, above the `impl`) or a `BoxFuture`, the body and the future run in the span,
/// which starts with the call; of an `async fn` the span starts, and takes its parent, when the future is first polled. A future
/// behind another name is not recognised: there the span ends with the call.
///
/// # Streams
///
/// Of a function that returns an `impl Stream`, a `Pin<Box<dyn Stream>>` or a `BoxStream`, `async` or not, the stream runs in the span
/// too: it is current in each poll, and ends when the stream ends or is dropped. An item that is an `Err` is no failure of the span,
/// since a stream may go on behind one, unless `err = true` says so. A stream in a `Result` is not recognised: there the span ends with
/// the function.
///
/// ```
/// use futures::stream::{self, Stream, StreamExt};
/// use throughline::{span, testing, traced};
///
/// #[traced(err = true)]
/// fn rows(count: u8) -> impl Stream<Item = Result<u8, String>> {
///     stream::iter(0..count).map(|row| span!("decode").in_scope(|| if row < 2 { Ok(row) } else { Err("broken".to_owned()) }))
/// }
///
/// let capture = testing::capture();
/// futures::executor::block_on(rows(3).for_each(|_| async {}));
/// capture.assert_tree("rows !\n  decode\n  decode\n  decode");
/// ```
///
/// # Closures
///
/// A function that returns a closure ends its span when it returns, as with any other value. With `calls = true` it has no span, and
/// each call of the closure has one, below whatever is current there. That is for functions that return `impl Fn(…)`, `impl FnMut(…)`,
/// `impl FnOnce(…)`, or one of these in a `Box<dyn …>`. The types of the closure's arguments have to be named in its body where the
/// compiler cannot tell them any more; a closure that returns what it was lent (`Fn(&str) -> &str`) has to be in a box.
///
/// ```
/// use throughline::{testing, traced};
///
/// #[traced(name = "discount", calls = true)]
/// fn discount(percent: u64) -> impl Fn(u64) -> u64 {
///     move |price| price * (100 - percent) / 100
/// }
///
/// let capture = testing::capture();
/// let discount = discount(10);
/// assert_eq!(discount(50) + discount(100), 135);
/// capture.assert_tree("discount\ndiscount");
/// ```
///
/// # The body
///
/// The body may lend what it returns from the arguments. It becomes a closure, into which the arguments are moved: those that it uses
/// are dropped at its end in the order of their first use. `#[track_caller]` sees the attribute's place.
///
/// ```
/// use throughline::traced;
///
/// #[traced(fields(order.id = order, ?items))]
/// fn check(order: u64, items: &[&str]) -> Result<usize, std::num::ParseIntError> {
///     throughline::current(|span| span.set("items", items.len()));
///     let first: usize = items[0].parse()?;
///     Ok(first)
/// }
///
/// #[traced(name = "POST /charge", kind = Client, err = false)]
/// async fn charge(order: u64) -> Result<(), String> {
///     Err(format!("{order} is paid already"))
/// }
///
/// assert!(check(7, &["1", "2"]).is_ok());
/// ```
pub use throughline_macros::traced;
pub use throughline_wire::propagation::{Carrier, Pair};
pub use throughline_wire::redact::{Content, Redaction};
pub use throughline_wire::{
    AnyValueView, Baggage, EventView, InvalidBaggage, InvalidId, InvalidTraceState, LinkView, SpanContext, SpanId,
    SpanKind, SpanView, StatusCode, TraceFlags, TraceId, TraceState, Value, any_value, environment,
};
pub use tracer::IdGenerator;
pub use value::{Debugged, Displayed, ToValue, debug, display};

#[doc(hidden)]
pub mod __private {
    pub use std::option::Option::{None, Some};

    pub mod outcome {
        pub use crate::outcome::*;
    }
    pub use crate::recording::{key, key_bit};
    pub use crate::scope::crate_name;
    pub use crate::span::{ParentRef, start_with_attributes};

    /// Calls it at once. A closure that is called where it stands may not return what it has been given.
    #[inline(always)]
    pub fn call<R>(f: impl FnOnce() -> R) -> R {
        f()
    }

    /// Calls it at once, and tells the compiler what comes of the future that it returns.
    #[inline(always)]
    pub fn future_of<T, F: Future<Output = T>>(f: impl FnOnce() -> F) -> F {
        f()
    }

    /// The same for a stream.
    #[inline(always)]
    pub fn stream_of<T, S: futures_core::Stream<Item = T>>(f: impl FnOnce() -> S) -> S {
        f()
    }

    pub use crate::stream::inspected;

    /// Never called: it tells the compiler a type.
    #[must_use]
    pub fn never<T>() -> T {
        unreachable!("it stands where nothing comes")
    }

    /// The parent that somebody named.
    #[inline]
    pub fn parent<'a>(parent: impl Into<crate::Parent<'a>>) -> crate::Parent<'a> {
        parent.into()
    }

    /// Whether the attributes of a span have to be there before it is decided whether to record it.
    #[inline]
    #[must_use]
    pub fn wants_all() -> bool {
        crate::tracer::wants_all()
    }
}

#[doc(hidden)]
pub mod bench {
    /// One of the two readings of the tracer's clock that a span costs.
    #[inline]
    #[must_use]
    pub fn clock_read() -> u64 {
        crate::clock::counter_now()
    }
}
