//! The service that the W3C trace-context harness tests: it is told by a POST whom to call, and calls them.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use serde_json::Value;
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, ServerLayer};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("trace-context");
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let app = Router::new()
        .route("/test", post(call_them))
        .layer(ServerLayer::new())
        .with_state(client);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}/test", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

async fn call_them(State(client): State<ClientWithMiddleware>, calls: String) {
    // What is no list of calls calls nobody.
    let calls: Vec<Value> = serde_json::from_str(&calls).unwrap_or_default();
    for call in calls {
        if let Some(url) = call["url"].as_str() {
            let request = client.post(url).header("content-type", "application/json");
            // One that cannot be called is missed by the harness.
            let _ = request.body(call["arguments"].to_string()).send().await;
        }
    }
}
