//! Any broker: the context goes into its headers by two functions. Here the broker is a channel.
//!
//!     cargo run -p throughline-jobs --example any_broker

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use throughline::span;
use throughline_jobs::{JobContext, Message, Queue, Record, Relation};

static ORDERS: Queue = Queue::new("channel", "orders");
static REPORTS: Queue = Queue::new("channel", "reports").relation(Relation::Link);
static MAILS: Queue = Queue::new("channel", "mails").relation(Relation::ParentWithin(Duration::from_secs(60)));

/// What the broker's client has.
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
        let worker = thread::spawn(move || work(queue, &letters));
        span!("checkout").in_scope(|| send(queue, &broker));
        drop(broker);
        worker.join().expect("the worker does not panic");
    }
}

fn send(queue: &Queue, broker: &Sender<Letter>) {
    for order in ["book", "pen", "unknown"] {
        let mut letter = Letter {
            headers: Vec::new(),
            payload: order.to_owned(),
        };
        let send = queue.send(&mut letter);
        let _ = send.run(|| broker.send(letter));
    }
}

fn work(queue: &Queue, letters: &Receiver<Letter>) {
    for letter in letters {
        let mut message = Message::of(&letter);
        let _ = queue.process(&mut message, || charge(&letter.payload));
    }
}

fn charge(order: &str) -> Result<(), String> {
    let _span = span!("charge").enter();
    match order {
        "unknown" => Err(format!("there is no {order}")),
        _ => Ok(()),
    }
}
