//! RabbitMQ, by lapin 4.
//!
//! ```no_run
//! use lapin::options::{BasicAckOptions, BasicPublishOptions};
//! use lapin::{BasicProperties, Channel, message::Delivery};
//! use throughline_jobs::{Queue, rabbitmq};
//!
//! async fn send(channel: &Channel, orders: &Queue) -> lapin::Result<()> {
//!     let mut properties = BasicProperties::default();
//!     let send = orders.send(&mut properties);
//!     let publish = channel.basic_publish("".into(), "orders".into(), BasicPublishOptions::default(), b"42", properties);
//!     send.run_async(async { publish.await?.await }).await.map(|_| ())
//! }
//!
//! async fn work(delivery: &Delivery, orders: &Queue) -> Result<(), Box<dyn std::error::Error>> {
//!     orders.process_async(&mut rabbitmq::message(delivery), async { Ok::<_, String>(()) }).await?;
//!     delivery.ack(BasicAckOptions::default()).await?;
//!     Ok(())
//! }
//!
//! let (producer, consumer) = (rabbitmq::producer("", "orders"), rabbitmq::consumer("", "orders", "orders"));
//! ```
//!
//! Headers are read as long strings, short strings and bytes, as clients of other languages write them, and written as long strings. A headers
//! exchange routes by headers: give those of the context a [prefix](Prefixed) there.
//!
//! What `basic_consume` delivers was fetched in advance: it has no receive span. lapin keeps a `tracing` span for the life of a connection
//! (`io_loop`); where `tracing` is recorded too, filter the target `lapin`.

use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::{JobContext, Message, Queue, Record};

/// The queue as a producer sees it: `{exchange}:{key}` without empty parts, `amq.default` when both are.
#[must_use]
pub fn producer(exchange: &str, key: &str) -> Queue {
    queue(&[exchange, key], key)
}

/// The queue as a consumer sees it: `{exchange}:{key}:{queue}` without empty parts, the queue once where it is the key.
#[must_use]
pub fn consumer(exchange: &str, key: &str, name: &str) -> Queue {
    queue(&[exchange, key, if name == key { "" } else { name }], key)
}

/// A message as RabbitMQ delivered it: its id if it has one, its delivery tag, and which attempt it is as far as the broker says.
///
/// The broker counts the deliveries of quorum queues only (`x-delivery-count`). Of others it says that a message was delivered before; then it is
/// at least the second attempt.
#[must_use]
pub fn message(delivery: &Delivery) -> Message<'_> {
    let mut message = Message::of(&delivery.properties);
    if let Some(id) = delivery.properties.message_id() {
        message = message.id(id.as_str());
    }
    let counted = delivery.properties.headers().as_ref().and_then(delivery_count);
    let attempt = match counted {
        Some(count) => Some(count.saturating_add(1)),
        None => delivery.redelivered.then(|| message.attempt_number().max(2)),
    };
    if let Some(attempt) = attempt {
        message = message.attempt(attempt);
    }
    // A tag counts from 1 in each channel.
    message.attribute("rabbitmq.message.delivery_tag", delivery.delivery_tag as i64)
}

/// Headers in which the names of the context begin with a prefix.
///
/// ```
/// use lapin::types::FieldTable;
/// use throughline_jobs::rabbitmq::{self, Prefixed};
///
/// let mut headers = FieldTable::default();
/// let send = rabbitmq::producer("by-headers", "").send(&mut Prefixed::new(&mut headers, "trace-"));
/// send.run(|| { /* publish with these headers */ });
/// ```
#[derive(Debug)]
pub struct Prefixed<'h> {
    headers: &'h mut FieldTable,
    prefix: &'h str,
}

impl<'h> Prefixed<'h> {
    /// These headers with this prefix, of at most 200 bytes.
    #[must_use]
    pub fn new(headers: &'h mut FieldTable, prefix: &'h str) -> Self {
        Self { headers, prefix }
    }
}

impl Record for Prefixed<'_> {
    fn read(&self) -> JobContext {
        read(self.headers, self.prefix)
    }

    fn write(&mut self, context: &JobContext) {
        write(self.headers, self.prefix, context);
    }
}

impl Record for FieldTable {
    fn read(&self) -> JobContext {
        read(self, "")
    }

    fn write(&mut self, context: &JobContext) {
        write(self, "", context);
    }
}

