//! A traced hyper client. `cargo run --example hyper_client -- http://127.0.0.1:PORT [2]`; with `2` it speaks HTTP/2.

#![allow(clippy::print_stdout, reason = "it says what it got")]

use http_body_util::{BodyExt as _, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use throughline::{InSpanExt, span};
use throughline_http::{ClientLayer, UrlTemplate};
use tower::{ServiceBuilder, ServiceExt as _};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("shop");
    let server = std::env::args().nth(1).ok_or("which server?")?;
    let is_http2 = std::env::args().nth(2).is_some_and(|version| version == "2");
    let client = Client::builder(TokioExecutor::new()).http2_only(is_http2).build_http();
    let client = ServiceBuilder::new().layer(ClientLayer::new()).service(client);

    let mut request = http::Request::get(format!("{server}/orders/7")).body(Empty::<bytes::Bytes>::new())?;
    request.extensions_mut().insert(UrlTemplate::new("/orders/{id}"));
    let fetch =
        async { Ok::<_, Box<dyn std::error::Error>>(client.oneshot(request).await?.collect().await?.to_bytes()) };
    println!(
        "{}",
        String::from_utf8_lossy(&fetch.in_span(span!("show order")).await?)
    );
    Ok(())
}
