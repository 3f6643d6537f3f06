//! What carries a batch to its destination: bytes in, an outcome out.

use bytes::Bytes;

use super::http;
use super::outcome::Outcome;
use crate::config::Destination;

/// The way to one destination.
pub(super) enum Transport {
    Http(Box<http::Client>),
}

impl Transport {
    pub(super) fn new(destination: &Destination) -> Self {
        match destination {
            Destination::Otlp(otlp) => Self::Http(Box::new(http::Client::new((**otlp).clone()))),
        }
    }

    /// Hands over `body`, a complete `ExportTraceServiceRequest`. May be dropped at any point: the batch comes again.
    pub(super) async fn send(&mut self, body: Bytes) -> Outcome {
        match self {
            Self::Http(client) => client.send(body).await,
        }
    }
}
