//! SERVER spans of HTTP, over sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use common::{PARENT, ended, send, serve, until};
use futures::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use throughline::{span, testing};
use throughline_http::{PeerAddress, Route, ServerLayer, SpanName, Trust, set_name, set_route};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceBuilder;
use tower::service_fn;

fn chunks() -> Body {
    let chunks = ["one", "two"].map(|chunk| Ok::<_, Infallible>(Bytes::from(chunk)));
    Body::from_stream(stream::iter(chunks))
}

fn trailers() -> Body {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-checksum", "7".parse().unwrap());
    let frames = [Frame::data(Bytes::from("data")), Frame::trailers(trailers)];
    Body::new(StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>))))
}

fn broken() -> Body {
    let parts = [
        Ok(Bytes::from("one")),
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
    ];
    Body::from_stream(stream::iter(parts))
}

struct PanickingBody;

impl hyper::body::Body for PanickingBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        panic!("body broke")
    }
}

/// Four bytes, and no word of an end: hyper does not look behind the length that was announced.
struct EndlessFour(bool);

impl hyper::body::Body for EndlessFour {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from("four"))))),
            true => Poll::Pending,
        }
    }
}

async fn ends_in_fallback() -> &'static str {
    set_route("/files/{*path}");
    span!("read file").end();
    "file"
}

fn app() -> Router {
    let mounted = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::from("mounted"))) });
    let routed: Router = Router::new()
        .route("/in/{x}", get(|| async { "in" }))
        .layer(ServerLayer::new());
    Router::new()
        .route("/orders/{id}", get(|| async { span!("load").in_scope(|| "order") }))
        .route("/post", post(|| async { "posted" }))
        .route("/any", any(|| async { "any" }))
        .route("/none", get(|| async { StatusCode::NO_CONTENT }))
        .route("/same", get(|| async { StatusCode::NOT_MODIFIED }))
        .route("/bad", get(|| async { StatusCode::BAD_REQUEST }))
        .route("/fail", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "later") }))
        .route("/stream", get(|| async { chunks() }))
        .route("/trailers", get(|| async { trailers() }))
        .route(
            "/announced",
            get(|| async { ([("content-length", "4")], Body::new(EndlessFour(false))) }),
        )
        .route("/broken", get(|| async { broken() }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("handler broke")
                }
            }),
        )
        .route("/panic-in-body", get(|| async { Body::new(PanickingBody) }))
        .route(
            "/named",
            get(|| async {
                set_name("webhook");
                "named"
            }),
        )
        .route(
            "/by-response",
            get(|| async { (Extension(SpanName::new("from the response")), "named") }),
        )
        .route(
            "/template",
            get(|| async { (Extension(Route::new("/of/{mine}")), "named") }),
        )
        .nest("/api", Router::new().route("/items/{id}", get(|| async { "item" })))
        .nest_service(
            "/mounted",
            ServiceBuilder::new().layer(ServerLayer::new()).service(mounted),
        )
        .nest_service("/hidden", mounted)
        .nest_service("/routed", routed)
        .fallback(ends_in_fallback)
        .layer(ServerLayer::new())
}

