//! A queue, and what its spans say of it.

use std::borrow::Cow;
use std::sync::OnceLock;

use throughline::{Parent, Span, SpanBuilder, SpanKind, span};

use crate::Relation;

/// A queue, as its spans tell of it; nothing is connected to.
///
/// It is made once, as a `static` or a value that lives as long as the queue is used: the names of its spans are formatted once.
///
/// ```
/// use std::time::Duration;
/// use throughline_jobs::{Queue, Relation};
///
/// static ORDERS: Queue = Queue::new("redis", "orders");
/// static REPORTS: Queue = Queue::new("redis", "reports").relation(Relation::Link);
/// let server = Queue::named("kafka", format!("orders-{}", "eu")).server("kafka.internal", 9092).consumer_group("billing");
/// ```
#[derive(Debug)]
pub struct Queue {
    system: Cow<'static, str>,
    destination: Cow<'static, str>,
    relation: Relation,
    address: Option<String>,
    port: Option<u16>,
    consumer_group: Option<String>,
    is_temporary: bool,
    attributes: Vec<(&'static str, String)>,
    names: OnceLock<Names>,
}

/// The names of the spans, `{operation} {destination}`.
#[derive(Debug)]
struct Names {
    send: String,
    receive: String,
    process: String,
}

impl Queue {
    /// A queue of this system (`messaging.system.name`: `kafka`, `rabbitmq`, or a name of one's own) and name
    /// (`messaging.destination.name`).
    #[must_use]
    pub const fn new(system: &'static str, destination: &'static str) -> Self {
        Self::of(Cow::Borrowed(system), Cow::Borrowed(destination))
    }

    /// The same, with texts that are known at run time.
    #[must_use]
    pub fn named(system: impl Into<Cow<'static, str>>, destination: impl Into<Cow<'static, str>>) -> Self {
        Self::of(system.into(), destination.into())
    }

    const fn of(system: Cow<'static, str>, destination: Cow<'static, str>) -> Self {
        Self {
            system,
            destination,
            relation: Relation::DEFAULT,
            address: None,
            port: None,
            consumer_group: None,
            is_temporary: false,
            attributes: Vec::new(),
            names: OnceLock::new(),
        }
    }

    /// Whether a job is its creator's child or linked to it. Default: [`Relation::DEFAULT`].
    #[must_use]
    pub const fn relation(mut self, relation: Relation) -> Self {
        self.relation = relation;
        self
    }

    /// Where the server is, as it was configured (`server.address`, `server.port`).
    #[must_use]
    pub fn server(mut self, address: impl Into<String>, port: u16) -> Self {
        self.address = Some(address.into());
        self.port = Some(port);
        self
    }

    /// In whose name messages are received (`messaging.consumer.group.name`).
    #[must_use]
    pub fn consumer_group(mut self, group: impl Into<String>) -> Self {
        self.consumer_group = Some(group.into());
        self
    }

    /// Its name was made for this use, such as that of a reply queue: the names of spans leave it out.
    #[must_use]
    pub const fn temporary(mut self) -> Self {
        self.is_temporary = true;
        self
    }

    /// An attribute that all its spans have, such as `kafka.cluster.id`.
    #[must_use]
    pub fn attribute(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.attributes.push((key, value.into()));
        self
    }

    /// The name of the queue.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    pub(crate) fn relation_of_jobs(&self) -> Relation {
        self.relation
    }

    /// "The span name SHOULD be `{messaging.operation.name} {destination}`" (semantic conventions for messaging, 1.45.0).
    pub(crate) fn span_name<'a>(&'a self, operation: &'a str) -> Cow<'a, str> {
        if self.is_temporary {
            return operation.into();
        }
        let names = self.names.get_or_init(|| {
            let name = |operation| format!("{operation} {}", self.destination);
            Names {
                send: name("send"),
                receive: name("receive"),
                process: name("process"),
            }
        });
        match operation {
            "send" => (&names.send).into(),
            "receive" => (&names.receive).into(),
            "process" => (&names.process).into(),
            other => format!("{other} {}", self.destination).into(),
        }
    }

    /// Starts a span of the queue. `kind_of_operation` is `messaging.operation.type`.
    pub(crate) fn start(
        &self,
        operation: &str,
        kind_of_operation: &str,
        kind: SpanKind,
        parent: Parent<'_>,
        details: Details<'_>,
    ) -> Span {
        let is_consumer = kind_of_operation != "send";
        let mut span = span!(
            parent: parent,
            kind: (kind),
            &self.span_name(operation),
            messaging.system.name = &*self.system,
            messaging.operation.name = operation,
            messaging.operation.type = kind_of_operation,
            messaging.destination.name = &*self.destination,
            messaging.destination.temporary = self.is_temporary.then_some(true),
            messaging.consumer.group.name = self.consumer_group.as_deref().filter(|_| is_consumer),
            messaging.batch.message_count = details.count,
            messaging.message.id = details.id,
            server.address = self.address.as_deref(),
            server.port = self.port,
            throughline.job.attempt = details.attempt,
            throughline.job.queue_wait = details.queue_wait,
        );
        for (key, value) in &self.attributes {
            span.set(key, value);
        }
        span
    }
}

impl Queue {
    /// The same attributes of the queue, for a span that is built the long way.
    pub(crate) fn describe<'a>(&self, span: SpanBuilder<'a>, operation: &str) -> SpanBuilder<'a> {
        let span = (self.attributes.iter()).fold(span, |span, (key, value)| span.set(key, value));
        span.set("messaging.system.name", &*self.system)
            .set("messaging.operation.name", operation)
            .set("messaging.operation.type", operation)
            .set("messaging.destination.name", &*self.destination)
            .set("messaging.destination.temporary", self.is_temporary.then_some(true))
            .set("messaging.consumer.group.name", self.consumer_group.as_deref())
            .set("server.address", self.address.as_deref())
            .set("server.port", self.port)
    }
}

/// What a span says of the messages.
#[derive(Clone, Copy, Default)]
pub(crate) struct Details<'a> {
    /// Of operations on batches only, and then also 0 and 1.
    pub count: Option<usize>,
    pub id: Option<&'a str>,
    pub attempt: Option<u32>,
    /// In seconds.
    pub queue_wait: Option<f64>,
}
