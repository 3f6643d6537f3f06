//! gRPC over tonic: all four kinds of calls, and the ways in which they fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/shop.rs"]
mod shop;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use common::{ended, until};
use futures::{StreamExt as _, stream};
use http::uri::PathAndQuery;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use shop::{Bytes, Message, Orders};
use throughline::{InSpanExt, SpanKind, span, testing};
use throughline_http::{ClientLayer, ServerLayer, TracedClient};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::client::Grpc;
use tonic::transport::server::TcpConnectInfo;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use tower::ServiceBuilder;

type Client = Grpc<TracedClient<Channel>>;

async fn start(layer: ServerLayer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(layer).add_service(Orders);
    tokio::spawn(async move {
        server
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    });
    address
}

async fn connect(address: SocketAddr, layer: ClientLayer) -> Client {
    let url = format!("http://{address}");
    let channel = Channel::from_shared(url.clone()).unwrap().connect().await.unwrap();
    let mut client = Grpc::new(ServiceBuilder::new().layer(layer.target(url)).service(channel));
    client.ready().await.unwrap();
    client
}

fn path(method: &'static str) -> PathAndQuery {
    PathAndQuery::from_static(method)
}

async fn read(response: Result<Response<Streaming<Message>>, Status>) -> Result<Vec<Message>, Status> {
    let mut messages = response?.into_inner();
    let mut all = Vec::new();
    while let Some(message) = messages.message().await? {
        all.push(message);
    }
    Ok(all)
}

/// Calls a method of a kind with messages; the codes that came.
async fn call(client: &mut Client, kind: &str, messages: &[&str]) -> Code {
    let messages: Vec<Message> = messages.iter().map(|message| message.as_bytes().to_vec()).collect();
    let one = Request::new(messages[0].clone());
    let many = Request::new(stream::iter(messages));
    let result = match kind {
        "Unary" => client.unary(one, path("/shop.Orders/Unary"), Bytes).await.map(drop),
        "ClientStream" => client
            .client_streaming(many, path("/shop.Orders/ClientStream"), Bytes)
            .await
            .map(drop),
        "ServerStream" => read(
            client
                .server_streaming(one, path("/shop.Orders/ServerStream"), Bytes)
                .await,
        )
        .await
        .map(drop),
        "Both" => read(client.streaming(many, path("/shop.Orders/Both"), Bytes).await)
            .await
            .map(drop),
        "Unknown" => client.unary(one, path("/shop.Orders/Unknown"), Bytes).await.map(drop),
        _ => client
            .unary(one, path("/shop.Elsewhere/Unknown"), Bytes)
            .await
            .map(drop),
    };
    result.err().map_or(Code::Ok, |status| status.code())
}

#[tokio::test]
async fn call_of_each_kind_ends_with_its_status() {
    #[rustfmt::skip]
    let cases: [(&str, &[&str], &str, &str, &str); 13] = [
        ("Unary", &["ok"], "OK", "", ""),
        ("ClientStream", &["ok", "ok"], "OK", "", ""),
        ("ServerStream", &["a b c"], "OK", "", ""),
        ("Both", &["a", "b"], "OK", "", ""),
        // At once, in headers.
        ("Unary", &["5"], "NOT_FOUND", " !", ""),
        ("Unary", &["13"], "INTERNAL", " !", " !"),
        ("ClientStream", &["ok", "3"], "INVALID_ARGUMENT", " !", ""),
        ("ServerStream", &["now"], "NOT_FOUND", " !", ""),
        // In trailers.
        ("ServerStream", &["a 14"], "UNAVAILABLE", " !", " !"),
        ("ServerStream", &["a 7"], "PERMISSION_DENIED", " !", ""),
        ("Both", &["a", "15"], "DATA_LOSS", " !", " !"),
        ("Both", &["a", "1"], "CANCELLED", " !", ""),
        ("Both", &["12"], "UNIMPLEMENTED", " !", " !"),
    ];
    for (kind, messages, code, client_fails, server_fails) in cases {
        let capture = testing::capture();
        let address = start(ServerLayer::new()).await;
        let mut client = connect(address, ClientLayer::new()).await;
        call(&mut client, kind, messages).in_span(span!("caller")).await;
        ended(&capture, 3).await;
        let error = |fails: &str| {
            if fails.is_empty() {
                String::new()
            } else {
                format!(", error.type={code}")
            }
        };
        let port = address.port();
        let (client_error, server_error) = (error(client_fails), error(server_fails));
        let handled = capture.spans().iter().filter(|span| span.name() == "handle").count();
        let expected = format!(
            "caller\n  shop.Orders/{kind}{client_fails} {{rpc.system.name=grpc, rpc.method=shop.Orders/{kind}, rpc.status_code={code}, \
             server.address=127.0.0.1, server.port={port}, network.protocol.version=\"2\"{client_error}}}\n    \
             shop.Orders/{kind}{server_fails} {{rpc.system.name=grpc, rpc.method=shop.Orders/{kind}, rpc.status_code={code}, \
             server.address=127.0.0.1, server.port={port}{server_error}}}{}",
            "\n      handle".repeat(handled)
        );
        eprintln!("{kind} {messages:?}");
        capture.assert_tree(&expected);
        let kinds: Vec<_> = capture
            .spans()
            .iter()
            .take(3)
            .map(testing::CapturedSpan::kind)
            .collect();
        assert_eq!(kinds, [SpanKind::Internal, SpanKind::Client, SpanKind::Server]);
    }
}

