//! Job tables in PostgreSQL and SQLite, by sqlx 0.9.
//!
//! A table has a column of text for the context, which may be NULL. [`JobContext`] is bound and read as it is:
//!
//! ```no_run
//! use sqlx::{PgPool, Row};
//! use throughline_jobs::{JobContext, Message, Queue};
//! use throughline_jobs::sql::Statement;
//!
//! static ORDERS: Queue = Queue::new("postgresql", "orders");
//! static INSERT: Statement = Statement::postgres("INSERT", "orders", "INSERT INTO orders (payload, trace) VALUES ($1, $2)");
//!
//! async fn send(pool: &PgPool) -> sqlx::Result<()> {
//!     let mut job = JobContext::default();
//!     let send = ORDERS.send(&mut job);
//!     let insert = sqlx::query(INSERT.text()).bind("42").bind(job).execute(pool);
//!     send.run_async(INSERT.run(insert)).await.map(|_| ())
//! }
//!
//! async fn work(row: &sqlx::postgres::PgRow) -> Result<(), sqlx::Error> {
//!     let job: JobContext = row.try_get("trace")?;
//!     ORDERS.process_async(&mut Message::of(&job), async { Ok(()) }).await
//! }
//! ```

use std::future::Future;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::{Database, Decode, Encode, Type, ValueRef};
use throughline::{Context, InSpanExt, Span, SpanKind, span};

use crate::operation::fail;
use crate::{Failure, JobContext};

/// A column of text, which may be NULL.
impl<DB: Database> Type<DB> for JobContext
where
    String: Type<DB>,
{
    fn type_info() -> DB::TypeInfo {
        String::type_info()
    }

    /// Anything may be read: a value that is no text is no context, and its job is processed.
    fn compatible(_: &DB::TypeInfo) -> bool {
        true
    }
}

/// The line of `to_string`; empty for an empty context.
impl<'q, DB: Database> Encode<'q, DB> for JobContext
where
    String: Encode<'q, DB>,
{
    fn encode_by_ref(&self, buffer: &mut DB::ArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.to_string().encode(buffer)
    }
}

/// NULL, and whatever is no context, is an empty one.
impl<'r, DB: Database> Decode<'r, DB> for JobContext
where
    String: Decode<'r, DB>,
{
    fn decode(value: DB::ValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.is_null() {
            return Ok(Self::default());
        }
        Ok(String::decode(value).map(|line| Self::parse(&line)).unwrap_or_default())
    }
}

/// A statement on a job table, and what its span says (semantic conventions for databases, 1.45.0).
///
/// The span joins the current trace and never starts one: a poll in the background that finds nothing leaves no trace.
///
/// The text is recorded as it is: give parameters their places (`$1`, `?`), and no values.
#[derive(Clone, Copy, Debug)]
pub struct Statement {
    system: &'static str,
    kind: SpanKind,
    operation: &'static str,
    table: &'static str,
    text: &'static str,
}

impl Statement {
    /// A statement for PostgreSQL that does this (`SELECT`, `INSERT`) to this table.
    #[must_use]
    pub const fn postgres(operation: &'static str, table: &'static str, text: &'static str) -> Self {
        Self {
            system: "postgresql",
            kind: SpanKind::Client,
            operation,
            table,
            text,
        }
    }

    /// The same for SQLite. Its spans are internal, as the database is in the process.
    #[must_use]
    pub const fn sqlite(operation: &'static str, table: &'static str, text: &'static str) -> Self {
        Self {
            system: "sqlite",
            kind: SpanKind::Internal,
            operation,
            table,
            text,
        }
    }

    /// The statement.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// Runs a query with this statement in its span: `execute`, `fetch_all` and their like. A row stream it is not for.
    ///
    /// # Errors
    ///
    /// Those of the query; they become the span's status, with `db.response.status_code`.
    pub async fn run<T>(&self, query: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
        let mut span = self.start();
        let result = query.in_span(&mut span).await;
        if let Err(error) = &result {
            if let sqlx::Error::Database(database) = error {
                span.set("db.response.status_code", database.code());
            }
            fail(&mut span, &Failure::of(error));
        }
        result
    }

    fn start(&self) -> Span {
        if Context::current().span_context().is_none() {
            return Span::none();
        }
        let name = format!("{} {}", self.operation, self.table);
        span!(
            kind: (self.kind),
            &name,
            db.system.name = self.system,
            db.operation.name = self.operation,
            db.collection.name = self.table,
            db.query.summary = &*name,
            db.query.text = self.text,
        )
    }
}
