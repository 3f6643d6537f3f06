//! NATS JetStream, by async-nats 0.51.
//!
//! ```no_run
//! use async_nats::{HeaderMap, jetstream};
//! use throughline_jobs::{Queue, nats};
//!
//! static ORDERS: Queue = nats::queue("orders");
//!
//! async fn send(jetstream: &jetstream::Context) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut headers = HeaderMap::new();
//!     let send = ORDERS.send(&mut headers);
//!     let publish = async { jetstream.publish_with_headers("orders", headers, "42".into()).await?.await };
//!     Ok(send.run_async(publish).await.map(|_| ())?)
//! }
//!
//! async fn work(message: jetstream::Message) -> Result<(), Box<dyn std::error::Error>> {
//!     ORDERS.process_async(&mut nats::message(&message), async { Ok::<_, String>(()) }).await?;
//!     Ok(message.ack().await.map_err(|error| error.to_string())?)
//! }
//! ```
//!
//! There is no convention for NATS: `messaging.system.name` is `nats`. Names of headers are case-sensitive in async-nats; they are read in any
//! case, as the OpenTelemetry carriers of other languages write them, and written in lower case. A server without headers
//! (`ServerInfo::headers`) carries no context.

use std::time::{Duration, SystemTime};

use async_nats::HeaderMap;
use async_nats::jetstream;

use crate::{JobContext, Message, Queue, Record};

/// A queue of this subject.
#[must_use]
pub const fn queue(subject: &'static str) -> Queue {
    Queue::new("nats", subject)
}

/// A message as JetStream delivered it: with its stream's sequence number as id, the number of its delivery, and when it was published.
#[must_use]
pub fn message(message: &jetstream::Message) -> Message<'static> {
    let read = Message::of(&message.headers);
    let Ok(info) = message.info() else { return read };
    let published = published(info.published.unix_timestamp_nanos());
    read.id(info.stream_sequence.to_string())
        .attempt(u32::try_from(info.delivered).unwrap_or(1))
        .enqueued_at(published)
}

fn published(unix_nano: i128) -> SystemTime {
    let since = u64::try_from(unix_nano).map_or(Duration::ZERO, Duration::from_nanos);
    SystemTime::UNIX_EPOCH + since
}

impl Record for HeaderMap {
    fn read(&self) -> JobContext {
        JobContext::from_pairs(
            self.iter()
                .flat_map(|(name, values)| values.iter().map(move |value| (name, value.as_str()))),
        )
    }

    fn write(&mut self, context: &JobContext) {
        // There is no way to remove one.
        let mut headers = Self::new();
        for (name, values) in self.iter().filter(|(name, _)| !JobContext::owns(name)) {
            for value in values {
                headers.append(name.clone(), value.clone());
            }
        }
        // Names and values are printable ASCII: `insert` panics at line feeds.
        context.for_each_pair(|name, value| headers.insert(name, value));
        *self = headers;
    }
}

/// The headers of a message that may have none.
impl Record for Option<HeaderMap> {
    fn read(&self) -> JobContext {
        self.as_ref().map(Record::read).unwrap_or_default()
    }

    fn write(&mut self, context: &JobContext) {
        let mut headers = self.take().unwrap_or_default();
        headers.write(context);
        *self = Some(headers).filter(|headers| !headers.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn header_names_are_read_in_any_case_and_written_in_lower_case() {
        let mut headers = HeaderMap::new();
        headers.insert("Traceparent", PARENT);
        headers.insert("Nats-Msg-Id", "7");
        let job = headers.read();
        assert_eq!(job.context().span_id().unwrap().to_string(), "00f067aa0ba902b7");
        headers.write(&job);
        assert!(headers.get("Traceparent").is_none());
        assert_eq!(headers.get("traceparent").unwrap().as_str(), PARENT);
        assert_eq!(headers.get("Nats-Msg-Id").unwrap().as_str(), "7");
    }

    #[test]
    fn doubled_header_is_no_context() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", PARENT);
        headers.append("traceparent", PARENT);
        assert!(headers.read().is_empty());
        headers.write(&JobContext::parse(PARENT));
        assert_eq!(headers.get_all("traceparent").count(), 1);
    }

    #[test]
    fn message_without_headers_gets_some_only_for_a_context() {
        let mut headers: Option<HeaderMap> = None;
        headers.write(&JobContext::default());
        assert!(headers.is_none());
        headers.write(&JobContext::parse(PARENT));
        assert_eq!(headers.read(), JobContext::parse(PARENT));
    }
}
