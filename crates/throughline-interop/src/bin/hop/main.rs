//! A hop of the interoperability test, on Throughline. What a hop does: `peers/README.md`.

mod over_grpc;
mod over_http;
#[path = "../../../../../examples/bookshop/src/text_codec.rs"]
mod text_codec;

use std::error::Error;
use std::io::Write as _;

use throughline::Context;
use tokio::io::AsyncReadExt as _;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let name = std::env::var("OTEL_SERVICE_NAME")?;
    let _tracing = throughline::init(&name);
    let http = over_http::listen().await?;
    let grpc = over_grpc::listen().await?;
    writeln!(std::io::stdout(), "ready http={http} grpc={grpc}")?;
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    Ok(())
}

/// Says what it sees of the trace, and goes on to the first of the others.
async fn hop(next: &str) -> Result<String, Failure> {
    let own = seen();
    let (first, rest) = next.split_once(',').unwrap_or((next, ""));
    let answer = match first.split_once(':') {
        Some(("grpc", address)) => over_grpc::call(address, rest).await?,
        Some((_, address)) => over_http::call(address, rest).await?,
        None => String::new(),
    };
    Ok(own + &answer)
}

fn seen() -> String {
    let context = Context::current();
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_default();
    let trace = context.trace_id().map(|id| id.to_string()).unwrap_or_default();
    let baggage = context.baggage();
    let user = baggage.get("user.name").unwrap_or_default();
    format!(
        "service={name} trace={trace} state={} user={user}\n",
        context.trace_state()
    )
}
