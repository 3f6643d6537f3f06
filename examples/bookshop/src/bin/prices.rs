//! Says what a book costs: tonic.

use bookshop::price_service::Prices;
use bookshop::{Failure, address};
use throughline_http::ServerLayer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _tracing = throughline::init("prices");
    let listener = TcpListener::bind(address("PRICES", "127.0.0.1:8082")).await?;
    let prices = Prices(|book| Ok(format!("{}.50", book.len())));
    let server = Server::builder().layer(ServerLayer::new()).add_service(prices);
    Ok(server.serve_with_incoming(TcpListenerStream::new(listener)).await?)
}
