//! By hand, with spans of `tracing`.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use throughline::{extract, inject};
use throughline_tracing::SpanExt as _;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{Failure, calls};

pub fn app() -> Result<Router, Failure> {
    tracing_subscriber::registry()
        .with(throughline_tracing::layer())
        .try_init()?;
    Ok(Router::new().route("/test", post(serve)))
}

async fn serve(headers: HeaderMap, body: String) {
    let span = info_span!("POST /test", otel.kind = "server");
    if let Some(caller) = extract(&headers) {
        // It has not been entered, so that it can be set.
        let _ = span.set_parent(caller);
    }
    call_all(&body).instrument(span).await;
}

async fn call_all(body: &str) {
    let client = reqwest::Client::new();
    for call in calls(body) {
        let calling = async {
            let request = client
                .post(call.url)
                .headers(inject(HeaderMap::new()))
                .header("content-type", "application/json");
            // One that cannot be called is missed by the harness.
            let _ = request.body(call.arguments.to_string()).send().await;
        };
        calling.instrument(info_span!("POST", otel.kind = "client")).await;
    }
}
