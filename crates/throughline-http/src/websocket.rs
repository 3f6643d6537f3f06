//! Websockets: the SERVER span ends with the handshake, and a connection has a span of its own below it.
//!
//! ```
//! use axum::extract::ws::WebSocketUpgrade;
//! use axum::response::Response;
//! use throughline::InSpanExt;
//! use throughline_http::websocket;
//!
//! async fn chat(upgrade: WebSocketUpgrade) -> Response {
//!     websocket::on_upgrade(upgrade, "chat", |mut socket, connection| async move {
//!         while let Some(Ok(message)) = socket.recv().await {
//!             let answer = async { message }.in_span(connection.message("chat message")).await;
//!             if socket.send(answer).await.is_err() {
//!                 break;
//!             }
//!         }
//!     })
//! }
//! ```

use std::future::Future;

use axum::extract::ws::{OnFailedUpgrade, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use throughline::{Context, InSpanExt, Span, SpanKind};

use crate::scope;

/// Upgrades, and runs `callback` with the socket in a span of this name, below the span of the handshake.
///
/// The span lasts as long as the callback's future, and is seen while it is open. The callback runs in a task that axum spawns; what
/// is current here is handed to it. If the upgrade fails there is no connection and no span.
pub fn on_upgrade<F, C, R>(upgrade: WebSocketUpgrade<F>, name: &'static str, callback: C) -> Response
where
    F: OnFailedUpgrade,
    C: FnOnce(WebSocket, Connection) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let handshake = Context::current();
    upgrade.on_upgrade(move |socket| async move {
        let mut span = connection(name, &handshake);
        span.set(
            "websocket.protocol",
            socket.protocol().and_then(|protocol| protocol.to_str().ok()),
        );
        let handle = Connection {
            context: span.context(),
        };
        async move { callback(socket, handle).await }.in_span(span).await;
    })
}

/// A span for a connection whose handshake was made elsewhere: by a client, or without axum. `handshake` is the context that it had;
/// [`Connection::current`] gives its messages spans.
///
/// ```
/// use throughline::{Context, InSpanExt};
/// use throughline_http::websocket;
///
/// # async fn show() {
/// async { /* reads and writes the socket */ }.in_span(websocket::connection("chat", &Context::current())).await;
/// # }
/// ```
pub fn connection(name: &str, handshake: &Context) -> Span {
    let span = Span::builder(name)
        .kind(SpanKind::Internal)
        .scope(scope())
        .parent(handshake);
    span.start_with(|attributes| attributes.set("network.protocol.name", "websocket"))
}

/// A connection, for the spans of its messages.
#[derive(Clone, Debug)]
pub struct Connection {
    context: Context,
}

impl Connection {
    /// That whose span is current here.
    #[must_use]
    pub fn current() -> Self {
        Self {
            context: Context::current(),
        }
    }

    /// The context of the connection's span.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// A span for a message that came: the root of a trace of its own, linked to the connection. A connection that lasts for hours is
    /// not one trace of a million spans then. For a message within the connection's trace use [`span!`](throughline::span!).
    pub fn message(&self, name: &str) -> Span {
        let span = Span::builder(name).kind(SpanKind::Consumer).scope(scope());
        span.parent(None).link(&self.context).start()
    }
}
