//! A traced tonic server, whose service is written by hand. `cargo run --example tonic_server`

#![allow(clippy::print_stdout, reason = "it says where it listens")]

#[path = "../tests/common/shop.rs"]
mod shop;

use throughline_http::ServerLayer;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::transport::server::TcpConnectInfo;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("orders");
    let tracing = ServerLayer::new().peer_address(|extensions| extensions.get::<TcpConnectInfo>()?.remote_addr());
    let server = Server::builder().layer(tracing).add_service(shop::Orders);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
    Ok(())
}
