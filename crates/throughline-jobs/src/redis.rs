//! Redis streams and lists, by redis 1.8.
//!
//! In a stream the context is in fields beside the payload:
//!
//! ```no_run
//! use redis::AsyncCommands;
//! use redis::streams::StreamId;
//! use throughline_jobs::{Queue, redis as traced};
//!
//! static ORDERS: Queue = traced::queue("orders");
//!
//! async fn send(redis: &mut redis::aio::MultiplexedConnection) -> redis::RedisResult<String> {
//!     let mut fields = vec![("payload".to_owned(), "42".to_owned())];
//!     ORDERS.send(&mut fields).run_async(redis.xadd("orders", "*", &fields)).await
//! }
//!
//! async fn work(entry: &StreamId) -> Result<(), String> {
//!     ORDERS.process_async(&mut traced::message(entry), async { Ok(()) }).await
//! }
//! ```
//!
//! An element of a list, and a message that is published, has nothing beside its payload: an [envelope](crate::envelope) holds both, where you
//! choose so.
//!
//! There is no convention for Redis as a queue: `messaging.system.name` is `redis`.

use std::time::{Duration, SystemTime};

use redis::streams::StreamId;
use redis::{Value, from_redis_value_ref};

use crate::{JobContext, Message, Queue, Record};

/// A queue that is this stream or list.
#[must_use]
pub const fn queue(key: &'static str) -> Queue {
    Queue::new("redis", key)
}

/// A message as it stands in a stream: with its id, which says when it was added.
///
/// Most commands do not say how often an entry was delivered. Where it matters ask `XPENDING`, and give the number to [`Message::attempt`].
#[must_use]
pub fn message(entry: &StreamId) -> Message<'_> {
    let mut message = Message::of(entry).id(&*entry.id);
    if let Some(time) = added(&entry.id) {
        message = message.enqueued_at(time);
    }
    match entry.delivered_count {
        Some(count) => message.attempt(u32::try_from(count).unwrap_or(u32::MAX).max(1)),
        None => message,
    }
}

/// "The first part is the Unix time in milliseconds" (Redis streams, entry ids).
fn added(id: &str) -> Option<SystemTime> {
    let (millis, _) = id.split_once('-')?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis.parse().ok()?))
}

/// The fields of an entry.
impl Record for StreamId {
    fn read(&self) -> JobContext {
        let own = self.map.iter().filter(|(name, _)| JobContext::owns(name));
        // What is no text is no context either, but it is there.
        JobContext::from_pairs(
            own.map(|(name, value)| (name, from_redis_value_ref::<Vec<u8>>(value).unwrap_or_default())),
        )
    }

    fn write(&mut self, context: &JobContext) {
        self.map.retain(|name, _| !JobContext::owns(name));
        context.for_each_pair(|name, value| {
            self.map.insert(name.to_owned(), Value::BulkString(value.into()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn fields_of_an_entry_hold_the_context_beside_the_payload() {
        let mut entry = StreamId {
            id: "1764000000000-0".to_owned(),
            ..StreamId::default()
        };
        entry
            .map
            .insert("payload".to_owned(), Value::BulkString(b"42".to_vec()));
        entry.write(&JobContext::parse(PARENT));
        assert_eq!(entry.read(), JobContext::parse(PARENT));
        assert!(entry.map.contains_key("payload"));
        entry.map.insert("TraceParent".to_owned(), Value::Int(7));
        assert!(entry.read().is_empty(), "doubled");
    }

    #[test]
    fn id_says_when_an_entry_was_added() {
        let added_at = |id| added(id)?.duration_since(SystemTime::UNIX_EPOCH).ok();
        assert_eq!(
            added_at("1764000000000-0"),
            Some(Duration::from_millis(1_764_000_000_000))
        );
        for id in ["", "-", "x-0", "1", "99999999999999999999-0"] {
            assert_eq!(added_at(id), None, "{id}");
        }
    }
}