#[tokio::test]
async fn method_that_the_server_does_not_know_makes_no_name() {
    for (kind, method) in [
        ("Unknown", "shop.Orders/Unknown"),
        ("Elsewhere", "shop.Elsewhere/Unknown"),
    ] {
        let capture = testing::capture();
        let address = start(ServerLayer::new()).await;
        let mut client = connect(address, ClientLayer::new()).await;
        assert_eq!(call(&mut client, kind, &["ok"]).await, Code::Unimplemented);
        ended(&capture, 2).await;
        capture.assert_tree(&format!(
            "{method} ! {{rpc.status_code=UNIMPLEMENTED, ..}}\n  \
             grpc ! {{rpc.method=_OTHER, rpc.method_original={method}, rpc.status_code=UNIMPLEMENTED, ..}}"
        ));
    }
}

#[tokio::test]
async fn deadline_and_cancelling_are_told_apart() {
    // A tenth of it is what may pass between the two starts of a call.
    let timeout = Duration::from_secs(1);
    for (is_deadline, code) in [(true, "DEADLINE_EXCEEDED"), (false, "CANCELLED")] {
        let capture = testing::capture();
        let mut client = connect(start(ServerLayer::new()).await, ClientLayer::new()).await;
        let mut request = Request::new(b"wait".to_vec());
        if is_deadline {
            request.set_timeout(timeout);
        }
        let call = client.unary(request, path("/shop.Orders/Unary"), Bytes);
        match is_deadline {
            true => assert!(call.await.is_err()),
            false => tokio::select! {
                _ = call => panic!("it waits for ever"),
                () = until(|| capture.spans().len() == 2) => {}
            },
        }
        ended(&capture, 2).await;
        let spans = capture.spans();
        let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
        assert_eq!(server.attribute("rpc.status_code").unwrap().as_str(), Some(code));
        assert_eq!(server.is_error(), is_deadline);
        let client = spans.iter().find(|span| span.kind() == SpanKind::Client).unwrap();
        assert_eq!(client.attribute("rpc.status_code").unwrap().as_str(), Some(code));
        assert!(client.is_error());
    }
}

#[tokio::test]
async fn stream_that_is_dropped_or_panics_is_recorded() {
    let capture = testing::capture();
    let mut client = connect(start(ServerLayer::new()).await, ClientLayer::new()).await;
    let request = Request::new(b"a wait".to_vec());
    let response = client
        .server_streaming(request, path("/shop.Orders/ServerStream"), Bytes)
        .await
        .unwrap();
    let mut messages = response.into_inner();
    assert_eq!(messages.next().await.unwrap().unwrap(), b"a");
    drop(messages);
    ended(&capture, 2).await;
    until(|| capture.spans().len() >= 4).await;
    capture.assert_tree(
        "shop.Orders/ServerStream ! {rpc.status_code=CANCELLED, ..}\n  \
         shop.Orders/ServerStream {rpc.status_code=CANCELLED, ..}\n    handle\n    handle",
    );

    let capture = testing::capture();
    let mut client = connect(start(ServerLayer::new()).await, ClientLayer::new()).await;
    assert_ne!(call(&mut client, "Unary", &["panic"]).await, Code::Ok);
    ended(&capture, 3).await;
    let spans = capture.spans();
    let server = spans.iter().find(|span| span.kind() == SpanKind::Server).unwrap();
    assert_eq!(server.attribute("error.type").unwrap().as_str(), Some("panic"));
}

