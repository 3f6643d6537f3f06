//! A Redis list with the context in an envelope around the payload: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::error::Error;

use orders::{MAX_ATTEMPTS, arguments, handle};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Direction, RedisResult};
use throughline_jobs::{JobContext, Message, Queue, envelope, redis as traced};

static ORDERS: Queue = traced::queue("orders.list");
static DEAD: Queue = traced::queue("orders.list.dead");
/// What a worker is at work on; a worker that starts takes it up.
const TAKEN: &str = "orders.list.taken";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let mut redis = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    match &*command {
        "send" => send(&mut redis, &arguments).await?,
        "work" => work(&mut redis, arguments[0].parse()?).await?,
        _ => batch(&mut redis).await?,
    }
    Ok(())
}

async fn send(redis: &mut MultiplexedConnection, orders: &[String]) -> RedisResult<()> {
    for order in orders {
        let mut job = JobContext::default();
        let send = ORDERS.send(&mut job);
        let letter = envelope::wrap(&job, order.as_bytes());
        let _: usize = send.run_async(redis.lpush("orders.list", letter)).await?;
    }
    Ok(())
}

async fn work(redis: &mut MultiplexedConnection, mut count: usize) -> RedisResult<()> {
    let mut left: Vec<Vec<u8>> = redis.lrange(TAKEN, 0, -1).await?;
    // Nobody counts the attempts of what was left behind: it was one at least.
    let mut number = 2;
    while count > 0 {
        let poll = ORDERS.poll();
        let letter = match left.pop() {
            Some(letter) => letter,
            None => {
                number = 1;
                redis
                    .blmove("orders.list", TAKEN, Direction::Right, Direction::Left, 0.0)
                    .await?
            }
        };
        let (mut job, payload) = envelope::open(&letter);
        let order = String::from_utf8_lossy(payload);
        let attempt = number.max(job.attempts() + 1);
        let mut message = Message::of(&job).attempt(attempt);
        poll.received_one(&mut message);
        let result = ORDERS.process_async(&mut message, handle(&order, attempt)).await;
        if result.is_err() && attempt < MAX_ATTEMPTS {
            let retry = ORDERS.retry(&message, &mut job);
            let again = envelope::wrap(&job, payload);
            let _: usize = retry.run_async(redis.lpush("orders.list", again)).await?;
        } else if result.is_err() {
            let bury = DEAD.dead_letter(&message, &mut job, "max_attempts");
            let dead = envelope::wrap(&job, payload);
            let _: usize = bury.run_async(redis.lpush("orders.list.dead", dead)).await?;
            count -= 1;
        } else {
            count -= 1;
        }
        let _: usize = redis.lrem(TAKEN, 1, &letter).await?;
    }
    Ok(())
}

async fn batch(redis: &mut MultiplexedConnection) -> RedisResult<()> {
    let poll = ORDERS.poll();
    let letters: Vec<Vec<u8>> = redis.rpop("orders.list", std::num::NonZeroUsize::new(10)).await?;
    let mut messages: Vec<_> = letters
        .iter()
        .map(|letter| Message::of(&envelope::open(letter).0))
        .collect();
    poll.received(&mut messages);
    ORDERS.processing_batch(&mut messages).run_async(async { Ok(()) }).await
}
