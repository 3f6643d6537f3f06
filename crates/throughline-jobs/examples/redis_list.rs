//! A job through a Redis list: the context is in an envelope around the payload.
//!
//!     REDIS_URL=redis://localhost cargo run -p throughline-jobs --features redis --example redis_list

use redis::{AsyncCommands, RedisResult};
use throughline_jobs::{JobContext, Message, Queue, envelope, redis as traced};

static ORDERS: Queue = traced::queue("demo.list");

#[tokio::main]
async fn main() -> RedisResult<()> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("REDIS_URL").unwrap_or("redis://localhost".to_owned());
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;

    // Who sends:
    let mut job = JobContext::default();
    let send = ORDERS.send(&mut job);
    let letter = envelope::wrap(&job, b"book");
    let _: usize = send.run_async(redis.lpush("demo.list", letter)).await?;

    // Who works:
    while let Some(letter) = redis.rpop::<_, Option<Vec<u8>>>("demo.list", None).await? {
        let (job, order) = envelope::open(&letter);
        ORDERS.process_async(&mut Message::of(&job), charge(order)).await;
    }
    Ok(())
}

async fn charge(order: &[u8]) {
    throughline::span!("charge", order = String::from_utf8_lossy(order)).end();
}
