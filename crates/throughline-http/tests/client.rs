//! CLIENT spans of HTTP, over sockets: hyper's client with the layer, and reqwest with the middleware.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Extensions, HeaderMap, Request, Response, StatusCode};
use axum::routing::get;
use common::{ended, serve};
use futures::{StreamExt as _, stream};
use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{HttpConnector, HttpInfo};
use hyper_util::rt::TokioExecutor;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use throughline::{InSpanExt, SpanKind, span, testing};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{Attempts, ClientLayer, ServerLayer, SpanName, TracedClient, UrlTemplate};
use tower::{Service as _, ServiceBuilder, ServiceExt as _, retry};

fn layer() -> ClientLayer {
    ClientLayer::new().peer_address(|extensions| Some(extensions.get::<HttpInfo>()?.remote_addr()))
}

fn hyper_client(layer: ClientLayer, is_http2: bool) -> TracedClient<Client<HttpConnector, Empty<Bytes>>> {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(is_http2)
        .build(HttpConnector::new());
    ServiceBuilder::new().layer(layer).service(client)
}

fn reqwest_client(client: reqwest::Client) -> ClientWithMiddleware {
    ClientBuilder::new(client)
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build()
}

fn request(url: String) -> Request<Empty<Bytes>> {
    Request::get(url).body(Empty::new()).unwrap()
}

fn app() -> Router {
    let chunks = || async {
        Body::from_stream(stream::iter(
            ["one", "two"].map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk))),
        ))
    };
    let broken = || async {
        let first = stream::iter([Ok(Bytes::from("one"))]);
        // Once the headers are on their way.
        let error = async {
            tokio::task::yield_now().await;
            Err(io::Error::other("as the test wants"))
        };
        Body::from_stream(first.chain(stream::once(error)))
    };
    let endless = || async {
        Body::from_stream(stream::repeat_with(|| {
            Ok::<_, Infallible>(Bytes::from(vec![0; 1 << 16]))
        }))
    };
    Router::new()
        .route("/orders/{id}", get(|| async { "order" }))
        .route("/stream", get(chunks))
        .route("/broken", get(broken))
        .route("/endless", get(endless))
        .route("/bad", get(|| async { StatusCode::NOT_FOUND }))
        .route("/fail", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "later") }))
        .route(
            "/moved",
            get(|| async { (StatusCode::FOUND, [("location", "/orders/1")]) }),
        )
        .route("/waits", get(|| async { std::future::pending::<()>().await }))
        .layer(ServerLayer::new())
}

#[tokio::test]
async fn call_is_the_parent_of_what_the_server_does() {
    #[rustfmt::skip]
    let cases = [
        ("/orders/7", "caller\n  GET {http.response.status_code=200, ..}\n    GET /orders/{id}"),
        ("/stream", "caller\n  GET {http.response.status_code=200, ..}\n    GET /stream"),
        ("/bad", "caller\n  GET ! {http.response.status_code=404, error.type=\"404\", ..}\n    GET /bad"),
        ("/fail", "caller\n  GET ! {http.response.status_code=503, error.type=\"503\", ..}\n    GET /fail !"),
    ];
    for (path, expected) in cases {
        for client in ["hyper 1", "hyper 2", "reqwest", "reqwest 2"] {
            let capture = testing::capture();
            let url = format!("http://{}{path}", serve(app()).await);
            let exchange = async {
                match client {
                    "reqwest" => drop(
                        reqwest_client(reqwest::Client::new())
                            .get(url)
                            .send()
                            .await
                            .unwrap()
                            .bytes()
                            .await
                            .unwrap(),
                    ),
                    "reqwest 2" => {
                        let client = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
                        drop(
                            reqwest_client(client)
                                .get(url)
                                .send()
                                .await
                                .unwrap()
                                .bytes()
                                .await
                                .unwrap(),
                        );
                    }
                    _ => {
                        let response = hyper_client(layer(), client.ends_with('2'))
                            .call(request(url))
                            .await
                            .unwrap();
                        response.collect().await.unwrap();
                    }
                }
            };
            exchange.in_span(span!("caller")).await;
            ended(&capture, 3).await;
            capture.assert_tree(expected);
            let version = capture
                .span("GET")
                .attribute("network.protocol.version")
                .and_then(|version| version.as_str().map(str::to_owned));
            assert_eq!(
                version.as_deref(),
                Some(if client.ends_with('2') { "2" } else { "1.1" }),
                "{client}"
            );
        }
    }
}

