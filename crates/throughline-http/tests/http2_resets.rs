//! HTTP/2: one side resets a stream, and the connection goes on. By h2 itself, over sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Request, Response};
use axum::routing::get;
use common::{ended, serve, until};
use futures::{StreamExt as _, stream};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::ClientBuilder;
use throughline::testing::{self, CapturedSpan};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, ServerLayer};
use tokio::net::{TcpListener, TcpStream};
use tower::{Service as _, ServiceBuilder};

fn chunk() -> Result<Bytes, Infallible> {
    Ok(Bytes::from(vec![0; 1 << 14]))
}

fn app() -> Router {
    let stalls = || async { Body::from_stream(stream::iter([chunk()]).chain(stream::pending())) };
    Router::new()
        .route("/waits", get(|| async { std::future::pending::<()>().await }))
        .route(
            "/endless",
            get(|| async { Body::from_stream(stream::repeat_with(chunk)) }),
        )
        .route("/stalls", get(stalls))
        .route("/short", get(|| async { Body::from_stream(stream::iter([chunk()])) }))
        .layer(ServerLayer::new())
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client.ready().await.unwrap()
}

fn text(span: &CapturedSpan, key: &str) -> Option<String> {
    let value = span.attribute(key)?;
    value
        .as_str()
        .map(str::to_owned)
        .or_else(|| Some(value.as_i64()?.to_string()))
}

/// What a span says of its end: whether it is an error, `error.type` and the status code.
fn end(span: &CapturedSpan) -> (bool, Option<String>, Option<String>) {
    let code = text(span, "http.response.status_code");
    (span.is_error(), text(span, "error.type"), code)
}

#[tokio::test]
async fn stream_that_the_client_resets_is_recorded_by_the_server() {
    // Path, whether some of the body has come before, error.type, status.
    let cases = [
        ("/waits", false, Some("connection_dropped"), None),
        ("/endless", true, Some("connection_dropped"), Some("200")),
        ("/stalls", true, Some("connection_dropped"), Some("200")),
    ];
    for reason in [Reason::CANCEL, Reason::INTERNAL_ERROR, Reason::NO_ERROR] {
        for (path, reads, error_type, code) in cases {
            let capture = testing::capture();
            let mut client = connect(serve(app()).await).await;
            let request = |path: &str| Request::get(format!("http://shop.example{path}")).body(()).unwrap();
            let (response, mut stream) = client.send_request(request(path), true).unwrap();
            let mut body: Option<RecvStream> = None;
            match reads {
                true => {
                    let read = body.insert(response.await.unwrap().into_body());
                    assert!(read.data().await.unwrap().is_ok());
                }
                false => until(|| !capture.spans().is_empty()).await,
            }
            // Beside it on the same connection, and ended well.
            let (other, _) = client.send_request(request("/short"), true).unwrap();
            let mut other = other.await.unwrap().into_body();
            stream.send_reset(reason);
            // What was not read of it holds up the connection no longer.
            drop(body);
            while let Some(data) = other.data().await {
                let data = data.unwrap();
                other.flow_control().release_capacity(data.len()).unwrap();
            }
            ended(&capture, 2).await;
            let name = format!("GET {path}");
            assert_eq!(
                end(&capture.span(&name)),
                (true, error_type.map(str::to_owned), code.map(str::to_owned)),
                "{path} {reason}"
            );
            assert_eq!(capture.span(&name).status().1, "");
            assert_eq!(
                text(&capture.span(&name), "network.protocol.version").as_deref(),
                Some("2")
            );
            assert_eq!(end(&capture.span("GET /short")), (false, None, Some("200".to_owned())));
        }
    }
}

/// Where a server resets the stream of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reset {
    BeforeHeaders(Reason),
    InBody(Reason),
    /// As RFC 9113, section 8.1, allows a server that wants no more of the request.
    AfterBody,
}

/// Resets the streams of all connections.
async fn resetting(reset: Reset) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_request, mut respond))) = connection.accept().await {
                    let body = match reset {
                        Reset::BeforeHeaders(reason) => {
                            respond.send_reset(reason);
                            continue;
                        }
                        Reset::InBody(_) | Reset::AfterBody => respond.send_response(Response::new(()), false),
                    };
                    let mut body = body.unwrap();
                    body.send_data(Bytes::from("some"), reset == Reset::AfterBody).unwrap();
                    tokio::spawn(async move {
                        // Once the data are on their way: a reset overtakes them.
                        for _ in 0..100 {
                            tokio::task::yield_now().await;
                        }
                        body.send_reset(match reset {
                            Reset::InBody(reason) => reason,
                            _ => Reason::NO_ERROR,
                        });
                    });
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn stream_that_the_server_resets_is_recorded_by_the_client() {
    let of_hyper = Some("hyper::error::Error");
    let of_client = Some("hyper_util::client::legacy::client::Error");
    let of_reqwest = Some("reqwest::Error");
    // Where, error.type with hyper and with reqwest, status.
    let cases = [
        (
            Reset::BeforeHeaders(Reason::INTERNAL_ERROR),
            of_client,
            of_reqwest,
            None,
        ),
        (Reset::BeforeHeaders(Reason::CANCEL), of_client, of_reqwest, None),
        (Reset::InBody(Reason::INTERNAL_ERROR), of_hyper, of_reqwest, Some("200")),
        (Reset::InBody(Reason::CANCEL), of_hyper, of_reqwest, Some("200")),
        (Reset::AfterBody, None, None, Some("200")),
    ];
    for (reset, hyper, reqwest, code) in cases {
        let address = resetting(reset).await;
        let expected = |error_type: Option<&str>| {
            (
                error_type.is_some(),
                error_type.map(str::to_owned),
                code.map(str::to_owned),
            )
        };
        let capture = testing::capture();
        let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let mut client = ServiceBuilder::new().layer(ClientLayer::new()).service(client);
        let request = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new());
        let failed = match client.call(request.unwrap()).await {
            Ok(response) => response.collect().await.is_err(),
            Err(_) => true,
        };
        assert_eq!(failed, hyper.is_some(), "{reset:?}");
        assert_eq!(end(&capture.span("GET")), expected(hyper), "hyper: {reset:?}");
        assert_eq!(capture.span("GET").status().1.is_empty(), hyper.is_none(), "a message");

        let capture = testing::capture();
        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let client = ClientBuilder::new(client).with(TraceMiddleware::new(ClientLayer::new()));
        let failed = match client.build().get(format!("http://{address}/")).send().await {
            Ok(response) => response.bytes().await.is_err(),
            Err(_) => true,
        };
        assert_eq!(failed, reqwest.is_some(), "{reset:?}");
        assert_eq!(end(&capture.span("GET")), expected(reqwest), "reqwest: {reset:?}");
    }
}