#[tokio::test]
async fn span_has_the_route_and_lasts_until_the_body_ends() {
    #[rustfmt::skip]
    let cases = [
        ("GET /orders/7 HTTP/1.1", "GET /orders/{id} {http.response.status_code=200, http.route=\"/orders/{id}\", ..}\n  load"),
        ("HEAD /orders/7 HTTP/1.1", "HEAD /orders/{id} {http.response.status_code=200, ..}\n  load"),
        ("GET /api/items/7 HTTP/1.1", "GET /api/items/{id} {http.route=\"/api/items/{id}\", ..}"),
        ("GET /post HTTP/1.1", "GET /post {http.response.status_code=405, ..}"),
        ("POST /post HTTP/1.1\nContent-Length: 0", "POST /post {http.response.status_code=200, ..}"),
        ("PURGE /any HTTP/1.1", "HTTP /any {http.request.method=_OTHER, http.request.method_original=PURGE, ..}"),
        ("get /any HTTP/1.1", "HTTP /any {http.request.method=_OTHER, http.request.method_original=get, ..}"),
        ("QUERY /any HTTP/1.1", "QUERY /any {http.request.method=QUERY, ..}"),
        ("GET /none HTTP/1.1", "GET /none {http.response.status_code=204, ..}"),
        ("GET /same HTTP/1.1", "GET /same {http.response.status_code=304, ..}"),
        ("GET /bad HTTP/1.1", "GET /bad {http.response.status_code=400, ..}"),
        ("GET /fail HTTP/1.1", "GET /fail ! {http.response.status_code=503, error.type=\"503\", ..}"),
        ("GET /stream HTTP/1.1", "GET /stream {http.response.status_code=200, ..}"),
        ("GET /announced HTTP/1.1", "GET /announced {http.response.status_code=200, ..}"),
        ("GET /trailers HTTP/1.1\nTE: trailers", "GET /trailers {http.response.status_code=200, ..}"),
        ("GET /broken HTTP/1.1", "GET /broken ! {http.response.status_code=200, error.type=axum_core::error::Error, ..}"),
        ("GET /panic HTTP/1.1", "GET /panic ! {error.type=panic, ..}"),
        ("GET /panic-in-body HTTP/1.1", "GET /panic-in-body ! {http.response.status_code=200, error.type=panic, ..}"),
        ("GET /named HTTP/1.1", "webhook {http.route=/named, ..}"),
        ("GET /by-response HTTP/1.1", "from the response {http.route=/by-response, ..}"),
        ("GET /template HTTP/1.1", "GET /of/{mine} {http.route=\"/of/{mine}\", ..}"),
        ("GET /files/secret/path HTTP/1.1", "GET /files/{*path} {http.route=\"/files/{*path}\", ..}\n  read file"),
        ("GET /mounted/x HTTP/1.1", "GET /mounted/{*path} {http.route=\"/mounted/{*path}\", ..}"),
        ("GET /hidden/x HTTP/1.1", "GET {url.path=/hidden/x, ..}"),
        ("GET /routed/in/7 HTTP/1.1", "GET /routed/in/{x} {http.route=\"/routed/in/{x}\", ..}"),
    ];
    for (request, expected) in cases {
        let capture = testing::capture();
        let address = serve(app()).await;
        send(address, request).await;
        ended(&capture, 1).await;
        eprintln!("{request}");
        capture.assert_tree(expected);
    }
}

#[tokio::test]
async fn span_holds_the_attributes_of_the_conventions() {
    let capture = testing::capture();
    let app = Router::new().route("/orders/{id}", get(|| async { "order" })).layer(
        ServerLayer::new()
            .capture_request_headers(["x-tenant", "X-Twice", "absent"])
            .capture_response_headers(["content-type"]),
    );
    let address = serve(app.layer(Extension(PeerAddress(([192, 0, 2, 9], 4711).into())))).await;
    let headers = "User-Agent: test/1\nX-Tenant: t1\nX-Twice: 1\nX-Twice: 2\nForwarded: for=192.0.2.60;proto=https;host=front.example";
    send(address, &format!("GET /orders/7?a=1&sig=secret HTTP/1.1\n{headers}")).await;
    ended(&capture, 1).await;
    capture.assert_tree(
        "GET /orders/{id} {http.request.method=GET, url.path=/orders/7, url.query=a=1&sig=REDACTED, url.scheme=https, \
         server.address=front.example, http.route=\"/orders/{id}\", network.protocol.version=\"1.1\", user_agent.original=test/1, \
         client.address=192.0.2.60, network.peer.address=192.0.2.9, network.peer.port=4711, \
         http.request.header.x-tenant=[t1], http.request.header.x-twice=[\"1\", \"2\"], \
         http.response.header.content-type=[text/plain; charset=utf-8], http.response.status_code=200}",
    );
    let span = capture.spans().remove(0);
    assert_eq!(span.kind(), throughline::SpanKind::Server);
}

#[tokio::test]
async fn trust_decides_parent_link_and_forwarded_headers() {
    let headers = format!("traceparent: {PARENT}\ntracestate: a=1\nbaggage: k=v\nX-Forwarded-For: 192.0.2.60");
    let answer = || async { throughline::inject(HeaderMap::new()) };
    for (trust, continues, links, client) in [
        (Trust::Trust, true, 0, Some("192.0.2.60")),
        (Trust::Link, false, 1, None),
        (Trust::Ignore, false, 0, None),
    ] {
        let capture = testing::capture();
        let app = Router::new()
            .route("/", get(answer))
            .layer(ServerLayer::new().trust(trust));
        let answer = send(serve(app).await, &format!("GET / HTTP/1.1\n{headers}")).await;
        assert!(answer.contains("traceparent: 00-"), "{answer}");
        for passed_on in [
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736",
            "tracestate: a=1",
            "baggage: k=v",
        ] {
            assert_eq!(answer.contains(passed_on), continues, "{trust:?}: {answer}");
        }
        ended(&capture, 1).await;
        let span = capture.span("GET /");
        assert_eq!(span.parent_span_id().is_some(), continues);
        assert_eq!(span.links().count(), links);
        assert_eq!(
            span.attribute("client.address")
                .and_then(|value| value.as_str().map(str::to_owned))
                .as_deref(),
            client
        );
    }
}

