//! A job through RabbitMQ.
//!
//!     AMQP_URL=amqp://localhost cargo run -p throughline-jobs --features rabbitmq --example rabbitmq

use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use throughline_jobs::rabbitmq;

#[tokio::main]
async fn main() -> lapin::Result<()> {
    let _tracing = throughline::init("shop");
    let url = std::env::var("AMQP_URL").unwrap_or("amqp://localhost".to_owned());
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    channel
        .queue_declare("demo".into(), durable(), FieldTable::default())
        .await?;

    // Who sends:
    let orders = rabbitmq::producer("", "demo");
    let mut properties = BasicProperties::default();
    let send = orders.send(&mut properties);
    let options = BasicPublishOptions::default();
    let publish = channel.basic_publish("".into(), "demo".into(), options, b"book", properties);
    send.run_async(async { publish.await?.await }).await?;

    // Who works:
    let orders = rabbitmq::consumer("", "demo", "demo");
    while let Some(delivery) = channel.basic_get("demo".into(), BasicGetOptions::default()).await? {
        let mut message = rabbitmq::message(&delivery);
        orders.process_async(&mut message, charge(&delivery.data)).await;
        delivery.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}

async fn charge(order: &[u8]) {
    throughline::span!("charge", order = String::from_utf8_lossy(order)).end();
}

fn durable() -> QueueDeclareOptions {
    QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    }
}
