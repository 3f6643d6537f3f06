//! A request that is not sampled costs a server no allocation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use throughline_http::{ServerLayer, TracedServer};
use tower::{Layer as _, Service};

#[derive(Clone)]
struct Hello;

impl Service<Request<()>> for Hello {
    type Response = Response<Full<&'static [u8]>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Full::new(b"hello"))))
    }
}

fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::get("/orders/7?a=1").body(()).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

fn allocations(service: &mut TracedServer<Hello>, request: Request<()>) -> u64 {
    let mut task = Context::from_waker(Waker::noop());
    allocation_counter::measure(|| {
        let future = pin!(service.call(request));
        let Poll::Ready(Ok(response)) = future.poll(&mut task) else {
            panic!("it is ready");
        };
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(frame)) = body.as_mut().poll_frame(&mut task) {
            assert!(frame.is_ok());
        }
    })
    .count_total
}

#[test]
fn request_that_is_not_sampled_allocates_nothing() {
    let mut service = ServerLayer::new().layer(Hello);
    let unsampled = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"),
        ("user-agent", "test"),
    ];
    // Tracing is off as yet.
    for headers in [&[][..], &[("user-agent", "test")], &unsampled] {
        allocations(&mut service, request(headers));
        assert_eq!(allocations(&mut service, request(headers)), 0, "off: {headers:?}");
    }
    let _capture = throughline::testing::capture();
    allocations(&mut service, request(&unsampled));
    assert_eq!(allocations(&mut service, request(&unsampled)), 0, "not sampled");
}
