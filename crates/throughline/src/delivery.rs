//! Delivery: takes committed spans from the spool to the backend, on one thread of its own.
//!
//! [`scheduler`] decides, without a clock or a socket; a [`transport`] carries bytes, such as [`otlp`] by [`http`] or [`grpc`] over [`connect`];
//! [`driver`] is the loop between them, on the [`thread`] that survives its faults; [`flush`] and
//! [`report`] are what a program sees of it. Spans come through the [`Source`] trait, which the
//! spool implements.

#[cfg(feature = "otlp")]
mod blocking;
#[cfg(feature = "otlp")]
mod check;
#[cfg(feature = "otlp")]
mod connect;
#[cfg(feature = "otlp")]
mod console;
#[cfg(feature = "otlp")]
mod driver;
#[cfg(feature = "otlp")]
mod encoded;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(feature = "otlp")]
mod files;
mod flush;
#[cfg(feature = "otlp")]
mod grpc;
#[cfg(feature = "otlp")]
mod http;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod outcome;
mod report;
#[cfg(feature = "otlp")]
mod scheduler;
#[cfg(feature = "otlp")]
mod send_once;
#[cfg(feature = "otlp")]
mod source;
#[cfg(feature = "otlp")]
mod thread;
#[cfg(feature = "otlp")]
mod tls;
#[cfg(feature = "otlp")]
mod token;
#[cfg(feature = "otlp")]
mod transport;
#[cfg(feature = "otlp")]
mod waiting;

#[cfg(feature = "otlp")]
pub(crate) use check::check;
#[cfg(feature = "otlp")]
pub use files::{TraceFile, find_trace_files};
pub(crate) use flush::DestinationFlush;
pub use flush::Flush;
pub(crate) use report::Accounts;
pub use report::{DestinationReport, Report};
#[cfg(feature = "otlp")]
pub(crate) use source::{Batch, BatchLimits, Mark, Owner, Pending, Source};
#[cfg(feature = "otlp")]
pub(crate) use thread::Delivery;
