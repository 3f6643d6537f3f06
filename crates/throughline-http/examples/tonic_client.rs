//! A traced tonic client: one call of each kind. `cargo run --example tonic_client -- http://127.0.0.1:PORT`

#[path = "../tests/common/shop.rs"]
mod shop;

use futures::stream;
use http::uri::PathAndQuery;
use shop::Bytes;
use throughline::{InSpanExt, span};
use throughline_http::ClientLayer;
use tonic::Request;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("shop");
    let server = std::env::args().nth(1).ok_or("which server?")?;
    let channel = Channel::from_shared(server.clone())?.connect().await?;
    // Outside of the channel. A generated client takes what this is: `OrdersClient::new(channel)`.
    let channel = ServiceBuilder::new()
        .layer(ClientLayer::new().target(server))
        .service(channel);

    let mut orders = Grpc::new(channel);
    let path = |method: &str| PathAndQuery::try_from(format!("/shop.Orders/{method}"));
    let one = || Request::new(b"a b".to_vec());
    let many = || Request::new(stream::iter([b"a".to_vec(), b"b".to_vec()]));
    let calls = async {
        // As generated clients do before each call.
        orders.ready().await?;
        orders.unary(one(), path("Unary")?, Bytes).await?;
        orders.ready().await?;
        orders.client_streaming(many(), path("ClientStream")?, Bytes).await?;
        orders.ready().await?;
        let mut words = orders
            .server_streaming(one(), path("ServerStream")?, Bytes)
            .await?
            .into_inner();
        while words.message().await?.is_some() {}
        orders.ready().await?;
        let mut words = orders.streaming(many(), path("Both")?, Bytes).await?.into_inner();
        while words.message().await?.is_some() {}
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    calls.in_span(span!("check orders")).await
}
