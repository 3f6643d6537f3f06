//! The demo's worker: takes jobs from the queue, has a child process do the work, and delivers the result.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use http::Method;
use hyper::body::Bytes;
use throughline::{Context, Span, span};
use throughline_wire::environment::EnvWriter;

use super::client::call;
use super::parent_watch::ParentWatch;
use super::queue::{Job, Queue};
use super::runtime;
use super::span_log::SpanReporter;
use crate::exit::Failure;

/// How often an empty queue is looked at.
const POLL: Duration = Duration::from_millis(10);

/// The demo's worker.
#[derive(clap::Args)]
pub struct Worker {
    /// The queue's directory
    queue: PathBuf,
    /// Where results are delivered
    server: SocketAddr,
    /// A directory for work in progress
    work: PathBuf,
    /// Let the child stop in the middle of its work
    #[arg(long)]
    stop: bool,
}

impl Worker {
    pub fn execute(self) -> Result<u8, Failure> {
        let tracing = throughline::init("demo-worker");
        let parent_watch = ParentWatch::of_stdin().map_err(Failure::new)?;
        self.work_until_parent_is_gone(&parent_watch).map_err(Failure::new)?;
        drop(tracing);
        Ok(0)
    }

    fn work_until_parent_is_gone(&self, parent_watch: &ParentWatch) -> io::Result<()> {
        let queue = Queue::at(&self.queue);
        queue.put_back()?;
        while !parent_watch.is_gone_within(POLL) {
            if let Some(job) = queue.take()? {
                self.process(job)?;
            }
        }
        Ok(())
    }

    /// Does a job in a span that goes on with the trace of whoever put it into the queue.
    fn process(&self, job: Job) -> io::Result<()> {
        let parent = throughline::extract(&job.headers).unwrap_or_else(Context::root);
        let reporter = SpanReporter::Stdout;
        let mut span = reporter.start(span!(
            parent: &parent,
            kind: Consumer,
            "process jobs",
            messaging.operation.name = "process",
            "messaging.operation.type" = "process",
            messaging.destination.name = "jobs",
            messaging.message.id = job.id.as_str(),
            messaging.message.body.size = job.payload.len(),
            job.attempt = job.attempt,
            job.waited_ms = job.waited.as_secs_f64() * 1e3,
        ));
        let done = span.in_scope(|| {
            let result = self.compress(&job, &reporter)?;
            let path = format!("/jobs/{}/result", job.id);
            let delivered = call(&reporter, Method::PUT, self.server, "/jobs/{id}/result", &path, result);
            runtime()
                .map_err(|failure| io::Error::other(failure.message))?
                .block_on(delivered)?;
            job.done()
        });
        done.inspect_err(|error| span.error(error))
    }

    /// Has a child process compress the archive.
    fn compress(&self, job: &Job, reporter: &SpanReporter) -> io::Result<Bytes> {
        let work = self.work.join(format!("{}.{}", job.id, job.attempt));
        let (archive, result) = (work.join("archive.tar"), work.join("result.tar.gz"));
        fs::create_dir(&work)?;
        fs::write(&archive, &job.payload)?;
        let mut span = reporter.start(span!(
            kind: Client,
            "run demo-compress",
            process.executable.name = "demo-compress",
        ));
        let ran = self.run(&mut span, &archive, &result);
        ran.inspect_err(|error| span.error(error))?;
        let compressed = fs::read(&result)?;
        fs::remove_dir_all(&work)?;
        Ok(compressed.into())
    }

    /// The child gets the span's context in its environment, and our life by its stdin.
    fn run(&self, span: &mut Span, archive: &Path, result: &Path) -> io::Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("demo-compress")
            .arg(archive)
            .arg(result)
            .stdin(Stdio::piped());
        if self.stop {
            command.arg("--stop");
        }
        span.context().inject(EnvWriter(|name: &str, value: Option<&str>| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }));
        let mut child = command.spawn()?;
        span.set("process.pid", child.id());
        // Waiting closes the child's stdin, which tells it that its parent is gone, unless that is held.
        let held = child.stdin.take();
        let status = child.wait()?;
        drop(held);
        span.set("process.exit.code", status.code());
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("demo-compress: {status}")))
        }
    }
}
