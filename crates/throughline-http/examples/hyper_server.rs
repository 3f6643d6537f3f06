//! A traced server of hyper and tower, HTTP/1 and HTTP/2, without axum. `cargo run --example hyper_server`, and then `throughline view`.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::convert::Infallible;

use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use throughline::span;
use throughline_http::{ServerLayer, set_route};
use tokio::net::TcpListener;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("orders");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);

    let service = ServiceBuilder::new().layer(ServerLayer::new()).service_fn(order);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = TowerToHyperService::new(service.clone());
        let connection = auto::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        tokio::spawn(connection);
    }
}

async fn order<B>(request: Request<B>) -> Result<Response<String>, Infallible> {
    // A router of one's own says which route it took.
    set_route("/orders/{id}");
    let id = request.uri().path().trim_start_matches("/orders/");
    let mut load = span!("load order", order.id = id);
    Ok(load.in_scope(|| Response::new(format!("order {id}"))))
}
