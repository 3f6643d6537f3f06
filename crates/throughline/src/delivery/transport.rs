//! What carries a batch to its destination: bytes in, an outcome out.

use bytes::Bytes;

use super::blocking::Blocking;
use super::console::ConsoleSink;
use super::exporter::ExporterSink;
use super::files::FileSink;
use super::otlp;
use super::outcome::Outcome;
use crate::config::Destination;

/// The way to one destination.
pub(super) enum Transport {
    Blocking(Blocking),
    Otlp(Box<otlp::Client>),
}

impl Transport {
    pub(super) fn new(destination: &Destination) -> Self {
        match destination {
            Destination::Console(console) => Self::Blocking(Blocking::new(ConsoleSink::new(*console))),
            Destination::Exporter(custom) => Self::Blocking(Blocking::new(ExporterSink::new(custom.exporter.clone()))),
            Destination::Files(files) => Self::Blocking(Blocking::new(FileSink::new(files.clone()))),
            Destination::Otlp(otlp) => Self::Otlp(Box::new(otlp::Client::new((**otlp).clone()))),
        }
    }

    /// Hands over `body`, a complete `ExportTraceServiceRequest`. May be dropped at any point: the batch comes again.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        match self {
            Self::Blocking(sink) => sink.send(body).await,
            Self::Otlp(client) => client.send(body).await,
        }
    }

    /// Whether what it has taken may still be held by somebody who is to hand it on.
    pub(super) fn has_hooks(&self) -> bool {
        match self {
            Self::Blocking(sink) => sink.has_hooks,
            Self::Otlp(_) => false,
        }
    }

    /// Hands on what was taken; for the last time if `is_last`. May be dropped at any point.
    pub(super) async fn flush(&mut self, is_last: bool) {
        match self {
            Self::Blocking(sink) => sink.flush(is_last).await,
            Self::Otlp(_) => {}
        }
    }
}
