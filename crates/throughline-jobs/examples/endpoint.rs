//! A request that is answered at once, and worked on later from a durable endpoint.
//!
//!     ENDPOINT=example.redb cargo run -p throughline-jobs --features endpoint --example endpoint

use std::error::Error;

use throughline_jobs::endpoint::Endpoint;
use throughline_jobs::{Request, RequestKey};

fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("reports");
    let path = std::env::var("ENDPOINT").unwrap_or("example.redb".to_owned());
    let endpoint = Endpoint::builder("report.create").max_attempts(3).open(path)?;

    // Who answers: the key came with the request.
    let key: RequestKey = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7".parse()?;
    let request = Request::new(key, "report.create");
    request.serve().run(|| endpoint.push(key, b"42"))?;

    // Who works:
    while endpoint.process_next(|entry| report(entry.data()))?.is_some() {}
    Ok(())
}

fn report(customer: &[u8]) {
    throughline::span!("report", customer = String::from_utf8_lossy(customer)).end();
}
