//! By hand, with the OpenTelemetry API alone.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::routing::post;
use opentelemetry::context::FutureExt as _;
use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, global};

use crate::calls;

pub fn app() -> Router {
    throughline_opentelemetry::install();
    Router::new().route("/test", post(serve))
}

async fn serve(headers: HeaderMap, body: String) {
    let caller = global::get_text_map_propagator(|propagator| propagator.extract(&Received(&headers)));
    let tracer = global::tracer("trace-context");
    let span = tracer
        .span_builder("POST /test")
        .with_kind(SpanKind::Server)
        .start_with_context(&tracer, &caller);
    call_all(&body).with_context(caller.with_span(span)).await;
}

async fn call_all(body: &str) {
    let tracer = global::tracer("trace-context");
    let client = reqwest::Client::new();
    for call in calls(body) {
        let span = tracer.span_builder("POST").with_kind(SpanKind::Client).start(&tracer);
        let context = Context::current_with_span(span);
        let mut headers = HeaderMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut Sent(&mut headers)));
        let request = client
            .post(call.url)
            .headers(headers)
            .header("content-type", "application/json");
        // One that cannot be called is missed by the harness.
        let _ = request
            .body(call.arguments.to_string())
            .send()
            .with_context(context)
            .await;
    }
}

struct Received<'a>(&'a HeaderMap);

impl Extractor for Received<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<_> = self
            .0
            .get_all(key)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        (!all.is_empty()).then_some(all)
    }
}

struct Sent<'a>(&'a mut HeaderMap);

impl Injector for Sent<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
