//! Databases and brokers of the system start, and listen where they say.

use std::net::TcpStream;

use throughline_testkit::{Nats, Postgres, RabbitMq, Redis, ToolError, require_tool};

fn listens<T>(started: Result<T, ToolError>, url: impl Fn(&T) -> String) {
    let Some(server) = require_tool(started) else { return };
    let url = url(&server);
    let address = url
        .rsplit(['@', '/'])
        .find(|part| part.contains(':'))
        .expect("an address");
    TcpStream::connect(address).unwrap_or_else(|error| panic!("{url}: {error}"));
}

#[test]
fn nats_listens() {
    listens(Nats::start(), Nats::url);
}

#[test]
fn postgres_listens() {
    listens(Postgres::start(), Postgres::url);
}

#[test]
fn rabbitmq_listens() {
    listens(RabbitMq::start(), RabbitMq::url);
}

#[test]
fn redis_listens() {
    listens(Redis::start(), Redis::url);
}
