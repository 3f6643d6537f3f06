//! A NATS JetStream stream with a pull consumer: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::consumer::{PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, stream};
use futures::StreamExt as _;
use orders::{MAX_ATTEMPTS, arguments, handle};
use throughline_jobs::{Queue, nats};

static ORDERS: Queue = nats::queue("orders");
static DEAD: Queue = nats::queue("orders.dead");

#[tokio::main]
async fn main() -> Result<(), async_nats::Error> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let jetstream = jetstream::new(async_nats::connect(url).await?);
    let stream = jetstream
        .get_or_create_stream(stream::Config {
            name: "orders".to_owned(),
            subjects: vec!["orders".to_owned(), "orders.dead".to_owned()],
            ..stream::Config::default()
        })
        .await?;
    let consumer: PullConsumer = stream
        .get_or_create_consumer(
            "workers",
            pull::Config {
                durable_name: Some("workers".to_owned()),
                filter_subject: "orders".to_owned(),
                // A worker has an order for a second; then another gets it.
                ack_wait: Duration::from_secs(1),
                ..pull::Config::default()
            },
        )
        .await?;
    match &*command {
        "send" => send(&jetstream, arguments).await,
        "work" => work(&jetstream, &consumer, arguments[0].parse()?).await,
        _ => batch(&consumer).await,
    }
}

async fn send(jetstream: &jetstream::Context, orders: Vec<String>) -> Result<(), async_nats::Error> {
    for order in orders {
        let mut headers = HeaderMap::new();
        let send = ORDERS.send(&mut headers);
        let publish = async {
            jetstream
                .publish_with_headers("orders", headers, order.into())
                .await?
                .await
        };
        send.run_async(publish).await?;
    }
    Ok(())
}

async fn work(
    jetstream: &jetstream::Context,
    consumer: &PullConsumer,
    mut count: usize,
) -> Result<(), async_nats::Error> {
    while count > 0 {
        let poll = ORDERS.poll();
        let mut messages = consumer
            .fetch()
            .max_messages(1)
            .expires(Duration::from_millis(200))
            .messages()
            .await?;
        let Some(delivered) = messages.next().await.transpose()? else {
            continue;
        };
        let mut message = nats::message(&delivered);
        poll.received_one(&mut message);
        let (order, attempt) = (String::from_utf8_lossy(&delivered.payload), message.attempt_number());
        let result = ORDERS.process_async(&mut message, handle(&order, attempt)).await;
        if result.is_err() && attempt < MAX_ATTEMPTS {
            delivered.ack_with(AckKind::Nak(None)).await?;
            continue;
        }
        if result.is_err() {
            let mut headers = delivered.headers.clone().unwrap_or_default();
            let bury = DEAD.dead_letter(&message, &mut headers, "max_attempts");
            let payload = delivered.payload.clone();
            let publish = async {
                jetstream
                    .publish_with_headers("orders.dead", headers, payload)
                    .await?
                    .await
            };
            bury.run_async(publish).await?;
        }
        ORDERS.settle("ack", &message).run_async(delivered.double_ack()).await?;
        count -= 1;
    }
    Ok(())
}

async fn batch(consumer: &PullConsumer) -> Result<(), async_nats::Error> {
    let poll = ORDERS.poll();
    let fetched = consumer.fetch().max_messages(3).messages().await?;
    let delivered: Vec<_> = fetched
        .collect::<Vec<_>>()
        .await
        .into_iter()
        .collect::<Result<_, _>>()?;
    let mut messages: Vec<_> = delivered.iter().map(nats::message).collect();
    poll.received(&mut messages);
    let ack = async {
        for message in &delivered {
            message.double_ack().await?;
        }
        Ok::<_, async_nats::Error>(())
    };
    ORDERS.processing_batch(&mut messages).run_async(ack).await
}
