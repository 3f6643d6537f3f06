//! Has receipts printed: redis, and a child process for each.

use bookshop::{Failure, RECEIPTS, address};
use redis::AsyncCommands as _;
use redis::streams::{StreamId, StreamReadOptions, StreamReadReply};
use throughline_jobs::redis as traced;
use throughline_process::CommandExt as _;
use tokio::process::Command;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let _tracing = throughline::init("worker");
    let client = redis::Client::open(address("REDIS", "redis://localhost"))?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    let mut last = "0".to_owned();
    loop {
        let options = StreamReadOptions::default().count(1).block(100);
        let reply: Option<StreamReadReply> = redis.xread_options(&["receipts"], &[&last], &options).await?;
        for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            let printed = RECEIPTS
                .process_async(&mut traced::message(&entry), print(&entry))
                .await;
            if let Err(error) = printed {
                eprintln!("receipt {}: {error}", entry.id);
            }
            last = entry.id;
        }
    }
}

async fn print(entry: &StreamId) -> Result<(), Failure> {
    let field = |name| entry.get::<String>(name).unwrap_or_default();
    let program = std::env::current_exe()?.with_file_name("receipt");
    let status = Command::new(program)
        .args([field("order"), field("price")])
        .traced()
        .status()
        .await?;
    if !status.success() {
        return Err(format!("the printer says {status}").into());
    }
    Ok(())
}
