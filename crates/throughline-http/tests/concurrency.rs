//! 10,000 requests at once, over all workers of a runtime: each span has the parent that its own request brought.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use throughline::{InSpanExt, span, testing};
use throughline_http::{ClientLayer, ServerLayer};
use tokio::sync::Barrier;
use tower::{ServiceBuilder, ServiceExt as _};

const REQUESTS: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_at_once_have_their_own_parents() {
    let capture = testing::capture();
    let all_are_here = Arc::new(Barrier::new(REQUESTS));
    let handler = move |request: Request<()>| {
        let all_are_here = all_are_here.clone();
        async move {
            let number = request.uri().path().to_owned();
            all_are_here.wait().await;
            span!("work", number = number).end();
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Response::new(Full::new(bytes::Bytes::from("done"))))
        }
    };
    let server = ServiceBuilder::new().layer(ServerLayer::new()).service_fn(handler);
    // In a task of its own, as a connection's are.
    let transport = tower::service_fn(move |request: Request<()>| {
        let served = tokio::spawn(server.clone().oneshot(request));
        async move { Ok::<_, Infallible>(served.await.unwrap().unwrap()) }
    });
    let client = ServiceBuilder::new().layer(ClientLayer::new()).service(transport);
    let calls = async {
        let call = |number: usize| {
            let client = client.clone();
            let call = async move {
                let request = Request::get(format!("/{number}")).body(()).unwrap();
                client.oneshot(request).await.unwrap().collect().await.unwrap();
            };
            tokio::spawn(call.in_span(span!("caller", number = format!("/{number}"))))
        };
        for task in (0..REQUESTS).map(call).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    calls.in_span(span!("all")).await;

    let spans = capture.spans();
    assert_eq!(spans.len(), 1 + 4 * REQUESTS);
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span_id(), span)).collect();
    let text =
        |span: &testing::CapturedSpan, key| span.attribute(key).and_then(|value| value.as_str().map(str::to_owned));
    for work in spans.iter().filter(|span| span.name() == "work") {
        let parent = |span: &testing::CapturedSpan| by_id[&span.parent_span_id().unwrap()];
        let server = parent(work);
        let client = parent(server);
        let caller = parent(client);
        let number = text(work, "number").unwrap();
        assert_eq!(text(server, "url.path").as_ref(), Some(&number));
        assert_eq!(text(client, "url.full").as_ref(), Some(&number));
        assert_eq!(text(caller, "number").as_ref(), Some(&number));
    }
}
