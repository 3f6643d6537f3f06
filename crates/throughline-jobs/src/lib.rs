//! Traces that go through queues and job tables.
//!
//! A job carries its context in its record or in the headers of its message: [`JobContext`]. A [`Queue`] makes the spans around what is done
//! with it: sends, polls, processing, retries, dead letters.
//!
//! ```
//! use std::collections::HashMap;
//! use throughline_jobs::{Message, Queue};
//!
//! static ORDERS: Queue = Queue::new("my-broker", "orders");
//!
//! # let capture = throughline::testing::capture();
//! // Who sends:
//! let mut headers = HashMap::new();
//! ORDERS.send(&mut headers).run(|| { /* broker.push(payload, &headers) */ });
//!
//! // Who works:
//! let mut message = Message::of(&headers);
//! ORDERS.process(&mut message, || { /* what the job does */ });
//! # capture.assert_tree("send orders\n  process orders");
//! ```
//!
//! # Features
//!
//! | feature | adds | needs |
//! |---|---|---|
//! | none | the core: any broker by the trait [`Record`] | Rust 1.85 |
//! | `endpoint` | a durable queue of the program's own, in one file | Rust 1.90 |
//! | `nats` | NATS JetStream | Rust 1.89 |
//! | `postgres`, `sqlite` | job tables, by sqlx | Rust 1.94 |
//! | `rabbitmq` | RabbitMQ, by lapin | Rust 1.88 |
//! | `redis` | Redis streams and lists | Rust 1.88 |
//! | `serde` | [`JobContext`] in records that serde writes | Rust 1.85 |
//!
//! # What is recorded
//!
//! The semantic conventions for messaging, version 1.45.0, and for what these have no name:
//!
//! | attribute | what it is |
//! |---|---|
//! | `throughline.job.attempt` | the number of the attempt, from 1; on a link the number of that attempt |
//! | `throughline.job.queue_wait` | how long the job was in the queue, in seconds |
//! | `throughline.job.resend` | why a job is put into a queue again: `retry`, `dead_letter`, `reprocess` |
//! | `throughline.job.reason` | why it became a dead letter |
//!
//! Payloads are never recorded.
#![forbid(unsafe_code)]

#[cfg(feature = "endpoint")]
pub mod endpoint;
pub mod envelope;
mod job_context;
mod message;
#[cfg(feature = "nats")]
pub mod nats;
mod operation;
mod outcome;
mod own_trace;
mod process;
mod queue;
#[cfg(feature = "rabbitmq")]
pub mod rabbitmq;
mod receive;
mod record;
#[cfg(feature = "redis")]
pub mod redis;
mod relation;
mod request;
mod request_key;
mod send;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod sql;

pub use job_context::JobContext;
pub use message::Message;
pub use operation::Operation;
pub use outcome::{Failure, Outcome};
pub use own_trace::{periodic, reconcile};
pub use queue::Queue;
pub use receive::Poll;
pub use record::Record;
pub use relation::Relation;
pub use request::Request;
pub use request_key::{InvalidRequestKey, RequestKey};
