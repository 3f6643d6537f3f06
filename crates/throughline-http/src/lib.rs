//! Traced HTTP and RPC.
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
