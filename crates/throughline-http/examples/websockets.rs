//! A traced chat over websockets. `cargo run --example websockets --features axum`; with the URL that it prints as an argument it is a client.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::routing::any;
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use throughline::{Context, InSpanExt};
use throughline_http::{ClientLayer, ServerLayer, websocket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    websocket::on_upgrade(upgrade, "chat", |mut socket, connection| async move {
        while let Some(Ok(message)) = socket.recv().await {
            // Each message is a trace of its own, linked to the connection.
            if socket
                .send(message)
                .in_span(connection.message("chat message"))
                .await
                .is_err()
            {
                break;
            }
        }
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(url) = std::env::args().nth(1) {
        return talk(url).await;
    }
    let _tracing = throughline::init("chat");
    let app = Router::new().route("/chat", any(chat)).layer(ServerLayer::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("ws://{}/chat", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn talk(url: String) -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("chat-client");
    let mut request = url.into_client_request()?;
    let mut handshake = ClientLayer::new().start(&mut request);
    let here = handshake.in_scope(Context::current);
    let (mut socket, response) = tokio_tungstenite::connect_async(request).await?;
    handshake.finish(Ok::<_, Error>(response.map(|_| Empty::<bytes::Bytes>::new())))?;

    let talk = async {
        socket.send(Message::text("hello")).await?;
        socket.next().await.transpose()?;
        socket.close(None).await
    };
    Ok(talk.in_span(websocket::connection("chat", &here)).await?)
}
