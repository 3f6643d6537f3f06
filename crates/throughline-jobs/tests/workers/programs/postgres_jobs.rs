//! A job table in PostgreSQL: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::error::Error;
use std::time::Duration;

use orders::{MAX_ATTEMPTS, arguments, handle};
use sqlx::{PgPool, Row};
use throughline_jobs::sql::Statement;
use throughline_jobs::{JobContext, Message, Queue};

static ORDERS: Queue = Queue::new("postgresql", "orders");
static DEAD: Queue = Queue::new("postgresql", "orders.dead");

const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (
    id bigserial PRIMARY KEY, payload text NOT NULL, trace text, attempts int NOT NULL DEFAULT 0,
    free_at timestamptz NOT NULL DEFAULT now(), dead boolean NOT NULL DEFAULT false)";
static INSERT: Statement = Statement::postgres(
    "INSERT",
    "orders",
    "INSERT INTO orders (payload, trace) VALUES ($1, $2)",
);
/// A worker has an order for a second; then another may take it.
static CLAIM: Statement = Statement::postgres(
    "UPDATE",
    "orders",
    "UPDATE orders SET attempts = attempts + 1, free_at = now() + interval '1 second' WHERE id IN (
         SELECT id FROM orders WHERE NOT dead AND free_at <= now() ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
     RETURNING id, payload, trace, attempts",
);
static RETRY: Statement = Statement::postgres(
    "UPDATE",
    "orders",
    "UPDATE orders SET free_at = now(), trace = $2 WHERE id = $1",
);
static BURY: Statement = Statement::postgres(
    "UPDATE",
    "orders",
    "UPDATE orders SET dead = true, trace = $2 WHERE id = $1",
);
static DELETE: Statement = Statement::postgres("DELETE", "orders", "DELETE FROM orders WHERE id = ANY($1)");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let pool = PgPool::connect(&url).await?;
    match &*command {
        "table" => sqlx::query(TABLE).execute(&pool).await.map(|_| ())?,
        "send" => send(&pool, &arguments).await?,
        "work" => work(&pool, arguments[0].parse()?).await?,
        _ => batch(&pool).await?,
    }
    Ok(())
}

async fn send(pool: &PgPool, orders: &[String]) -> sqlx::Result<()> {
    for order in orders {
        let mut job = JobContext::default();
        let send = ORDERS.send(&mut job);
        let insert = sqlx::query(INSERT.text()).bind(order).bind(job).execute(pool);
        send.run_async(INSERT.run(insert)).await?;
    }
    Ok(())
}

async fn work(pool: &PgPool, mut count: usize) -> sqlx::Result<()> {
    while count > 0 {
        let poll = ORDERS.poll();
        let Some(row) = claim(pool, 1).await?.pop() else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut job: JobContext = row.try_get("trace")?;
        let (id, order, attempt): (i64, String, i32) = (row.get("id"), row.get("payload"), row.get("attempts"));
        let attempt = attempt.unsigned_abs();
        let mut message = Message::of(&job).id(id.to_string()).attempt(attempt);
        poll.received_one(&mut message);
        if ORDERS
            .process_async(&mut message, handle(&order, attempt))
            .await
            .is_ok()
        {
            sqlx::query(DELETE.text()).bind(vec![id]).execute(pool).await?;
        } else if attempt < MAX_ATTEMPTS {
            let retry = ORDERS.retry(&message, &mut job);
            let update = sqlx::query(RETRY.text()).bind(id).bind(job).execute(pool);
            retry.run_async(RETRY.run(update)).await?;
            continue;
        } else {
            let bury = DEAD.dead_letter(&message, &mut job, "max_attempts");
            let update = sqlx::query(BURY.text()).bind(id).bind(job).execute(pool);
            bury.run_async(BURY.run(update)).await?;
        }
        count -= 1;
    }
    Ok(())
}

async fn batch(pool: &PgPool) -> sqlx::Result<()> {
    let poll = ORDERS.poll();
    let rows = claim(pool, 10).await?;
    let mut messages: Vec<_> = rows
        .iter()
        .map(|row| Message::of(&row.get::<JobContext, _>("trace")))
        .collect();
    poll.received(&mut messages);
    let ids: Vec<i64> = rows.iter().map(|row| row.get("id")).collect();
    let delete = sqlx::query(DELETE.text()).bind(ids).execute(pool);
    ORDERS
        .processing_batch(&mut messages)
        .run_async(DELETE.run(delete))
        .await
        .map(|_| ())
}

async fn claim(pool: &PgPool, limit: i64) -> sqlx::Result<Vec<sqlx::postgres::PgRow>> {
    CLAIM.run(sqlx::query(CLAIM.text()).bind(limit).fetch_all(pool)).await
}
