//! Traced HTTP and RPC: one layer for servers, one for clients, and spans that last until the last byte of the response's body.
//!
//! ```
//! use axum::{Router, routing::get};
//! use throughline_http::ServerLayer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let capture = throughline::testing::capture();
//! let app: Router = Router::new()
//!     .route("/orders/{id}", get(|| async { "an order" }))
//!     .layer(ServerLayer::new());
//! # use tower::ServiceExt as _;
//! # let request = http::Request::get("/orders/7").body(axum::body::Body::empty()).unwrap();
//! # axum::body::to_bytes(app.oneshot(request).await.unwrap().into_body(), 100).await.unwrap();
//! # #[cfg(feature = "axum")]
//! # capture.assert_tree("GET /orders/{id}");
//! # }
//! ```
//!
//! | to trace | take |
//! |---|---|
//! | a server: axum, hyper, tonic | [`ServerLayer`] |
//! | a client: hyper, tonic | [`ClientLayer`] |
//! | reqwest | `reqwest::TraceMiddleware` (feature `reqwest`) |
//! | a client that is no tower service | [`ClientLayer::start`] |
//! | websockets | `websocket` (feature `axum`) |
//! | an RPC of one's own | [`rpc`] |
//!
//! Spans follow the conventions of OpenTelemetry, version 1.45: those of HTTP, or of gRPC where a request's `content-type` says so.
//! They need no runtime of a certain kind. A layer's future and body hold the service's own by value. When tracing is off, or a request is not sampled, its context still goes on.
//!
//! Names are made of methods and route templates: what a caller sends never becomes a name. Routes come from axum (feature `axum`),
//! from [`set_route`], from a [`Route`] among the extensions, or from a second layer further inside, which makes no second span.
//!
//! # Features
//!
//! None is on by default. `axum`: route templates, mount points, peers and websockets of axum 0.8. `reqwest`: the middleware. The default build needs Rust 1.85.
//!
//! # What it does not do
//!
//! Metrics; spans for DNS and connecting; gRPC-Web, which is HTTP here.
#![forbid(unsafe_code)]

mod address;
#[cfg(feature = "axum")]
mod axum;
mod body;
mod captured;
mod client;
mod exchange;
mod failure;
mod future;
mod grpc;
mod late;
mod methods;
mod names;
mod options;
mod redact;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod response_headers;
pub mod rpc;
mod server;
mod trust;
#[cfg(feature = "axum")]
pub mod websocket;

pub use address::PeerAddress;
pub use body::TracedBody;
pub use client::{Attempts, ClientCall, ClientLayer, TracedClient};
pub use future::ResponseFuture;
pub use late::{set_name, set_route};
pub use names::{Route, SpanName, UrlTemplate};
pub use options::RequestHead;
pub use server::{ServerLayer, TracedServer};
pub use trust::Trust;

#[cfg(all(doctest, feature = "axum", feature = "reqwest"))]
#[doc = include_str!("../../../docs/http.md")]
#[doc = include_str!("../../../docs/rpc.md")]
mod pages {}

use std::sync::LazyLock;

use throughline::Scope;

/// That of all spans made here.
fn scope() -> &'static Scope {
    static SCOPE: LazyLock<Scope> = LazyLock::new(|| {
        Scope::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .with_schema_url("https://opentelemetry.io/schemas/1.45.0")
    });
    &SCOPE
}
