//! A job through a table in PostgreSQL.
//!
//!     DATABASE_URL=postgres://localhost cargo run -p throughline-jobs --features postgres --example postgres

use sqlx::{PgPool, Row};
use throughline_jobs::sql::Statement;
use throughline_jobs::{JobContext, Message, Queue};

const TABLE: &str = "CREATE TABLE IF NOT EXISTS demo (id bigserial PRIMARY KEY, payload text, trace text)";
const NEXT: &str = "SELECT id, payload, trace FROM demo ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED";
const DONE: &str = "DELETE FROM demo WHERE id = $1";

static ORDERS: Queue = Queue::new("postgresql", "demo");
static INSERT: Statement = Statement::postgres("INSERT", "demo", "INSERT INTO demo (payload, trace) VALUES ($1, $2)");

#[tokio::main]
async fn main() -> sqlx::Result<()> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("DATABASE_URL").unwrap_or("postgres://localhost".to_owned());
    let pool = PgPool::connect(&url).await?;
    sqlx::query(TABLE).execute(&pool).await?;

    // Who creates the job:
    let mut job = JobContext::default();
    let send = ORDERS.send(&mut job);
    let insert = sqlx::query(INSERT.text()).bind("book").bind(job).execute(&pool);
    send.run_async(INSERT.run(insert)).await?;

    // Who works on it:
    let mut work = pool.begin().await?;
    let row = sqlx::query(NEXT).fetch_one(&mut *work).await?;
    let (id, order, job): (i64, String, JobContext) = (row.get("id"), row.get("payload"), row.get("trace"));
    let mut message = Message::of(&job).id(id.to_string());
    ORDERS.process_async(&mut message, charge(order)).await;
    sqlx::query(DONE).bind(id).execute(&mut *work).await?;
    work.commit().await
}

async fn charge(order: String) {
    throughline::span!("charge", order = order).end();
}
