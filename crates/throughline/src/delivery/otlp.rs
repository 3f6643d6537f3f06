//! OTLP to a backend, over HTTP/1.1 or gRPC: one request at a time over one connection, which is kept.

use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Uri};

use super::connect::{Connector, Stream, Version};
use super::encoded::Encoder;
use super::grpc;
use super::http as http1;
use super::outcome::{Failure, Outcome};
use super::tls::Tls;
use super::token::Tokens;

use crate::config::Otlp;
use crate::destination::Protocol;

const OURSELVES: HeaderValue = HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION")));

/// A client of one destination.
pub(super) struct Client {
    connector: Connector,
    timeout: Option<Duration>,
    uri: Uri,
    /// The same for every request.
    headers: HeaderMap,
    tokens: Tokens,
    encoder: Encoder,
    /// Between requests, while the backend keeps it open.
    kept: Option<Connection>,
}

/// What a request goes out on.
enum Connection {
    Http(http1::Connection),
    Grpc(grpc::Connection),
}

impl Client {
    pub fn new(destination: Otlp) -> Self {
        let (version, uri, protocol_headers) = match destination.protocol {
            Protocol::Grpc => (
                Version::Http2,
                grpc::uri(&destination.endpoint),
                grpc::headers(&destination),
            ),
            Protocol::HttpProtobuf | Protocol::HttpJson => (
                Version::Http1,
                Uri::from(destination.endpoint.target().clone()),
                http1::headers(&destination),
            ),
        };
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, OURSELVES);
        headers.extend(destination.headers);
        headers.extend(protocol_headers);
        Self {
            connector: Connector {
                tls: Tls::new(destination.certificates, version),
                endpoint: destination.endpoint,
                proxy: destination.proxy,
                timeout: destination.timeout,
                version,
            },
            timeout: destination.timeout,
            uri,
            headers,
            tokens: Tokens::new(destination.token),
            encoder: Encoder::new(destination.protocol, destination.compression),
            kept: None,
        }
    }

    #[cfg(test)]
    pub fn is_connected(&self) -> bool {
        self.kept.is_some()
    }

    /// Sends `body`. Ends within the destination's timeout; may be dropped at any point, which gives the request up.
    pub async fn send(&mut self, body: Bytes) -> Outcome {
        let body = match self.encoder.encode(body) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let outcome = match self.timeout {
            None => self.attempt_with_token(body).await,
            Some(limit) => match tokio::time::timeout(limit, self.attempt_with_token(body)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::failed(Failure::TimedOut, format_args!("{limit:?}")),
            },
        };
        if let Outcome::Accepted { .. } = outcome {
            self.encoder.forget();
        }
        outcome
    }

    async fn attempt_with_token(&mut self, body: Bytes) -> Outcome {
        let outcome = self.attempt(body.clone()).await;
        match self.tokens.is_refused(&outcome) {
            true => self.attempt(body).await,
            false => outcome,
        }
    }

    async fn attempt(&mut self, body: Bytes) -> Outcome {
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        if let Err(outcome) = self.tokens.add_to(request.headers_mut()).await {
            return outcome;
        }
        let kept = match self.kept.take() {
            Some(kept) => kept.still_there().await,
            None => None,
        };
        if let Some(kept) = kept {
            let outcome = self.exchange(kept, request.clone()).await;
            // A backend may close a connection at the moment a request sets out on it: that is no failure of the backend.
            if !outcome.is_failure(Failure::Disconnected) {
                return outcome;
            }
        }
        let connection = match self.connector.connect().await {
            Ok(stream) => self.open(stream).await,
            Err(outcome) => return outcome,
        };
        match connection {
            Ok(connection) => self.exchange(connection, request).await,
            Err(outcome) => outcome,
        }
    }

    async fn open(&self, stream: Stream) -> Result<Connection, Outcome> {
        Ok(match self.connector.version {
            Version::Http1 => Connection::Http(http1::Connection::open(stream).await?),
            Version::Http2 => Connection::Grpc(grpc::Connection::open(stream).await?),
        })
    }

    async fn exchange(&mut self, connection: Connection, request: Request<Bytes>) -> Outcome {
        let (outcome, kept) = connection.exchange(request).await;
        self.kept = kept;
        outcome
    }
}

impl Connection {
    /// `None`: it has been closed, or does not answer.
    async fn still_there(self) -> Option<Self> {
        match self {
            Self::Http(connection) => connection.still_there().await.map(Self::Http),
            Self::Grpc(connection) => connection.still_there().await.map(Self::Grpc),
        }
    }

    /// The outcome, and the connection if another request may go out on it.
    async fn exchange(self, request: Request<Bytes>) -> (Outcome, Option<Self>) {
        match self {
            Self::Http(connection) => {
                let (outcome, kept) = connection.exchange(request).await;
                (outcome, kept.map(Self::Http))
            }
            Self::Grpc(connection) => {
                let (outcome, kept) = connection.exchange(request).await;
                (outcome, kept.map(Self::Grpc))
            }
        }
    }
}

#[cfg(test)]
#[path = "otlp_testing.rs"]
pub(super) mod testing;
#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
