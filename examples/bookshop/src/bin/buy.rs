//! Buys a book: a command line.

use std::io::Write as _;

use bookshop::{Failure, Order, address};
use reqwest_middleware::ClientBuilder;
use throughline_http::ClientLayer;
use throughline_http::reqwest::TraceMiddleware;
use throughline_process::CommandLine;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let command = CommandLine::new("buy", throughline::init("buy")).ending_on_signals();
    let book = std::env::args().nth(1).unwrap_or_default();
    command.run_async(buy(Order { book })).await
}

async fn buy(order: Order) -> Result<(), Failure> {
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let url = format!("http://{}/orders", address("SHOP", "127.0.0.1:8080"));
    let answer = client
        .post(url)
        .json(&order)
        .send()
        .await?
        .error_for_status()?
        .text()
        .await?;
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}