/// A filter refuses the span, not the trust: what is not believed of a traced request is not believed of this one.
#[tokio::test]
async fn filtered_request_passes_its_context_on_if_trusted() {
    let headers = format!("traceparent: {PARENT}\ntracestate: a=1\nbaggage: k=v");
    for (trust, passes_on) in [(Trust::Trust, true), (Trust::Link, false), (Trust::Ignore, false)] {
        let capture = testing::capture();
        let layer = ServerLayer::new()
            .trust(trust)
            .filter(|request| request.uri.path() != "/healthz");
        let answer = || async {
            let sent = throughline::inject(HeaderMap::new());
            span!("inside").end();
            (sent, chunks())
        };
        let app = Router::new().route("/healthz", get(answer)).layer(layer);
        let answer = send(serve(app).await, &format!("GET /healthz HTTP/1.1\n{headers}")).await;
        for header in [&*format!("traceparent: {PARENT}"), "tracestate: a=1", "baggage: k=v"] {
            assert_eq!(answer.contains(header), passes_on, "{trust:?}: {answer}");
        }
        assert_eq!(answer.contains("traceparent: "), passes_on, "{trust:?}: {answer}");
        let spans = capture.spans();
        assert_eq!(spans.len(), 1, "{}", capture.tree());
        let parent = spans[0].parent_span_id().map(|id| id.to_string());
        assert_eq!(parent.as_deref(), passes_on.then_some("00f067aa0ba902b7"), "{trust:?}");
        assert_eq!(spans[0].links().count(), 0);
    }
}

#[tokio::test]
async fn response_tells_its_trace_when_asked_to() {
    let capture = testing::capture();
    let layer = ServerLayer::new()
        .traceresponse(true)
        .server_timing(true)
        .time_to_first_byte(true);
    let answer = send(
        serve(Router::new().route("/", get(|| async { chunks() })).layer(layer)).await,
        "GET / HTTP/1.1",
    )
    .await;
    ended(&capture, 1).await;
    let span = capture.span("GET /");
    let traceparent = format!("00-{}-{}-03", span.trace_id(), span.span_id());
    assert!(
        answer.contains(&format!("traceresponse: {traceparent}\r\n")),
        "{answer}"
    );
    assert!(
        answer.contains(&format!("server-timing: traceparent;desc=\"{traceparent}\"\r\n")),
        "{answer}"
    );
    let events: Vec<_> = span.events().map(|event| event.name().to_owned()).collect();
    assert_eq!(events, ["http.response.first_byte"]);
}

#[tokio::test]
async fn nested_layers_make_one_span() {
    let capture = testing::capture();
    let inner = Router::new()
        .route("/orders/{id}", get(|| async { "order" }))
        .layer(ServerLayer::new());
    let app = Router::new().fallback_service(ServiceBuilder::new().layer(ServerLayer::new()).service(inner));
    send(serve(app).await, "GET /orders/7 HTTP/1.1").await;
    ended(&capture, 1).await;
    capture.assert_tree("GET /orders/{id} {http.route=\"/orders/{id}\", ..}");
}

#[tokio::test]
async fn client_that_goes_away_is_recorded() {
    let endless = || async {
        Body::from_stream(stream::repeat_with(|| {
            Ok::<_, Infallible>(Bytes::from(vec![0; 1 << 16]))
        }))
    };
    let app = || {
        let waits = get(|| async { std::future::pending::<()>().await });
        Router::new()
            .route("/waits", waits)
            .route("/endless", get(endless))
            .layer(ServerLayer::new())
    };
    for (path, expected) in [
        (
            "/waits",
            "GET /waits ! {error.type=connection_dropped, http.response.status_code=absent, ..}",
        ),
        (
            "/endless",
            "GET /endless ! {error.type=connection_dropped, http.response.status_code=200, ..}",
        ),
    ] {
        let capture = testing::capture();
        let mut stream = TcpStream::connect(serve(app()).await).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        until(|| !capture.spans().is_empty()).await;
        if path == "/endless" {
            stream.read_exact(&mut [0; 1000]).await.unwrap();
        }
        drop(stream);
        ended(&capture, 1).await;
        capture.assert_tree(&expected.replace("http.response.status_code=absent, ", ""));
        let has_code = capture.spans()[0].attribute("http.response.status_code").is_some();
        assert_eq!(has_code, path == "/endless");
    }
}

