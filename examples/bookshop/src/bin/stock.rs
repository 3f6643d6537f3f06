//! Says how many copies of a book there are: axum.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use bookshop::{Failure, address};
use throughline_http::ServerLayer;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _tracing = throughline::init("stock");
    let app = Router::new()
        .route("/stock/{book}", get(stock))
        .layer(ServerLayer::new());
    let listener = TcpListener::bind(address("STOCK", "127.0.0.1:8081")).await?;
    Ok(axum::serve(listener, app).await?)
}

async fn stock(Path(book): Path<String>) -> Result<String, StatusCode> {
    match book.as_str() {
        "The Mythical Man-Month" => Ok("3".to_owned()),
        _ => Err(StatusCode::NOT_FOUND),
    }
}
