//! A job through a Redis stream.
//!
//!     REDIS_URL=redis://localhost cargo run -p throughline-jobs --features redis --example redis_stream

use redis::streams::StreamReadReply;
use redis::{AsyncCommands, RedisResult};
use throughline_jobs::{Queue, redis as traced};

static ORDERS: Queue = traced::queue("demo");

#[tokio::main]
async fn main() -> RedisResult<()> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("REDIS_URL").unwrap_or("redis://localhost".to_owned());
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;

    // Who sends:
    let mut fields = vec![("payload".to_owned(), "book".to_owned())];
    let send = ORDERS.send(&mut fields);
    let _: String = send.run_async(redis.xadd("demo", "*", &fields)).await?;

    // Who works:
    let reply: StreamReadReply = redis.xread(&["demo"], &["0"]).await?;
    for entry in reply.keys.iter().flat_map(|stream| &stream.ids) {
        let mut message = traced::message(entry);
        ORDERS.process_async(&mut message, charge(entry.get("payload"))).await;
        let _: usize = redis.xdel("demo", &[&entry.id]).await?;
    }
    Ok(())
}

async fn charge(order: Option<String>) {
    throughline::span!("charge", order = order).end();
}