#[tokio::test]
async fn span_holds_the_attributes_of_the_conventions() {
    let capture = testing::capture();
    let address = serve(app()).await;
    let layer = layer()
        .capture_request_headers(["x-tenant"])
        .capture_response_headers(["content-length"])
        .time_to_first_byte(true);
    let mut request = request(format!("http://user:secret@{address}/orders/7?sig=secret&a=1"));
    request.headers_mut().insert("x-tenant", "t1".parse().unwrap());
    request.extensions_mut().insert(UrlTemplate::new("/orders/{id}"));
    hyper_client(layer, false)
        .call(request)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap();
    ended(&capture, 2).await;
    let port = address.port();
    capture.assert_tree(&format!(
        "GET /orders/{{id}} {{http.request.method=GET, url.full=\"http://REDACTED:REDACTED@127.0.0.1:{port}/orders/7?sig=REDACTED&a=1\", \
         server.address=127.0.0.1, server.port={port}, url.template=\"/orders/{{id}}\", http.request.header.x-tenant=[t1], \
         http.response.header.content-length=[\"5\"], http.response.status_code=200, network.protocol.version=\"1.1\", \
         network.peer.address=127.0.0.1, network.peer.port={port}}}\n  GET /orders/{{id}}"
    ).replace(&format!("\"http://REDACTED:REDACTED@127.0.0.1:{port}/orders/7?sig=REDACTED&a=1\""), &format!("http://REDACTED:REDACTED@127.0.0.1:{port}/orders/7?sig=REDACTED&a=1")));
    let client = &capture.spans()[0];
    assert_eq!(client.kind(), SpanKind::Client);
    assert_eq!(client.events().next().unwrap().name(), "http.response.first_byte");
}

