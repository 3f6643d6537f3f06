//! With layers: axum and reqwest.

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, ServerLayer};

use crate::calls;

pub fn app() -> Router {
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    Router::new()
        .route("/test", post(call_all))
        .layer(ServerLayer::new())
        .with_state(client)
}

async fn call_all(State(client): State<ClientWithMiddleware>, body: String) {
    for call in calls(&body) {
        let request = client.post(call.url).header("content-type", "application/json");
        // One that cannot be called is missed by the harness.
        let _ = request.body(call.arguments.to_string()).send().await;
    }
}