#[tokio::test]
async fn metadata_is_captured_when_asked_for_and_hostile_metadata_is_served() {
    let capture = testing::capture();
    let layer = ServerLayer::new()
        .capture_request_headers(["x-tenant", "x-key-bin"])
        .capture_response_headers(["content-type", "grpc-status"])
        .peer_address(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr());
    let mut client = connect(start(layer).await, ClientLayer::new().filter(|_| false)).await;
    let mut request = Request::new(b"ok".to_vec());
    let metadata = request.metadata_mut();
    metadata.insert("x-tenant", "t1".parse().unwrap());
    metadata.insert_bin("x-key-bin", tonic::metadata::MetadataValue::from_bytes(b"\x00\xff"));
    metadata.append("traceparent", "nonsense".parse().unwrap());
    metadata.append("traceparent", common::PARENT.parse().unwrap());
    metadata.insert("tracestate", "=".repeat(5000).parse().unwrap());
    client.unary(request, path("/shop.Orders/Unary"), Bytes).await.unwrap();
    ended(&capture, 2).await;
    let span = capture.span("shop.Orders/Unary");
    assert_eq!(span.parent_span_id(), None);
    for (key, expected) in [
        ("rpc.request.header.x-tenant", "[t1]"),
        ("rpc.request.header.x-key-bin", "[AP8]"),
        ("rpc.response.header.content-type", "[application/grpc]"),
        ("rpc.response.trailer.grpc-status", "[\"0\"]"),
        ("network.peer.address", "127.0.0.1"),
    ] {
        let shown = capture.tree().with_attributes().to_string();
        assert!(shown.contains(&format!("{key}={expected}")), "{key}: {shown}");
    }
}

#[tokio::test]
async fn server_that_is_not_there_is_unavailable() {
    let capture = testing::capture();
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let channel = Channel::from_shared(format!("http://{gone}")).unwrap().connect_lazy();
    let mut client = Grpc::new(
        ServiceBuilder::new()
            .layer(ClientLayer::new().target("dns:///orders.example:1"))
            .service(channel),
    );
    client.ready().await.unwrap();
    assert_eq!(call(&mut client, "Unary", &["ok"]).await, Code::Unavailable);
    ended(&capture, 1).await;
    capture.assert_tree(
        "shop.Orders/Unary ! {rpc.status_code=UNAVAILABLE, error.type=tonic::transport::error::Error, \
         server.address=orders.example, server.port=1, ..}",
    );
}

/// A proxy's answer: the status is in the headers, and the stream does not end with them.
#[tokio::test]
async fn status_in_the_headers_counts_whatever_body_follows() {
    for (code, is_error) in [("5", true), ("0", false)] {
        let capture = testing::capture();
        let body = StreamBody::new(stream::empty::<Result<Frame<&[u8]>, Infallible>>());
        let answer = http::Response::builder().header("grpc-status", code).body(body);
        let mut request = http::Request::post("/shop.Orders/Unary")
            .header("content-type", "application/grpc")
            .body(())
            .unwrap();
        let call = ClientLayer::new().start(&mut request);
        let answer = call.finish(Ok::<_, Infallible>(answer.unwrap())).unwrap();
        assert!(answer.collect().await.unwrap().to_bytes().is_empty());
        let span = capture.span("shop.Orders/Unary");
        let expected = if is_error { "NOT_FOUND" } else { "OK" };
        assert_eq!(span.attribute("rpc.status_code").unwrap().as_str(), Some(expected));
        assert_eq!(span.is_error(), is_error);
    }
}
