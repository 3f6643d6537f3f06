//! A place that spans are sent to, as a program names it.

mod console;
mod exporter;
mod files;
mod otlp;
mod token;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub use console::{ConsoleDestination, ConsoleFormat, ConsoleStream};
pub(crate) use exporter::ExporterDestination;
#[cfg(feature = "otlp")]
pub(crate) use exporter::SharedExporter;
pub use files::{FileLayout, FilesDestination};
#[cfg(feature = "otlp")]
pub(crate) use otlp::ProxyChoice;
pub use otlp::{Compression, OtlpDestination, Protocol};
pub use token::BearerToken;
#[cfg(feature = "otlp")]
pub(crate) use token::TokenSource;

use crate::export::SpanExporter;

/// A place that spans are sent to; for [`Builder::destination`](crate::Builder::destination).
///
/// ```
/// use throughline::Destination;
///
/// let all: [Destination; 2] = [
///     Destination::otlp("http://localhost:4318").into(),
///     Destination::otlp("https://otlp.example.com").header("x-api-key", "secret").into(),
/// ];
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is used by `Builder::destination`"]
pub struct Destination {
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Console(ConsoleDestination),
    Exporter(ExporterDestination),
    Files(FilesDestination),
    Otlp(OtlpDestination),
}

impl Destination {
    /// The terminal, for development: a line per span that has ended, with its attributes, within some 0.1 s.
    ///
    /// Only spans of this process are shown. Those that it has not shown at its end stay in the spool, and are shown by `throughline
    /// view`.
    pub fn console() -> ConsoleDestination {
        ConsoleDestination::default()
    }

    /// An exporter of one's own; see [`export`](crate::export). Its name is shown where there is something to say, and is what a
    /// later process knows it by, to send what this one could not.
    pub fn exporter(name: impl Into<String>, exporter: impl SpanExporter + 'static) -> Self {
        Self {
            kind: Kind::Exporter(ExporterDestination {
                name: name.into(),
                exporter: Arc::new(Mutex::new(exporter)),
            }),
        }
    }

    /// Files in a directory: OTLP/JSON, a `TracesData` per line. The directory is made if there is none; one that is a link, that
    /// belongs to somebody else, or to which everybody may write, is refused.
    ///
    /// Files are of mode 0600. Several processes append to the same directory safely, and none truncates what is there. A span is
    /// delivered when it is written; it is not synced, so that it survives the process, and not a power cut. While it
    /// cannot be written, as on a full disk, it stays in the spool.
    ///
    /// ```no_run
    /// use throughline::Destination;
    ///
    /// let _tracing = throughline::builder("orders")
    ///     .destination(Destination::files("/var/tmp/orders-traces"))
    ///     .destination(Destination::otlp("http://localhost:4318"))
    ///     .init();
    /// ```
    pub fn files(path: impl Into<PathBuf>) -> FilesDestination {
        FilesDestination::new(path.into())
    }

    /// A backend that speaks OTLP at a base URL, to which `/v1/traces` is appended. One that is no such URL is said in one line when
    /// tracing is switched on, and left out.
    pub fn otlp(endpoint: impl Into<String>) -> OtlpDestination {
        OtlpDestination::new(endpoint.into())
    }
}

impl From<ConsoleDestination> for Destination {
    fn from(console: ConsoleDestination) -> Self {
        Self {
            kind: Kind::Console(console),
        }
    }
}

impl From<FilesDestination> for Destination {
    fn from(files: FilesDestination) -> Self {
        Self {
            kind: Kind::Files(files),
        }
    }
}

impl From<OtlpDestination> for Destination {
    fn from(otlp: OtlpDestination) -> Self {
        Self { kind: Kind::Otlp(otlp) }
    }
}