impl Record for BasicProperties {
    fn read(&self) -> JobContext {
        self.headers().as_ref().map(Record::read).unwrap_or_default()
    }

    fn write(&mut self, context: &JobContext) {
        let mut headers = self.headers().clone().unwrap_or_default();
        headers.write(context);
        *self = std::mem::take(self).with_headers(headers);
    }
}

fn queue(parts: &[&str], key: &str) -> Queue {
    let parts: Vec<_> = parts.iter().copied().filter(|part| !part.is_empty()).collect();
    let name = if parts.is_empty() {
        "amq.default".to_owned()
    } else {
        parts.join(":")
    };
    let queue = Queue::named("rabbitmq", name);
    match key {
        "" => queue,
        key => queue.attribute("rabbitmq.destination.routing_key", key),
    }
}

fn delivery_count(headers: &FieldTable) -> Option<u32> {
    let count = match headers.inner().get("x-delivery-count")? {
        AMQPValue::LongLongInt(count) => *count,
        AMQPValue::LongInt(count) => i64::from(*count),
        _ => return None,
    };
    u32::try_from(count).ok()
}

fn read(headers: &FieldTable, prefix: &str) -> JobContext {
    JobContext::from_pairs(headers.inner().iter().filter_map(|(name, value)| {
        let name = without_prefix(name.as_str(), prefix)?;
        Some((name, bytes(value)?))
    }))
}

fn write(headers: &mut FieldTable, prefix: &str, context: &JobContext) {
    let is_old = |name: &ShortString| without_prefix(name.as_str(), prefix).is_some_and(JobContext::owns);
    let mut written = FieldTable::default();
    for (name, value) in headers.inner().iter().filter(|(name, _)| !is_old(name)) {
        written.insert(name.clone(), value.clone());
    }
    context.for_each_pair(|name, value| {
        if let Ok(name) = ShortString::try_new(format!("{prefix}{name}")) {
            written.insert(name, AMQPValue::LongString(value.into()));
        }
    });
    *headers = written;
}

fn without_prefix<'n>(name: &'n str, prefix: &str) -> Option<&'n str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn bytes(value: &AMQPValue) -> Option<&[u8]> {
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn destinations_are_named_by_the_conventions() {
        for (queue, expected) in [
            (producer("logs", "info"), "logs:info"),
            (producer("", "orders"), "orders"),
            (producer("logs", ""), "logs"),
            (producer("", ""), "amq.default"),
            (consumer("logs", "info", "archive"), "logs:info:archive"),
            (consumer("", "orders", "orders"), "orders"),
            (consumer("logs", "", "archive"), "logs:archive"),
        ] {
            assert_eq!(queue.destination(), expected);
        }
    }

    #[test]
    fn header_values_of_each_kind_of_text_are_read() {
        for value in [
            AMQPValue::LongString(PARENT.into()),
            AMQPValue::ShortString(ShortString::try_new(PARENT).unwrap()),
            AMQPValue::ByteArray(PARENT.as_bytes().into()),
        ] {
            let mut headers = FieldTable::default();
            headers.insert(ShortString::try_new("TraceParent").unwrap(), value);
            assert!(headers.read().context().span_id().is_some());
        }
        let mut headers = FieldTable::default();
        headers.insert(ShortString::try_new("traceparent").unwrap(), AMQPValue::LongInt(7));
        assert!(headers.read().is_empty());
    }

    #[test]
    fn properties_keep_what_else_they_have() {
        let mut headers = FieldTable::default();
        headers.insert(ShortString::try_new("x-other").unwrap(), AMQPValue::Boolean(true));
        let mut properties = BasicProperties::default().with_headers(headers).with_priority(3);
        properties.write(&JobContext::parse(PARENT));
        assert_eq!(properties.read(), JobContext::parse(PARENT));
        assert_eq!(*properties.priority(), Some(3));
        assert!(properties.headers().as_ref().unwrap().contains_key("x-other"));
    }

    #[test]
    fn prefixed_headers_leave_routing_alone() {
        let mut headers = FieldTable::default();
        Prefixed::new(&mut headers, "trace-").write(&JobContext::parse(PARENT));
        assert!(headers.contains_key("trace-traceparent") && !headers.contains_key("traceparent"));
        assert!(headers.read().is_empty());
        assert_eq!(Prefixed::new(&mut headers, "Trace-").read(), JobContext::parse(PARENT));
    }
}
