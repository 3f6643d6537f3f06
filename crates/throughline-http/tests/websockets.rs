//! Websockets over sockets: the handshake's span, the connection's, and those of its messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use common::{ended, serve, until};
use futures::{SinkExt as _, StreamExt as _};
use http_body_util::Empty;
use throughline::{Context, InSpanExt, span, testing};
use throughline_http::{ClientLayer, ServerLayer, websocket};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{connect_async, tungstenite};

async fn chat(upgrade: WebSocketUpgrade) -> Response {
    websocket::on_upgrade(
        upgrade.protocols(["chat.v1"]),
        "chat",
        |mut socket, connection| async move {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let answer = async {
                    span!("answer").end();
                    Message::Text(text)
                };
                let answer = answer.in_span(connection.message("chat message")).await;
                span!("send").end();
                if socket.send(answer).await.is_err() {
                    break;
                }
            }
        },
    )
}

#[tokio::test]
async fn connection_is_below_its_handshake_and_messages_are_linked() {
    let capture = testing::capture();
    let address = serve(Router::new().route("/chat/{room}", any(chat)).layer(ServerLayer::new())).await;
    let mut request = format!("ws://{address}/chat/7").into_client_request().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", "chat.v1".parse().unwrap());
    let call = ClientLayer::new().start(&mut request);
    let (mut socket, response) = connect_async(request).await.unwrap();
    let response = call.finish(Ok::<_, tungstenite::Error>(
        response.map(|_| Empty::<bytes::Bytes>::new()),
    ));
    assert_eq!(response.unwrap().status(), 101);

    for _ in 0..2 {
        socket.send(tungstenite::Message::text("hello")).await.unwrap();
        socket.next().await.unwrap().unwrap();
    }
    // The handshake is over, and the connection is seen while it is open.
    until(|| capture.spans().len() >= 9).await;
    let messages = "chat message\n  answer\n".repeat(2);
    let tree = |end: &str| {
        format!(
            "GET {{http.response.status_code=101, ..}}\n  GET /chat/{{room}} {{http.response.status_code=101, ..}}\n    \
             chat{end}\n      send\n      send\n{messages}"
        )
    };
    capture.assert_tree(&tree(" ~"));
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    ended(&capture, 9).await;
    capture.assert_tree(&tree(" {network.protocol.name=websocket, websocket.protocol=chat.v1}"));
    let connection = capture.span("chat");
    for message in capture.spans().iter().filter(|span| span.name() == "chat message") {
        assert_ne!(message.trace_id(), connection.trace_id());
        let links: Vec<_> = message.links().map(|link| link.span_id()).collect();
        assert_eq!(links.len(), 1);
        assert_eq!(message.links().next().unwrap().trace_id(), connection.view().trace_id());
    }
}

#[tokio::test]
async fn handshake_over_http_2_ends_its_span() {
    use hyper::ext::Protocol;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let capture = testing::capture();
    let address = serve(Router::new().route("/chat", any(chat)).layer(ServerLayer::new())).await;
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let request = http::Request::connect(format!("http://{address}/chat"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(Empty::<bytes::Bytes>::new())
        .unwrap();
    // The server's settings, which allow this, may still be on their way.
    let begun = Instant::now();
    let response = loop {
        sender.ready().await.unwrap();
        match sender.send_request(request.clone()).await {
            Ok(response) => break response,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(20), "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(response.status(), 200);
    until(|| capture.spans().len() >= 2).await;
    capture.assert_tree("CONNECT /chat {http.response.status_code=200, ..}\n  chat ~");
}

#[tokio::test]
async fn connection_that_is_made_elsewhere_has_a_span_too() {
    let capture = testing::capture();
    async {
        let connection = websocket::Connection::current();
        span!("read").end();
        connection.message("message").end();
    }
    .in_span(websocket::connection("feed", &Context::current()))
    .await;
    capture.assert_tree("feed {network.protocol.name=websocket}\n  read\nmessage");
}