#[tokio::test]
async fn reqwest_is_told_its_names_and_keeps_its_response() {
    let capture = testing::capture();
    let address = serve(app()).await;
    let url = format!("http://{address}/orders/7");
    let client = reqwest_client(reqwest::Client::new());
    let response = client
        .get(&url)
        .with_extension(UrlTemplate::new("/orders/{id}"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            response.url().as_str(),
            response.remote_addr(),
            response.content_length()
        ),
        (&*url, Some(address), Some(5))
    );
    assert_eq!(response.text().await.unwrap(), "order");
    client
        .get(&url)
        .with_extension(SpanName::new("fetch order"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    ended(&capture, 4).await;
    capture.assert_tree(
        "GET /orders/{id} {network.peer.address=127.0.0.1, url.template=\"/orders/{id}\", ..}\n  GET /orders/{id}\n\
         fetch order\n  GET /orders/{id}",
    );
}

#[tokio::test]
async fn failure_has_a_name_and_cancelling_is_none() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for client in ["hyper", "reqwest"] {
        let capture = testing::capture();
        match client {
            "hyper" => assert!(
                hyper_client(layer(), false)
                    .call(request(format!("http://{gone}/")))
                    .await
                    .is_err()
            ),
            _ => assert!(
                reqwest_client(reqwest::Client::new())
                    .get(format!("http://{gone}/"))
                    .send()
                    .await
                    .is_err()
            ),
        }
        let error_type = capture
            .span("GET")
            .attribute("error.type")
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap();
        let expected = ["hyper_util::client::legacy::client::Error", "connection_refused"];
        assert_eq!(error_type, expected[usize::from(client == "reqwest")]);
        assert!(capture.span("GET").is_error());
        assert!(!capture.span("GET").status().1.is_empty());
    }
    for (path, expected) in [("/waits", "GET"), ("/endless", "GET")] {
        let capture = testing::capture();
        let address = serve(app()).await;
        let mut client = hyper_client(layer(), false);
        let mut call = Box::pin(client.call(request(format!("http://{address}{path}"))));
        match path {
            "/waits" => {
                assert!(futures::poll!(&mut call).is_pending());
                drop(call);
            }
            _ => drop(call.await.unwrap()),
        }
        let spans = capture.spans();
        assert_eq!(
            (spans[0].name(), spans[0].is_error(), spans[0].has_ended()),
            (expected, false, true)
        );
        assert!(spans[0].attribute("error.type").is_none());
    }
    let capture = testing::capture();
    let address = serve(app()).await;
    let response = hyper_client(layer(), false)
        .call(request(format!("http://{address}/broken")))
        .await
        .unwrap();
    assert!(response.collect().await.is_err());
    ended(&capture, 2).await;
    capture.assert_tree("GET ! {http.response.status_code=200, error.type=hyper::error::Error, ..}\n  GET /broken !");
}

#[derive(Clone)]
struct Twice(u32);

impl<R, B, E> retry::Policy<Request<R>, Response<B>, E> for Twice
where
    Request<R>: Clone,
{
    type Future = std::future::Ready<()>;

    fn retry(&mut self, _: &mut Request<R>, result: &mut Result<Response<B>, E>) -> Option<Self::Future> {
        let failed = result
            .as_ref()
            .is_ok_and(|response| response.status().is_server_error());
        self.0 = self.0.checked_sub(u32::from(failed))?;
        failed.then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<R>) -> Option<Request<R>> {
        Some(request.clone())
    }
}

#[tokio::test]
async fn each_attempt_has_a_span() {
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let fails_twice = || async {
        match CALLS.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::OK,
        }
    };
    let capture = testing::capture();
    let address = serve(Router::new().route("/", get(fails_twice))).await;
    let client = ServiceBuilder::new()
        .layer(retry::RetryLayer::new(Twice(5)))
        .service(hyper_client(layer(), false));
    let mut request = request(format!("http://{address}/"));
    request.extensions_mut().insert(Attempts::default());
    let call = async { client.oneshot(request).await.unwrap().collect().await.unwrap() };
    call.in_span(span!("caller")).await;
    let spans: Vec<_> = capture
        .spans()
        .into_iter()
        .filter(|span| span.name() == "GET")
        .collect();
    let counts: Vec<_> = spans
        .iter()
        .map(|span| {
            span.attribute("http.request.resend_count")
                .and_then(|count| count.as_i64())
        })
        .collect();
    assert_eq!(counts, [None, Some(1), Some(2)]);
    capture.assert_tree("caller\n  GET !\n  GET !\n  GET");
}

#[tokio::test]
async fn redirects_are_seen_outside_of_a_client_only() {
    use tower_http::follow_redirect::FollowRedirectLayer;
    let capture = testing::capture();
    let address = serve(app()).await;
    let url = format!("http://{address}/moved");
    let client = ServiceBuilder::new()
        .layer(FollowRedirectLayer::new())
        .service(hyper_client(layer(), false));
    let mut request = request(url.clone());
    request.extensions_mut().insert(Attempts::default());
    let call = async { client.oneshot(request).await.unwrap().collect().await.unwrap() };
    call.in_span(span!("hyper")).await;
    let call = async {
        reqwest_client(reqwest::Client::new())
            .get(&url)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
    };
    call.in_span(span!("reqwest")).await;
    ended(&capture, 9).await;
    capture.assert_tree(&format!(
        "hyper\n  GET {{http.response.status_code=302, ..}}\n    GET /moved\n  GET {{http.request.resend_count=1, ..}}\n    GET /orders/{{id}}\n\
         reqwest\n  GET {{url.full={url}, http.response.status_code=200, ..}}\n    GET /moved\n    GET /orders/{{id}}"
    ));
}

