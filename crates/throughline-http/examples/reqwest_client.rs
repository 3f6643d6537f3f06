//! A traced reqwest client. `cargo run --example reqwest_client --features reqwest -- http://127.0.0.1:PORT`

#![allow(clippy::print_stdout, reason = "it says what it got")]

use reqwest_middleware::ClientBuilder;
use throughline::{InSpanExt, span};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::{ClientLayer, UrlTemplate};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("shop");
    let server = std::env::args().nth(1).ok_or("which server?")?;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();

    let request = client
        .get(format!("{server}/orders/7"))
        .with_extension(UrlTemplate::new("/orders/{id}"));
    let fetch = async {
        request
            .send()
            .await?
            .text()
            .await
            .map_err(reqwest_middleware::Error::from)
    };
    println!("{}", fetch.in_span(span!("show order")).await?);
    Ok(())
}
