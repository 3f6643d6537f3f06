//! A RabbitMQ queue: sends orders, and works on them until it is killed. See `orders`.

mod orders;

use std::error::Error;

use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use orders::{MAX_ATTEMPTS, arguments, handle};
use throughline_jobs::{Queue, rabbitmq};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("orders");
    let (url, command, arguments) = arguments();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    // Quorum queues count deliveries.
    let mut quorum = FieldTable::default();
    quorum.insert(
        ShortString::try_new("x-queue-type")?,
        AMQPValue::LongString("quorum".into()),
    );
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    for queue in ["orders", "orders.dead"] {
        channel.queue_declare(queue.into(), durable, quorum.clone()).await?;
    }
    match &*command {
        "send" => send(&channel, &arguments).await?,
        "work" => work(&channel, arguments[0].parse()?).await?,
        _ => batch(&channel).await?,
    }
    Ok(())
}

async fn send(channel: &Channel, orders: &[String]) -> lapin::Result<()> {
    let queue = rabbitmq::producer("", "orders");
    for order in orders {
        let mut properties = BasicProperties::default();
        let send = queue.send(&mut properties);
        send.run_async(publish(channel, "orders", order.as_bytes(), properties))
            .await?;
    }
    Ok(())
}

async fn publish(channel: &Channel, key: &str, payload: &[u8], properties: BasicProperties) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    let confirmed = channel
        .basic_publish("".into(), key.into(), options, payload, properties)
        .await?;
    confirmed.await.map(|_| ())
}

async fn work(channel: &Channel, mut count: usize) -> Result<(), Box<dyn Error>> {
    let (orders, dead): (Queue, Queue) = (
        rabbitmq::consumer("", "orders", "orders"),
        rabbitmq::producer("", "orders.dead"),
    );
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut deliveries = channel
        .basic_consume("orders".into(), "".into(), options, FieldTable::default())
        .await?;
    while count > 0 {
        let Some(delivery) = deliveries.next().await.transpose()? else {
            break;
        };
        let mut message = rabbitmq::message(&delivery);
        let (order, attempt) = (String::from_utf8_lossy(&delivery.data), message.attempt_number());
        let result = orders.process_async(&mut message, handle(&order, attempt)).await;
        if result.is_err() && attempt < MAX_ATTEMPTS {
            let again = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            delivery.nack(again).await?;
            continue;
        }
        if result.is_err() {
            let mut properties = delivery.properties.clone();
            let bury = dead.dead_letter(&message, &mut properties, "max_attempts");
            bury.run_async(publish(channel, "orders.dead", &delivery.data, properties))
                .await?;
        }
        orders
            .settle("ack", &message)
            .run_async(delivery.ack(BasicAckOptions::default()))
            .await?;
        count -= 1;
    }
    Ok(())
}

async fn batch(channel: &Channel) -> lapin::Result<()> {
    let orders = rabbitmq::consumer("", "orders", "orders");
    let poll = orders.poll();
    let mut gotten = Vec::new();
    while let Some(message) = channel.basic_get("orders".into(), BasicGetOptions::default()).await? {
        gotten.push(message);
    }
    let mut messages: Vec<_> = gotten
        .iter()
        .map(|message| rabbitmq::message(&message.delivery))
        .collect();
    poll.received(&mut messages);
    let ack = async {
        for message in &gotten {
            message.ack(BasicAckOptions::default()).await?;
        }
        lapin::Result::Ok(())
    };
    orders.processing_batch(&mut messages).run_async(ack).await
}
