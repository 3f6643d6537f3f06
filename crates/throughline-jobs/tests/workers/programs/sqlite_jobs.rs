//! A job table in SQLite: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::error::Error;
use std::time::Duration;

use orders::{MAX_ATTEMPTS, arguments, handle};
use sqlx::{Row, SqlitePool};
use throughline_jobs::sql::Statement;
use throughline_jobs::{JobContext, Message, Queue};

static ORDERS: Queue = Queue::new("sqlite", "orders");
static DEAD: Queue = Queue::new("sqlite", "orders.dead");

const TABLE: &str = "CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, payload TEXT NOT NULL, trace TEXT, attempts INTEGER NOT NULL DEFAULT 0,
    free_at REAL NOT NULL DEFAULT 0, dead INTEGER NOT NULL DEFAULT 0)";
static INSERT: Statement = Statement::sqlite("INSERT", "orders", "INSERT INTO orders (payload, trace) VALUES (?, ?)");
/// A worker has an order for about a second; then another may take it.
static CLAIM: Statement = Statement::sqlite(
    "UPDATE",
    "orders",
    "UPDATE orders SET attempts = attempts + 1, free_at = julianday() + 1.0 / 86400 WHERE id IN (
         SELECT id FROM orders WHERE dead = 0 AND free_at <= julianday() ORDER BY id LIMIT ?)
     RETURNING id, payload, trace, attempts",
);
static RETRY: Statement = Statement::sqlite(
    "UPDATE",
    "orders",
    "UPDATE orders SET free_at = 0, trace = ? WHERE id = ?",
);
static BURY: Statement = Statement::sqlite("UPDATE", "orders", "UPDATE orders SET dead = 1, trace = ? WHERE id = ?");
static DELETE: Statement = Statement::sqlite("DELETE", "orders", "DELETE FROM orders WHERE id = ?");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let pool = SqlitePool::connect(&url).await?;
    match &*command {
        "table" => sqlx::query(TABLE).execute(&pool).await.map(|_| ())?,
        "send" => send(&pool, &arguments).await?,
        "work" => work(&pool, arguments[0].parse()?).await?,
        _ => batch(&pool).await?,
    }
    Ok(())
}

async fn send(pool: &SqlitePool, orders: &[String]) -> sqlx::Result<()> {
    for order in orders {
        let mut job = JobContext::default();
        let send = ORDERS.send(&mut job);
        let insert = sqlx::query(INSERT.text()).bind(order).bind(job).execute(pool);
        send.run_async(INSERT.run(insert)).await?;
    }
    Ok(())
}

async fn work(pool: &SqlitePool, mut count: usize) -> sqlx::Result<()> {
    while count > 0 {
        let poll = ORDERS.poll();
        let Some(row) = claim(pool, 1).await?.pop() else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut job: JobContext = row.try_get("trace")?;
        let (id, order, attempt): (i64, String, u32) = (row.get("id"), row.get("payload"), row.get("attempts"));
        let mut message = Message::of(&job).id(id.to_string()).attempt(attempt);
        poll.received_one(&mut message);
        if ORDERS
            .process_async(&mut message, handle(&order, attempt))
            .await
            .is_ok()
        {
            sqlx::query(DELETE.text()).bind(id).execute(pool).await?;
        } else if attempt < MAX_ATTEMPTS {
            let retry = ORDERS.retry(&message, &mut job);
            let update = sqlx::query(RETRY.text()).bind(job).bind(id).execute(pool);
            retry.run_async(RETRY.run(update)).await?;
            continue;
        } else {
            let bury = DEAD.dead_letter(&message, &mut job, "max_attempts");
            let update = sqlx::query(BURY.text()).bind(job).bind(id).execute(pool);
            bury.run_async(BURY.run(update)).await?;
        }
        count -= 1;
    }
    Ok(())
}

async fn batch(pool: &SqlitePool) -> sqlx::Result<()> {
    let poll = ORDERS.poll();
    let rows = claim(pool, 10).await?;
    let mut messages: Vec<_> = rows
        .iter()
        .map(|row| Message::of(&row.get::<JobContext, _>("trace")))
        .collect();
    poll.received(&mut messages);
    let delete = async {
        for row in &rows {
            let id: i64 = row.get("id");
            DELETE.run(sqlx::query(DELETE.text()).bind(id).execute(pool)).await?;
        }
        sqlx::Result::Ok(())
    };
    ORDERS.processing_batch(&mut messages).run_async(delete).await
}

async fn claim(pool: &SqlitePool, limit: i64) -> sqlx::Result<Vec<sqlx::sqlite::SqliteRow>> {
    CLAIM.run(sqlx::query(CLAIM.text()).bind(limit).fetch_all(pool)).await
}