#[tokio::test]
async fn stacked_layers_make_one_span_and_one_header() {
    let answer = |headers: HeaderMap| async move { headers.get_all("traceparent").iter().count().to_string() };
    let capture = testing::capture();
    let address = serve(Router::new().route("/", get(answer)).layer(ServerLayer::new())).await;
    let client = ServiceBuilder::new()
        .layer(layer())
        .service(hyper_client(layer(), false));
    let mut request = request(format!("http://{address}/"));
    request
        .headers_mut()
        .append("traceparent", common::PARENT.parse().unwrap());
    let body = client
        .oneshot(request)
        .await
        .unwrap()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert_eq!(body, "1");
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let request = client
        .get(format!("http://{address}/"))
        .header("traceparent", common::PARENT);
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "1");
    ended(&capture, 4).await;
    capture.assert_tree("GET\n  GET /\nGET\n  GET /");
}

#[tokio::test]
async fn unsampled_and_filtered_calls_pass_their_context_on() {
    let parent =
        throughline::extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]).unwrap();
    let answer = |headers: HeaderMap| async move { headers["traceparent"].to_str().unwrap().to_owned() };
    let capture = testing::capture();
    let address = serve(Router::new().route("/", get(answer))).await;
    let seen = |layer| async move {
        let response = hyper_client(layer, false)
            .call(request(format!("http://{address}/")))
            .await
            .unwrap();
        String::from_utf8(response.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let unsampled = seen(layer()).in_context(parent.clone()).await;
    assert!(
        unsampled.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && unsampled.ends_with("-00"),
        "{unsampled}"
    );
    let filtered = seen(layer().filter(|_| false)).in_context(parent).await;
    assert_eq!(filtered, "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00");
    assert!(capture.spans().is_empty());
}

#[tokio::test]
async fn span_is_current_while_the_call_is_sent_and_not_in_its_body() {
    let capture = testing::capture();
    let service = tower::service_fn(|_: Request<()>| {
        span!("in call").end();
        async {
            span!("in future").end();
            let body = stream::once(async {
                span!("in body").end();
                Ok::<_, Infallible>(Bytes::from("x"))
            });
            Ok::<_, Infallible>(Response::new(Body::from_stream(body)))
        }
    });
    let call = async {
        let client = ServiceBuilder::new().layer(ClientLayer::new()).service(service);
        client.oneshot(Request::new(())).await.unwrap().collect().await.unwrap();
    };
    call.in_span(span!("caller")).await;
    capture.assert_tree("caller\n  GET\n    in call\n    in future\n  in body");
}

#[tokio::test]
async fn error_of_reqwest_shows_no_signature() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let capture = testing::capture();
    let url = format!("http://{gone}/report?sig=secret&a=1");
    let error = reqwest_client(reqwest::Client::new())
        .get(url)
        .send()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("sig=secret"), "the caller sees all of it");
    let span = capture.span("GET");
    let message = span.status().1;
    assert!(
        message.contains(&format!("http://{gone}/report?sig=REDACTED&a=1")),
        "{message}"
    );
    assert!(!capture.tree().with_attributes().to_string().contains("secret"));
}

/// Gives up an attempt after a while, and makes another with the same extensions.
struct Impatient;

#[async_trait::async_trait]
impl Middleware for Impatient {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let first = next.clone().run(request.try_clone().unwrap(), extensions);
        match tokio::time::timeout(Duration::from_millis(50), first).await {
            Ok(answer) => answer,
            Err(_) => next.run(request, extensions).await,
        }
    }
}

#[tokio::test]
async fn attempt_after_one_that_was_given_up_has_a_span() {
    let capture = testing::capture();
    let has_waited = Arc::new(AtomicBool::new(false));
    let slow_once = move || async move {
        if !has_waited.swap(true, Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        "answer"
    };
    let address = serve(Router::new().route("/", get(slow_once)).layer(ServerLayer::new())).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(Impatient)
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let response = client.get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "answer");
    ended(&capture, 4).await;
    let sent = capture
        .spans()
        .into_iter()
        .filter(|span| span.kind() == SpanKind::Client);
    let is_resent: Vec<_> = sent
        .map(|span| span.attribute("http.request.resend_count").is_some())
        .collect();
    assert_eq!(is_resent, [false, true]);
}
