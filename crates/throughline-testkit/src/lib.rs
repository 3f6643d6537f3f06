//! What Throughline is tested against. For development only; never published.
//!
//! | To have | take |
//! |---|---|
//! | an OTLP/HTTP receiver that tells what it got, and fails as ordered | [`Receiver`], [`Answer`] |
//! | a spool directory that is gone after the test | [`Spool`] |
//! | a program of this workspace as a child, in a clean environment | [`Program`] |
//! | backends that others wrote | [`Collector`], [`Jaeger`], [`require_tool`] |
//! | databases and brokers | [`Postgres`], [`Redis`], [`Nats`], [`RabbitMq`], [`require_tool`] |
//! | one request by hand, over HTTP and of OTLP | [`client`], [`sample`] |
//!
//! Everything listens on loopback, on a port the system chose; nothing sleeps where it can wait for
//! what it wants to see; and what a value here started ends when that value is dropped.
//!
//! The messages of OTLP are those of the `opentelemetry-proto` crate, re-exported as [`otlp`], and
//! not Throughline's own: a mistake in our encoder must not be able to hide in our decoder.

mod certificate;
pub mod client;
mod collector;
mod jaeger;
mod nats;
mod port;
mod postgres;
mod program;
mod rabbitmq;
mod receiver;
mod redis;
pub mod sample;
mod spool;
mod tool;

pub use collector::Collector;
pub use jaeger::Jaeger;
pub use nats::Nats;
pub use opentelemetry_proto::tonic as otlp;
pub use port::Port;
pub use postgres::Postgres;
pub use program::{Finished, Program, Running};
pub use prost;
pub use rabbitmq::RabbitMq;
pub use receiver::{Answer, ReceivedSpan, Receiver, Request};
pub use redis::Redis;
pub use rustix::process::Signal;
pub use spool::Spool;
pub use tool::{ToolError, interop_peer, require_tool, say_skipped};
