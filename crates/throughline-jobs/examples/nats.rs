//! A job through NATS JetStream.
//!
//!     NATS_URL=nats://localhost cargo run -p throughline-jobs --features nats --example nats

use async_nats::jetstream::{self, consumer::pull, stream};
use async_nats::{Error, HeaderMap};
use futures::StreamExt as _;
use throughline_jobs::{Queue, nats};

static ORDERS: Queue = nats::queue("demo");

#[tokio::main]
async fn main() -> Result<(), Error> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("NATS_URL").unwrap_or("nats://localhost".to_owned());
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    let stream = jetstream.get_or_create_stream(work_queue()).await?;
    let consumer = stream.get_or_create_consumer("worker", worker()).await?;

    // Who sends:
    let mut headers = HeaderMap::new();
    let send = ORDERS.send(&mut headers);
    let publish = async {
        let acknowledged = jetstream.publish_with_headers("demo", headers, "book".into()).await?;
        acknowledged.await
    };
    send.run_async(publish).await?;

    // Who works:
    let mut messages = consumer.fetch().messages().await?;
    while let Some(delivered) = messages.next().await.transpose()? {
        let mut message = nats::message(&delivered);
        ORDERS.process_async(&mut message, charge(&delivered.payload)).await;
        delivered.double_ack().await?;
    }
    Ok(())
}

async fn charge(order: &[u8]) {
    throughline::span!("charge", order = String::from_utf8_lossy(order)).end();
}

fn work_queue() -> stream::Config {
    stream::Config {
        name: "demo".to_owned(),
        retention: stream::RetentionPolicy::WorkQueue,
        ..stream::Config::default()
    }
}

fn worker() -> pull::Config {
    pull::Config {
        durable_name: Some("worker".to_owned()),
        ..pull::Config::default()
    }
}
