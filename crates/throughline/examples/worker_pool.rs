//! Jobs from several producers, worked off by a pool of asynchronous tasks: retries, cancelled work, progress, and a summary.
//!
//!     cargo run -p throughline --example worker_pool
//!
//! It shows spans that travel with futures and in messages, a span that many tasks write to, and a filter that keeps only what is
//! worth a look.
#![expect(clippy::print_stdout, reason = "it is a program to look at")]

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use throughline::{Context, Filter, InSpanExt, SharedSpan, Verdict, event, span, traced};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{sleep, timeout};

const WORKERS: usize = 4;
const JOBS: u64 = 24;

/// A message of the queue. Over a network, `inject` and `extract` would carry the context.
struct Job {
    number: u64,
    from: Context,
}

#[tokio::main]
async fn main() {
    let tracing = throughline::builder("worker-pool")
        // Polls of the queue that found something at once are left out when they have ended.
        .processor(Filter::at_end().rule(|span| {
            let length = span.end_time_unix_nano() - span.start_time_unix_nano();
            (span.name() == "wait for a job" && length < 1_000_000).then_some(Verdict::Drop)
        }))
        // At most so much is lost by a power cut.
        .sync_every(Duration::from_secs(1))
        .init();

    // Several owners write to it; it ends with the last of them.
    let batch = span!("work off", jobs.count = JOBS).share();
    let trace = batch.context().trace_id();
    let (sender, receiver) = mpsc::channel(8);
    let receiver = Arc::new(Mutex::new(receiver));
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            let worker = work(number, receiver.clone(), batch.clone());
            tokio::spawn(worker.in_span(span!(parent: &batch, "worker", worker.number = number)))
        })
        .collect();
    let producer = tokio::spawn(produce(sender).in_context(batch.context()));
    producer.await.expect("the producer does not panic");
    let mut done = 0;
    for worker in workers {
        done += worker.await.expect("a worker does not panic");
    }
    batch.set("jobs.done", done);
    drop(batch);

    let report = tracing.shutdown(Duration::from_secs(2)).await;
    println!("{done} of {JOBS} jobs are done.\n{report}");
    println!("\nLook at it:");
    if let Some(trace) = trace {
        println!(
            "  throughline view {}              the whole of it",
            &trace.to_string()[..8]
        );
        println!(
            "  throughline view {} --error      what went wrong",
            &trace.to_string()[..8]
        );
    }
    println!("  throughline stats --service worker-pool");
}

/// Each job gets a span of kind `Producer`, whose context goes with it.
async fn produce(queue: mpsc::Sender<Job>) {
    for number in 1..=JOBS {
        let span = span!(kind: Producer, "send job", job.number = number, messaging.system = "in-process");
        let job = Job {
            number,
            from: span.context(),
        };
        let sent = queue.send(job).in_span(span).await;
        if sent.is_err() {
            return;
        }
    }
}

/// One worker: how many jobs it got done.
async fn work(number: usize, queue: Arc<Mutex<mpsc::Receiver<Job>>>, batch: SharedSpan) -> u64 {
    let mut done = 0;
    loop {
        let next = async { queue.lock().await.recv().await };
        let Some(job) = next.in_span(span!("wait for a job")).await else {
            return done;
        };
        // The job belongs to who sent it; the link says who has done it.
        let mut span = span!(parent: &job.from, kind: Consumer, "process job", job.number = job.number);
        throughline::link!(span: span, &Context::current(), worker.number = number);
        match process(job.number).in_span(span).await {
            Ok(()) => done += 1,
            Err(error) => batch.event(
                "job given up",
                [
                    ("job.number", job.number.to_string().as_str().into()),
                    ("error", error.to_string().as_str().into()),
                ],
            ),
        }
    }
}

/// Up to three attempts, each with so much time.
async fn process(job: u64) -> Result<(), GivenUp> {
    for attempt in 1..=3_u32 {
        // What takes too long is dropped inside its span, which ends there.
        match timeout(Duration::from_millis(30), resize(job, attempt)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => event!("retry", attempt, reason = %error),
            Err(_elapsed) => event!("retry", attempt, reason = "too slow"),
        }
    }
    throughline::current(|span| span.error(&GivenUp));
    Err(GivenUp)
}

#[traced(fields(attempt))]
async fn resize(job: u64, attempt: u32) -> Result<(), Broken> {
    let pause = if job % 7 == 3 && attempt == 1 { 60 } else { 2 + job % 5 };
    sleep(Duration::from_millis(pause)).await;
    if job % 11 == 5 { Err(Broken) } else { Ok(()) }
}

#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the image is broken")
    }
}

impl Error for Broken {}

#[derive(Debug)]
struct GivenUp;

impl fmt::Display for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no attempt has worked")
    }
}

impl Error for GivenUp {}
