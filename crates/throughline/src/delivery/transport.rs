//! What carries a batch to its destination: bytes in, an outcome out.

use bytes::Bytes;

use super::blocking::Blocking;
use super::files::FileSink;
use super::http;
use super::outcome::Outcome;
use crate::config::Destination;

/// The way to one destination.
pub(super) enum Transport {
    Blocking(Blocking),
    Http(Box<http::Client>),
}

impl Transport {
    pub(super) fn new(destination: &Destination) -> Self {
        match destination {
            Destination::Files(files) => Self::Blocking(Blocking::new(FileSink::new(files.clone()))),
            Destination::Otlp(otlp) => Self::Http(Box::new(http::Client::new((**otlp).clone()))),
        }
    }

    /// Hands over `body`, a complete `ExportTraceServiceRequest`. May be dropped at any point: the batch comes again.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        match self {
            Self::Blocking(sink) => sink.send(body).await,
            Self::Http(client) => client.send(body).await,
        }
    }
}
