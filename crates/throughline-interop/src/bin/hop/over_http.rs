//! Hops over HTTP: axum and reqwest.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::Query;
use axum::http::StatusCode;
use axum::routing::get;
use reqwest_middleware::ClientBuilder;
use serde::{Deserialize, Serialize};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, ServerLayer};
use tokio::net::TcpListener;

use crate::{Failure, hop};

#[derive(Deserialize, Serialize)]
struct Hops {
    next: String,
}

pub async fn listen() -> Result<SocketAddr, Failure> {
    let app = Router::new().route("/hop", get(answer)).layer(ServerLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

async fn answer(Query(hops): Query<Hops>) -> Result<String, (StatusCode, String)> {
    hop(&hops.next)
        .await
        .map_err(|error| (StatusCode::BAD_GATEWAY, error.to_string()))
}

pub async fn call(address: &str, rest: &str) -> Result<String, Failure> {
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let hops = Hops { next: rest.to_owned() };
    let response = client.get(format!("http://{address}/hop")).query(&hops).send().await?;
    Ok(response.error_for_status()?.text().await?)
}
