//! A Redis stream with a group of workers: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::error::Error;

use orders::{MAX_ATTEMPTS, arguments, handle};
use redis::aio::MultiplexedConnection;
use redis::streams::{
    StreamAutoClaimOptions, StreamAutoClaimReply, StreamId, StreamPendingCountReply, StreamReadOptions, StreamReadReply,
};
use redis::{AsyncCommands, RedisResult};
use throughline_jobs::{Queue, redis as traced};

static ORDERS: Queue = traced::queue("orders");
static DEAD: Queue = traced::queue("orders.dead");
const GROUP: &str = "workers";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    match &*command {
        "table" => redis.xgroup_create_mkstream("orders", GROUP, "0").await?,
        "send" => send(&mut redis, &arguments).await?,
        "work" => work(&mut redis, arguments[0].parse()?).await?,
        _ => batch(&mut redis).await?,
    }
    Ok(())
}

async fn send(redis: &mut MultiplexedConnection, orders: &[String]) -> RedisResult<()> {
    for order in orders {
        let mut fields = vec![("payload".to_owned(), order.clone())];
        let send = ORDERS.send(&mut fields);
        let _: String = send.run_async(redis.xadd("orders", "*", &fields)).await?;
    }
    Ok(())
}

async fn work(redis: &mut MultiplexedConnection, mut count: usize) -> RedisResult<()> {
    while count > 0 {
        let poll = ORDERS.poll();
        let (entry, attempt) = match left_behind(redis).await? {
            Some(entry) => {
                let counted: StreamPendingCountReply =
                    redis.xpending_count("orders", GROUP, &*entry.id, &*entry.id, 1).await?;
                let attempt = counted.ids.first().map_or(2, |pending| pending.times_delivered as u32);
                (entry, attempt)
            }
            None => match next(redis, 1).await?.pop() {
                Some(entry) => (entry, 1),
                None => continue,
            },
        };
        let order: String = entry.get("payload").unwrap_or_default();
        let mut message = traced::message(&entry).attempt(attempt);
        poll.received_one(&mut message);
        let result = ORDERS.process_async(&mut message, handle(&order, attempt)).await;
        if result.is_err() && attempt < MAX_ATTEMPTS {
            // It stays with this worker until somebody claims it.
            continue;
        }
        if result.is_err() {
            let mut fields = vec![("payload".to_owned(), order)];
            let bury = DEAD.dead_letter(&message, &mut fields, "max_attempts");
            let _: String = bury.run_async(redis.xadd("orders.dead", "*", &fields)).await?;
        }
        let _: usize = ORDERS
            .settle("ack", &message)
            .run_async(redis.xack("orders", GROUP, &[&entry.id]))
            .await?;
        count -= 1;
    }
    Ok(())
}

async fn batch(redis: &mut MultiplexedConnection) -> RedisResult<()> {
    let poll = ORDERS.poll();
    let entries = next(redis, 10).await?;
    let mut messages: Vec<_> = entries.iter().map(traced::message).collect();
    poll.received(&mut messages);
    let ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
    let _: usize = ORDERS
        .processing_batch(&mut messages)
        .run_async(redis.xack("orders", GROUP, &ids))
        .await?;
    Ok(())
}

/// What nobody has looked at yet.
async fn next(redis: &mut MultiplexedConnection, count: usize) -> RedisResult<Vec<StreamId>> {
    let options = StreamReadOptions::default()
        .group(GROUP, "worker")
        .count(count)
        .block(100);
    let reply: Option<StreamReadReply> = redis.xread_options(&["orders"], &[">"], &options).await?;
    Ok(reply
        .and_then(|mut reply| reply.keys.pop())
        .map(|key| key.ids)
        .unwrap_or_default())
}

/// What a worker has had for a second without an end.
async fn left_behind(redis: &mut MultiplexedConnection) -> RedisResult<Option<StreamId>> {
    let options = StreamAutoClaimOptions::default().count(1);
    let mut reply: StreamAutoClaimReply = redis
        .xautoclaim_options("orders", GROUP, "worker", 1000, "0", options)
        .await?;
    Ok(reply.claimed.pop())
}
