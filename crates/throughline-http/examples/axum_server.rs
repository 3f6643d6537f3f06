//! A traced axum server. `cargo run --example axum_server --features axum`, and then `throughline view`.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use throughline::span;
use throughline_http::ServerLayer;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("orders");
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .layer(ServerLayer::new().filter(|request| request.uri.path() != "/healthz"));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}

async fn order(Path(id): Path<u64>) -> String {
    let mut load = span!("load order", order.id = id);
    load.in_scope(|| format!("order {id}"))
}
