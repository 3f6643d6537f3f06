//! The service that the W3C trace-context harness tests, on each of the seams: a POST tells it whom to call, and it calls them.
//!
//! `trace_context http`, `trace_context opentelemetry` or `trace_context tracing`; it prints its URL, and runs until it is ended.

mod by_http;
mod by_opentelemetry;
mod by_tracing;

use std::io::Write as _;

use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One that is to be called, and what it is to be told.
#[derive(Deserialize)]
struct Call {
    url: String,
    #[serde(default)]
    arguments: Value,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _tracing = throughline::init("trace-context");
    let seam = std::env::args().nth(1).unwrap_or_default();
    let app = match &*seam {
        "http" => by_http::app(),
        "opentelemetry" => by_opentelemetry::app(),
        "tracing" => by_tracing::app()?,
        _ => return Err(format!("there is no seam {seam:?}: http, opentelemetry, tracing").into()),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(std::io::stdout(), "http://{}/test", listener.local_addr()?)?;
    Ok(axum::serve(listener, app).await?)
}

/// What is no list of calls calls nobody.
fn calls(body: &str) -> Vec<Call> {
    serde_json::from_str(body).unwrap_or_default()
}
