//! What a sampler of one's own sees when a request's span starts, over HTTP and gRPC.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::Full;
use throughline::{Decision, Sampler, SamplingInput, SamplingResult, ShouldSample, testing};
use throughline_http::{ClientLayer, ServerLayer, Trust};
use tower::{ServiceBuilder, ServiceExt as _};

/// Drops what is asked of `/health`, by its attributes.
struct ByPath(Arc<Mutex<Vec<String>>>);

impl ShouldSample for ByPath {
    fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
        let keys: Vec<_> = span.attributes.clone().map(|(key, _)| key.to_owned()).collect();
        let seen = format!(
            "{:?} {} links={} {}",
            span.kind,
            span.name,
            span.links.len(),
            keys.join(" ")
        );
        self.0.lock().unwrap().push(seen);
        let mut attributes = span.attributes.clone();
        let is_health = attributes.any(|(key, value)| key == "url.path" && value.as_str() == Some("/health"));
        SamplingResult::new(if is_health {
            Decision::Drop
        } else {
            Decision::RecordAndSample
        })
    }

    fn description(&self) -> Cow<'_, str> {
        "ByPath".into()
    }
}

#[tokio::test]
async fn sampler_sees_what_a_request_says() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sampler = Sampler::custom(ByPath(seen.clone()));
    let _tracing = throughline::builder("test").sampler(sampler).capturing().init();
    let capture = testing::capture();
    let answer = |_: Request<()>| async { Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::new()))) };
    let server = ServiceBuilder::new()
        .layer(ServerLayer::new().trust(Trust::Link))
        .service_fn(answer);
    let client = ServiceBuilder::new().layer(ClientLayer::new()).service(server);
    let request = |url: &str| Request::get(url).header("user-agent", "test").body(()).unwrap();
    client
        .clone()
        .oneshot(request("http://shop.example:81/orders?a=1"))
        .await
        .unwrap();
    client
        .clone()
        .oneshot(request("http://shop.example/health"))
        .await
        .unwrap();
    let mut grpc = request("http://shop.example/shop.Orders/Place");
    grpc.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    client.oneshot(grpc).await.unwrap();

    let server = "http.request.method url.path url.query url.scheme server.address server.port network.protocol.version user_agent.original";
    let client = "http.request.method url.full server.address server.port";
    let rpc = "rpc.system.name rpc.method server.address";
    let expected = [
        format!("Client GET links=0 {client}"),
        format!("Server GET links=1 {server}"),
        format!("Client GET links=0 {client}"),
        format!(
            "Server GET links=1 {}",
            server.replace(" url.query", "").replace(" server.port", "")
        ),
        format!("Client shop.Orders/Place links=0 {rpc}"),
        format!("Server shop.Orders/Place links=1 {rpc}"),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    capture.assert_tree("GET\nGET\nGET\nshop.Orders/Place !\nshop.Orders/Place !");
}
