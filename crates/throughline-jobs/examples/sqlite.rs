//! A job through a table in SQLite.
//!
//!     DATABASE_URL=sqlite:example.db?mode=rwc cargo run -p throughline-jobs --features sqlite --example sqlite

use sqlx::{Row, SqlitePool};
use throughline_jobs::sql::Statement;
use throughline_jobs::{JobContext, Message, Queue};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS demo (id INTEGER PRIMARY KEY, payload TEXT, trace TEXT)";
const NEXT: &str = "SELECT id, payload, trace FROM demo ORDER BY id LIMIT 1";
const DONE: &str = "DELETE FROM demo WHERE id = ?";

static ORDERS: Queue = Queue::new("sqlite", "demo");
static INSERT: Statement = Statement::sqlite("INSERT", "demo", "INSERT INTO demo (payload, trace) VALUES (?, ?)");

#[tokio::main]
async fn main() -> sqlx::Result<()> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("DATABASE_URL").unwrap_or("sqlite:example.db?mode=rwc".to_owned());
    let pool = SqlitePool::connect(&url).await?;
    sqlx::query(TABLE).execute(&pool).await?;

    // Who creates the job:
    let mut job = JobContext::default();
    let send = ORDERS.send(&mut job);
    let insert = sqlx::query(INSERT.text()).bind("book").bind(job).execute(&pool);
    send.run_async(INSERT.run(insert)).await?;

    // Who works on it:
    let row = sqlx::query(NEXT).fetch_one(&pool).await?;
    let (id, order, job): (i64, String, JobContext) = (row.get("id"), row.get("payload"), row.get("trace"));
    let mut message = Message::of(&job).id(id.to_string());
    ORDERS.process_async(&mut message, charge(order)).await;
    sqlx::query(DONE).bind(id).execute(&pool).await?;
    Ok(())
}

async fn charge(order: String) {
    throughline::span!("charge", order = order).end();
}
