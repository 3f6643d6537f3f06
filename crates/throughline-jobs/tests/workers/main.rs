//! Producers and workers as processes of their own, against real servers: a worker that is killed, a job that fails, a batch.
#![cfg(any(
    feature = "nats",
    feature = "postgres",
    feature = "rabbitmq",
    feature = "redis",
    feature = "sqlite"
))]

mod scenario;

#[cfg(feature = "nats")]
#[test]
fn nats_jobs_are_traced_through_kill_failure_and_batch() {
    use throughline_testkit::{Nats, require_tool};
    let Some(nats) = require_tool(Nats::start()) else {
        return;
    };
    scenario::run("nats_jobs", "nats", "orders", &nats.url());
}

#[cfg(feature = "postgres")]
#[test]
fn postgres_jobs_are_traced_through_kill_failure_and_batch() {
    use throughline_testkit::{Postgres, require_tool};
    let Some(postgres) = require_tool(Postgres::start()) else {
        return;
    };
    let spans = scenario::run("postgres_jobs", "postgresql", "orders", &postgres.url());
    scenario::sql_spans_are_right(&spans, "postgresql");
}

#[cfg(feature = "rabbitmq")]
#[test]
fn rabbitmq_jobs_are_traced_through_kill_failure_and_batch() {
    use throughline_testkit::{RabbitMq, require_tool};
    let Some(rabbitmq) = require_tool(RabbitMq::start()) else {
        return;
    };
    let spans = scenario::run("rabbitmq_jobs", "rabbitmq", "orders", &rabbitmq.url());
    let sent = spans
        .iter()
        .find(|span| span.name == "send orders")
        .expect("one was sent");
    assert_eq!(scenario::text(sent, "rabbitmq.destination.routing_key"), "orders");
    let processed = spans
        .iter()
        .find(|span| span.name == "process orders")
        .expect("one was processed");
    assert!(processed.attribute("rabbitmq.message.delivery_tag").is_some());
}

#[cfg(feature = "redis")]
#[test]
fn redis_stream_jobs_are_traced_through_kill_failure_and_batch() {
    use throughline_testkit::{Redis, require_tool};
    let Some(redis) = require_tool(Redis::start()) else {
        return;
    };
    scenario::run("redis_stream_jobs", "redis", "orders", &redis.url());
}

#[cfg(feature = "redis")]
#[test]
fn redis_list_jobs_are_traced_through_kill_failure_and_batch() {
    use throughline_testkit::{Redis, require_tool};
    let Some(redis) = require_tool(Redis::start()) else {
        return;
    };
    scenario::run("redis_list_jobs", "redis", "orders.list", &redis.url());
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_jobs_are_traced_through_kill_failure_and_batch() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite:{}?mode=rwc", directory.path().join("jobs.db").display());
    let spans = scenario::run("sqlite_jobs", "sqlite", "orders", &url);
    scenario::sql_spans_are_right(&spans, "sqlite");
}
