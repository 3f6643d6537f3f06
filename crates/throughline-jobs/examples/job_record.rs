//! A job in a record of one's own, with the context as one of its fields; here it is a file.
//!
//!     JOB=example.json cargo run -p throughline-jobs --features serde --example job_record

use std::error::Error;
use std::fs;

use serde::{Deserialize, Serialize};
use throughline_jobs::{JobContext, Message, Queue};

static MAILS: Queue = Queue::new("file", "mails");

#[derive(Serialize, Deserialize)]
struct Mail {
    to: String,
    #[serde(default)]
    trace: JobContext,
}

fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("mails");
    let path = std::env::var("JOB").unwrap_or("example.json".to_owned());
    let store = |mail: &Mail| fs::write(&path, serde_json::to_string(mail)?);

    // Who creates the job:
    let (to, trace) = ("ada".to_owned(), JobContext::default());
    let mut mail = Mail { to, trace };
    let send = MAILS.send(&mut mail.trace);
    send.run(|| store(&mail))?;

    // Who works on it:
    while let Ok(record) = fs::read(&path) {
        let mut mail: Mail = serde_json::from_slice(&record)?;
        let mut message = Message::of(&mail.trace);
        if MAILS.process(&mut message, || deliver(&mail)).is_ok() {
            fs::remove_file(&path)?;
        } else {
            let retry = MAILS.retry(&message, &mut mail.trace);
            retry.run(|| store(&mail))?;
        }
    }
    Ok(())
}

fn deliver(mail: &Mail) -> Result<(), &'static str> {
    match mail.trace.attempts() {
        0 => Err("the mailbox is busy"),
        _ => Ok(()),
    }
}
