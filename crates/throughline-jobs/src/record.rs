//! Where a job's context is kept.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use crate::JobContext;

/// Something in which a job's context is kept: the headers of a message, the record of a job.
///
/// Implemented for maps and lists of strings, for a column of text (`String`, `Option<String>`), for [`JobContext`] itself, and by the
/// features for the headers of their brokers. For any other broker it is a few lines:
///
/// ```
/// use throughline_jobs::{JobContext, Queue, Record};
///
/// // What another crate's client has.
/// #[derive(Default)]
/// struct KafkaHeaders(Vec<(String, Option<Vec<u8>>)>);
///
/// impl Record for KafkaHeaders {
///     fn read(&self) -> JobContext {
///         JobContext::from_pairs(self.0.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))))
///     }
///
///     fn write(&mut self, context: &JobContext) {
///         self.0.retain(|(name, _)| !JobContext::owns(name));
///         context.for_each_pair(|name, value| self.0.push((name.to_owned(), Some(value.into()))));
///     }
/// }
///
/// static ORDERS: Queue = Queue::new("kafka", "orders");
/// let capture = throughline::testing::capture();
/// let mut headers = KafkaHeaders::default();
/// ORDERS.send(&mut headers).run(|| true /* client.send(payload, headers) */);
/// assert_eq!(headers.read().context().span_id(), Some(capture.span("send orders").span_id()));
/// ```
pub trait Record {
    /// The context in the record; an empty one when there is none.
    fn read(&self) -> JobContext;

    /// Puts the context into the record, in place of the one there.
    fn write(&mut self, context: &JobContext);
}

impl<R: Record + ?Sized> Record for &mut R {
    fn read(&self) -> JobContext {
        (**self).read()
    }

    fn write(&mut self, context: &JobContext) {
        (**self).write(context);
    }
}

impl Record for JobContext {
    fn read(&self) -> JobContext {
        self.clone()
    }

    fn write(&mut self, context: &JobContext) {
        self.clone_from(context);
    }
}

impl<S: BuildHasher> Record for HashMap<String, String, S> {
    fn read(&self) -> JobContext {
        JobContext::from_pairs(self)
    }

    fn write(&mut self, context: &JobContext) {
        self.retain(|name, _| !JobContext::owns(name));
        context.for_each_pair(|name, value| {
            self.insert(name.to_owned(), value.to_owned());
        });
    }
}

impl Record for BTreeMap<String, String> {
    fn read(&self) -> JobContext {
        JobContext::from_pairs(self)
    }

    fn write(&mut self, context: &JobContext) {
        self.retain(|name, _| !JobContext::owns(name));
        context.for_each_pair(|name, value| {
            self.insert(name.to_owned(), value.to_owned());
        });
    }
}

impl Record for Vec<(String, String)> {
    fn read(&self) -> JobContext {
        JobContext::from_pairs(self)
    }

    fn write(&mut self, context: &JobContext) {
        self.retain(|(name, _)| !JobContext::owns(name));
        context.for_each_pair(|name, value| self.push((name.to_owned(), value.to_owned())));
    }
}

/// One line: a column of a job table.
impl Record for String {
    fn read(&self) -> JobContext {
        JobContext::parse(self)
    }

    fn write(&mut self, context: &JobContext) {
        *self = context.to_string();
    }
}

/// One line: a column of a job table that may be NULL.
impl Record for Option<String> {
    fn read(&self) -> JobContext {
        self.as_deref().map(JobContext::parse).unwrap_or_default()
    }

    fn write(&mut self, context: &JobContext) {
        *self = Some(context.to_string()).filter(|line| !line.is_empty());
    }
}