#[tokio::test]
async fn timeout_outside_and_catcher_outside_are_seen() {
    use tower_http::catch_panic::CatchPanicLayer;
    use tower_http::timeout::TimeoutLayer;
    let waits = get(|| async { std::future::pending::<()>().await });
    let breaks = get(|| async {
        if true {
            panic!("handler broke")
        }
    });
    let app = || {
        Router::new()
            .route("/waits", waits.clone())
            .route("/breaks", breaks.clone())
            .layer(ServerLayer::new())
    };
    for (path, expected, code) in [
        ("/waits", "GET /waits ! {error.type=connection_dropped, ..}", "408"),
        ("/breaks", "GET /breaks ! {error.type=panic, ..}", "500"),
    ] {
        let capture = testing::capture();
        let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, std::time::Duration::from_millis(20));
        let app = app().layer(timeout).layer(CatchPanicLayer::new());
        let answer = send(serve(app).await, &format!("GET {path} HTTP/1.1")).await;
        assert!(answer.contains(code), "{answer}");
        ended(&capture, 1).await;
        capture.assert_tree(expected);
    }
}

#[tokio::test]
async fn known_methods_can_be_replaced() {
    let capture = testing::capture();
    let layer = ServerLayer::new()
        .known_methods(["PURGE"])
        .sensitive_query_keys(["token"]);
    let address = serve(Router::new().route("/", any(|| async {})).layer(layer)).await;
    for request in ["PURGE /?token=secret&sig=x HTTP/1.1", "GET / HTTP/1.1"] {
        send(address, request).await;
    }
    ended(&capture, 2).await;
    capture.assert_tree(
        "PURGE / {http.request.method=PURGE, url.query=token=REDACTED&sig=x, ..}\n\
         HTTP / {http.request.method=_OTHER, http.request.method_original=GET, ..}",
    );
}

#[tokio::test]
async fn hostile_headers_are_served_and_begin_a_trace() {
    let long = "x".repeat(8_000);
    let many = "tracestate: a=1\n".repeat(60);
    #[rustfmt::skip]
    let cases = [
        "traceparent: nonsense".to_owned(),
        "traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
        "traceparent: ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        format!("traceparent: {PARENT}\ntraceparent: {PARENT}"),
        format!("traceparent: {PARENT}{long}"),
        format!("traceparent: \u{fc}\u{1f600}\ntracestate: {long}"),
        format!("{many}traceparent:"),
        format!("Forwarded: {}", "for=\"".repeat(500)),
        format!("X-Forwarded-For: {}\nX-Forwarded-Proto: {long}", ",".repeat(1000)),
        format!("baggage: {}", "k=v,".repeat(1500)),
        format!("Content-Type: application/grpc\ngrpc-timeout: {long}"),
        format!("grpc-timeout: -1\nUser-Agent: {long}"),
    ];
    for headers in cases {
        let capture = testing::capture();
        let app = Router::new().route("/", get(|| async { "served" }).post(|| async { "served" }));
        let answer = send(
            serve(app.layer(ServerLayer::new())).await,
            &format!("GET / HTTP/1.1\n{headers}"),
        )
        .await;
        assert!(answer.ends_with("served"), "{headers}: {answer}");
        ended(&capture, 1).await;
        assert_eq!(capture.spans()[0].parent_span_id(), None, "{headers}");
    }
}

#[tokio::test]
async fn body_is_passed_on_as_it_is() {
    use hyper::body::Body as _;
    let _capture = testing::capture();
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(http_body_util::Full::new(Bytes::from("four"))))
    });
    let mut service = ServiceBuilder::new().layer(ServerLayer::new()).service(service);
    let response = tower::Service::call(&mut service, Request::new(())).await.unwrap();
    assert_eq!(response.body().size_hint().exact(), Some(4));
    assert!(!response.body().is_end_stream());
    assert!(response.map(Body::new).into_response().status().is_success());
}

#[tokio::test]
async fn name_that_was_given_stays_whatever_route_is_told_later() {
    let capture = testing::capture();
    let by_request = |mut request: Request<Body>| {
        request.extensions_mut().insert(SpanName::new("by the request"));
        request
    };
    let routes = Router::new()
        .route(
            "/response",
            get(|| async {
                set_name("webhook");
                (Extension(Route::new("/hooks/{name}")), "named")
            }),
        )
        .route(
            "/later",
            get(|| async {
                set_name("webhook");
                tokio::task::yield_now().await;
                set_route("/hooks/{name}");
            }),
        );
    let named_before = Router::new().route("/request", get(|| async { assert!(set_route("/hooks/{name}")) }));
    let named_before = named_before
        .layer(ServerLayer::new())
        .layer(tower::util::MapRequestLayer::new(by_request));
    let address = serve(routes.layer(ServerLayer::new()).merge(named_before)).await;
    for path in ["/response", "/later", "/request"] {
        send(address, &format!("GET {path} HTTP/1.1")).await;
    }
    ended(&capture, 3).await;
    capture.assert_tree(
        "webhook {http.route=\"/hooks/{name}\", ..}\n\
         webhook {http.route=\"/hooks/{name}\", ..}\n\
         by the request {http.route=\"/hooks/{name}\", ..}",
    );
}
