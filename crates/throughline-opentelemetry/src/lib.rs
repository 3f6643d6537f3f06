//! The OpenTelemetry API over Throughline: spans of libraries that are instrumented with the crate `opentelemetry` go where all spans go,
//! in the same trees.
//!
//! ```
//! use opentelemetry::global;
//! use opentelemetry::trace::{Tracer, TraceContextExt};
//! use throughline::{span, testing};
//!
//! let capture = testing::capture(); // in a program: let _tracing = throughline::init("orders");
//! throughline_opentelemetry::install();
//!
//! span!("order").in_scope(|| {
//!     // A library that knows of OpenTelemetry only.
//!     global::tracer("shop-client").in_span("charge", |context| {
//!         context.span().add_event("declined", vec![]);
//!         span!("retry").end(); // and back
//!     });
//! });
//! capture.assert_tree("order\n  charge\n    retry");
//! ```
//!
//! # One current context
//!
//! What is current in one of the two worlds is so in the other: spans, `tracestate`, baggage, and the mark that telemetry is suppressed.
//! [`install`] sees to it. See [`current`](mod@current) for the rules.
//!
//! # What is where
//!
//! * [`install`]: all of it in one line.
//! * [`TracerProvider`], [`Tracer`], [`Span`]: the API's traits over Throughline's recorder.
//! * [`Propagator`]: Throughline's formats as a text map propagator of the API.
//! * [`to_throughline`] and [`to_opentelemetry`]: contexts as values, from one world to the other.
//! * [`SdkExporter`] (feature `sdk`): an exporter that was written for `opentelemetry_sdk`, as a destination of Throughline.
//!
//! # Features
//!
//! `sdk` adds [`SdkExporter`], and the dependency on `opentelemetry_sdk`. None is on by default.
//!
//! # What it does not do
//!
//! Metrics and logs.
#![forbid(unsafe_code)]

mod context;
pub mod current;
mod native_span;
mod propagator;
mod provider;
mod reachable;
#[cfg(feature = "sdk")]
mod sdk;
mod span;
mod tracer;
mod value;

pub use context::{to_opentelemetry, to_throughline};
pub use propagator::Propagator;
pub use provider::TracerProvider;
#[cfg(feature = "sdk")]
pub use sdk::SdkExporter;
pub use span::Span;
pub use tracer::Tracer;

use opentelemetry::global;

/// Sets the global tracer provider and the global text map propagator of the OpenTelemetry API to Throughline's, and shares the current
/// context between the two.
///
/// It may stand before or behind [`throughline::init`], as long as tracing is wanted for what follows. Called again it does the same
/// again, to the same end.
///
/// A library that asked for its tracer before keeps one that does nothing, since [`global::tracer`] answers once: call this at the start
/// of `main`, before libraries are set up.
///
/// ```no_run
/// let _tracing = throughline::init("orders");
/// throughline_opentelemetry::install();
/// ```
pub fn install() {
    current::share();
    global::set_tracer_provider(TracerProvider::new());
    global::set_text_map_propagator(Propagator::new());
}

/// Held by tests that record or fork: a child has none of the threads that may hold a lock.
#[cfg(test)]
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
