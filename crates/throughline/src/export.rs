//! Exporters of one's own: spans go wherever a program takes them.
//!
//! An exporter is a destination like any other: it has a place of its own in the spool, gets every span, also those that an
//! earlier process of the same service left, and what it cannot take comes again. It reads spans where they lie; nothing
//! is copied for it.
//!
//! ```
//! use std::sync::mpsc::{Sender, channel};
//!
//! use throughline::export::{ExportBatch, ExportError, SpanExporter};
//! use throughline::{Destination, span};
//!
//! struct Names(Sender<String>);
//!
//! impl SpanExporter for Names {
//!     fn export(&mut self, batch: ExportBatch<'_>) -> Result<(), ExportError> {
//!         for exported in batch.spans() {
//!             let order = exported.span.attribute("order.id").and_then(|value| value.as_i64());
//!             let text = format!("{} {order:?}", exported.span.name());
//!             self.0.send(text).map_err(|_| ExportError::rejected("nobody listens"))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let spool = std::env::temp_dir().join(format!("exporter-example-{}", std::process::id()));
//! let (names, received) = channel();
//! let tracing = throughline::builder("orders")
//!     .spool_dir(&spool)
//!     .destination(Destination::exporter("names", Names(names)))
//!     .init();
//! span!("charge", order.id = 7).end();
//! let report = tracing.flush(std::time::Duration::from_secs(5)).wait();
//! assert_eq!((report.delivered(), received.recv().unwrap()), (1, "charge Some(7)".to_owned()));
//! # drop(tracing);
//! # let _ = std::fs::remove_dir_all(spool);
//! ```

use std::fmt;
use std::time::Duration;

pub use throughline_wire::any_value::{AnyValueView, ArrayView, KeyValues};
pub use throughline_wire::request::{ResourceSpansView, ScopeSpansView};
pub use throughline_wire::{EventView, LinkView, SpanView, StatusCode};

use throughline_wire::request;

/// Takes finished spans; for [`Destination::exporter`](crate::Destination::exporter).
///
/// All calls come one at a time, from a thread of Throughline's that may block, and on which tracing is suppressed: what an exporter
/// does is not traced. An exporter that takes long holds up neither the program nor other destinations; a flush ends by its
/// deadline all the same. A panic counts as a refusal of that batch.
pub trait SpanExporter: Send {
    /// Takes a batch: as many spans as [`Builder::batch_spans`](crate::Builder::batch_spans) says at most. `Ok` when it has all of them,
    /// for then they are not kept any longer; until then the same spans come again, also after a crash: at least once.
    ///
    /// # Errors
    ///
    /// Whether the batch is to come again is said by the [`ExportError`].
    fn export(&mut self, batch: ExportBatch<'_>) -> Result<(), ExportError>;

    /// Hands on what the exporter has taken and still holds. Called before a flush that somebody waits for ends, when batches have
    /// come since the last call.
    fn flush(&mut self) {}

    /// Called once, after [`flush`](Self::flush), before [`Tracing::shutdown`](crate::Tracing::shutdown) ends, unless its deadline comes
    /// first.
    fn shutdown(&mut self) {}
}

/// Spans for an exporter.
#[derive(Clone, Copy)]
pub struct ExportBatch<'a> {
    request: &'a [u8],
}

/// A span with what stands around it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ExportedSpan<'a> {
    /// Who made the span: the attributes of the service, such as `service.name`.
    pub resource: ResourceSpansView<'a>,
    /// The library that made the span.
    pub scope: ScopeSpansView<'a>,
    /// The span.
    pub span: SpanView<'a>,
}

impl<'a> ExportBatch<'a> {
    pub(crate) fn new(request: &'a [u8]) -> Self {
        Self { request }
    }

    /// The spans, those of one resource and library behind each other.
    pub fn spans(&self) -> impl Iterator<Item = ExportedSpan<'a>> + use<'a> {
        request::resource_spans(self.request)
            .map_while(Result::ok)
            .flat_map(|resource| {
                let scopes = resource.scope_spans().map_while(Result::ok);
                scopes.flat_map(move |scope| {
                    let spans = scope.spans().map_while(Result::ok);
                    spans.map(move |span| ExportedSpan { resource, scope, span })
                })
            })
    }

    /// All of it as OTLP: the bytes of an `ExportTraceServiceRequest`, or of a `TracesData`, which is the same.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.request
    }
}

impl fmt::Debug for ExportBatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportBatch")
            .field("spans", &self.spans().count())
            .finish_non_exhaustive()
    }
}

/// Why a batch was not taken, and whether it is to come again.
///
/// ```
/// use std::time::Duration;
/// use throughline::export::ExportError;
///
/// assert!(ExportError::retry("the queue is full").is_retryable());
/// assert!(ExportError::retry_after("asked to wait", Duration::from_secs(30)).is_retryable());
/// assert!(!ExportError::rejected("no such account").is_retryable());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportError {
    pub(crate) message: String,
    pub(crate) retry: Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retry {
    Never,
    /// Not before this, if it is said.
    Later(Option<Duration>),
}

impl ExportError {
    /// It may work later: the spans stay in the spool, and come again after a pause that grows from a second to a minute.
    #[must_use]
    pub fn retry(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(None),
        }
    }

    /// As [`retry`](Self::retry), after this pause; at most an hour.
    #[must_use]
    pub fn retry_after(message: impl Into<String>, pause: Duration) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Later(Some(pause)),
        }
    }

    /// It will never work: the spans are counted as dropped, and the batch is kept with those that were rejected, where
    /// `throughline recover --rejected` finds it.
    #[must_use]
    pub fn rejected(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            retry: Retry::Never,
        }
    }

    /// Whether the batch is to come again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.retry != Retry::Never
    }
}

impl fmt::Display for ExportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExportError {}
