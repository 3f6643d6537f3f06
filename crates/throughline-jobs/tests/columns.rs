//! Contexts in columns of a job table.
#![cfg(feature = "sqlite")]

use std::error::Error;

use sqlx::sqlite::SqlitePoolOptions;
use sqlx::{Row, SqlitePool};
use throughline::testing::capture;
use throughline::{StatusCode, span};
use throughline_jobs::sql::Statement;
use throughline_jobs::{JobContext, Message, Queue};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

async fn pool() -> sqlx::Result<SqlitePool> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
}

#[tokio::test]
async fn column_of_whatever_type_is_a_context_or_none() -> Result<(), Box<dyn Error>> {
    let pool = pool().await?;
    let doubled = format!("'{PARENT} {PARENT}'");
    let long = format!("'{PARENT} {}'", "x".repeat(40_000));
    let valid = format!("'{PARENT}'");
    let cases = [
        ("NULL", false),
        ("''", false),
        ("'x'", false),
        ("7", false),
        ("1.5", false),
        ("x'ff00'", false),
    ];
    for (value, has_span) in cases
        .into_iter()
        .chain([(&*doubled, false), (&*long, false), (&*valid, true)])
    {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!("SELECT {value} AS trace")))
            .fetch_one(&pool)
            .await?;
        let job: JobContext = row.try_get("trace")?;
        assert_eq!(job.context().trace_id().is_some(), has_span, "{value}");
    }
    Ok(())
}

#[tokio::test]
async fn context_that_was_bound_is_read_back() -> Result<(), Box<dyn Error>> {
    let _capture = capture();
    static ORDERS: Queue = Queue::new("sqlite", "orders");
    let mut job = JobContext::default();
    ORDERS.send(&mut job).run(|| ());
    let mut message = Message::of(&job);
    ORDERS.process(&mut message, || ());
    let row = sqlx::query("SELECT ? AS trace")
        .bind(message.context().clone())
        .fetch_one(&pool().await?)
        .await?;
    assert_eq!(
        row.try_get::<JobContext, _>("trace")?.to_string(),
        message.context().to_string()
    );
    Ok(())
}

#[tokio::test]
async fn statement_that_fails_is_an_error_span_in_a_trace_and_none_outside() -> Result<(), Box<dyn Error>> {
    static BROKEN: Statement = Statement::sqlite("SELECT", "nothing", "SELECT * FROM nothing");
    let capture = capture();
    let pool = pool().await?;
    assert!(BROKEN.run(sqlx::query(BROKEN.text()).execute(&pool)).await.is_err());
    assert_eq!(capture.spans().len(), 0, "it starts no trace");
    let query = BROKEN.run(sqlx::query(BROKEN.text()).execute(&pool));
    let result = throughline::InSpanExt::in_span(query, span!("worker")).await;
    assert!(result.is_err());
    let span = capture.span("SELECT nothing");
    assert_eq!(span.status().0, StatusCode::Error);
    assert_eq!(
        span.attribute("db.response.status_code")
            .and_then(|code| code.as_str().map(str::to_owned))
            .as_deref(),
        Some("1")
    );
    assert_eq!(
        span.attribute("error.type")
            .and_then(|kind| kind.as_str().map(str::to_owned))
            .as_deref(),
        Some("sqlx_core::error::Error")
    );
    Ok(())
}
