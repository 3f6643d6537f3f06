//! Any broker: two functions say where its client keeps headers. Here the broker is a channel.
//!
//!     cargo run -p throughline-jobs --example any_broker

use std::sync::mpsc;
use std::time::Duration;

use throughline_jobs::{JobContext, Message, Queue, Record, Relation};

static ORDERS: Queue = Queue::new("channel", "orders");
static REPORTS: Queue = Queue::new("channel", "reports").relation(Relation::Link);
static MAILS: Queue = Queue::new("channel", "mails").relation(Relation::ParentWithin(Duration::from_secs(60)));

/// What the broker's client has.
#[derive(Default)]
struct Letter {
    headers: Vec<(String, Vec<u8>)>,
    payload: String,
}

impl Record for Letter {
    fn read(&self) -> JobContext {
        JobContext::from_pairs(&self.headers)
    }

    fn write(&mut self, context: &JobContext) {
        self.headers.retain(|(name, _)| !JobContext::owns(name));
        context.for_each_pair(|name, value| self.headers.push((name.to_owned(), value.into())));
    }
}

fn main() {
    let _tracing = throughline::init("shop");
    for queue in [&ORDERS, &REPORTS, &MAILS] {
        let (broker, letters) = mpsc::channel();

        // Who sends:
        let mut letter = Letter::default();
        let send = queue.send(&mut letter);
        let _ = send.run(|| broker.send(letter));
        drop(broker);

        // Who works:
        for letter in letters {
            let mut message = Message::of(&letter);
            queue.process(&mut message, || charge(&letter.payload));
        }
    }
}

fn charge(order: &str) {
    throughline::span!("charge", order = order).end();
}
