//! A server and its long-lived worker process: each command carries its own context, inside of the message.
//!
//!     cargo run -p throughline-jobs --features serde --example commands

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command as Process, Stdio};

use serde::{Deserialize, Serialize};
use throughline::span;
use throughline_jobs::{JobContext, Record};
use throughline_jobs::{Message, Queue};

static COMMANDS: Queue = Queue::new("pipe", "commands");

#[derive(Serialize, Deserialize)]
struct Command {
    run: String,
    #[serde(default)]
    trace: JobContext,
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => work(),
        _ => serve(),
    }
}

fn serve() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("notebook-server");
    let mut worker = Process::new(std::env::current_exe()?)
        .arg("worker")
        .stdin(Stdio::piped())
        .spawn()?;
    let mut commands = worker.stdin.take().ok_or("no pipe")?;
    for cell in ["1 + 1", "import pandas", "1 / 0"] {
        let _request = span!(kind: Server, "POST /run").enter();
        let mut command = Command {
            run: cell.to_owned(),
            trace: JobContext::default(),
        };
        COMMANDS.send(&mut command).run(|| {});
        writeln!(commands, "{}", serde_json::to_string(&command)?)?;
    }
    drop(commands);
    worker.wait()?;
    Ok(())
}

fn work() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("notebook-worker");
    for line in BufReader::new(std::io::stdin()).lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let mut message = Message::of(&command);
        let _ = COMMANDS.process(&mut message, || match &*command.run {
            "1 / 0" => Err("division by zero"),
            _ => {
                span!("evaluate").end();
                Ok(())
            }
        });
    }
    Ok(())
}

impl Record for Command {
    fn read(&self) -> JobContext {
        self.trace.clone()
    }

    fn write(&mut self, context: &JobContext) {
        self.trace.clone_from(context);
    }
}
