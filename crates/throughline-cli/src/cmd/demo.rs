//! `throughline demo`: the main job, a trace through several processes.
//!
//! ```text
//! demo ──POST /jobs──▶ demo-server ──▶ queue on disk ──▶ demo-worker ──starts──▶ demo-compress
//!   ▲                      ▲  │                               │
//!   └──────result──────────┼──┘◀─────PUT result───────────────┘
//! ```
//!
//! Each is a process of this program with a file here. The context of the trace goes from one to the next by HTTP
//! headers, in the job's file, and in the environment. [`parent_watch`] sees to it that all of them end, [`span_log`] keeps a
//! log that the spool is compared with at the end.

pub mod compress;
pub mod server;
pub mod worker;

mod child;
mod client;
mod interrupted;
mod pack;
mod parent_watch;
mod queue;
mod span_log;
mod summary;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Parser as _;
use flate2::read::GzDecoder;
use http::Method;
use hyper::body::Bytes;
use throughline::{Context, span};
use throughline_wire::environment::pairs;
use throughline_wire::terminal::escaped;
use tokio::runtime::Runtime;

use self::child::ChildProcess;
use self::client::call;
use self::interrupted::remove_when_interrupted;
use self::pack::{Packed, pack};
use self::queue::Queue;
use self::span_log::{SpanLog, SpanReporter};
use self::summary::{JobSummary, SpanCheck};
use crate::exit::{Failure, USAGE, print, say};
use crate::store;
use crate::text::count;

/// How long the last report waits for a backend.
const FLUSH: Duration = Duration::from_secs(2);

/// Do a small job in several processes, and show its trace.
///
/// Packs a directory and sends it over HTTP to a server, which puts it into a queue on disk; a worker takes it from there
/// and has a child process unpack and compress it; the result comes back and is compared with what was sent, file by
/// file. All of it happens on this machine, in processes of this program that end with it. One trace goes through all of
/// them. It stays in the spool; with OTEL_EXPORTER_OTLP_ENDPOINT set it is also sent there.
#[derive(clap::Args)]
pub struct Demo {
    /// What to pack: regular files, 64 MiB and 20,000 files at most, without `.git` and `target`
    #[arg(default_value = ".", value_name = "DIR")]
    directory: PathBuf,

    /// Kill the worker in the middle of its work, let another take the job up again, and account for every span
    #[arg(long)]
    kill: bool,

    /// Keep the files of the job, and say where they are
    #[arg(long)]
    keep: bool,
}

/// What this program does as another process of the demo: no commands for people, so not among those of the help.
#[derive(clap::Parser)]
enum DemoProcess {
    #[command(name = "demo-compress")]
    Compress(compress::Compress),
    #[command(name = "demo-server")]
    Server(server::Server),
    #[command(name = "demo-worker")]
    Worker(worker::Worker),
}

/// Does the work of a process of the demo, if this is one.
pub fn execute_as_process_of_the_demo() -> Option<Result<u8, Failure>> {
    let name = std::env::args_os().nth(1)?;
    let process = if name.as_encoded_bytes().starts_with(b"demo-") {
        DemoProcess::try_parse().ok()?
    } else {
        return None;
    };
    Some(match process {
        DemoProcess::Compress(compress) => compress.execute(),
        DemoProcess::Server(server) => server.execute(),
        DemoProcess::Worker(worker) => worker.execute(),
    })
}

impl Demo {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        if !self.directory.is_dir() {
            let directory = self.directory.display().to_string();
            let message = format!(
                "{} is not a directory; give the demo a directory to pack",
                escaped(&directory)
            );
            return Err(Failure::with_code(USAGE, message));
        }
        let option = spool.clone();
        let spool = std::path::absolute(store::directory(spool)?).map_err(Failure::new)?;
        let tracing = throughline::builder("demo")
            .resource("service.name", "demo")
            .spool_dir(&spool)
            .init();
        let parent = throughline::extract(pairs(std::env::vars_os())).unwrap_or_else(Context::root);
        let log = Arc::new(Mutex::new(SpanLog::default()));
        let job = Job {
            demo: &self,
            spool: &spool,
            reporter: SpanReporter::Memory(Arc::clone(&log)),
            log: &log,
        };

        let mut root = job.reporter.start(span!(parent: &parent, "demo"));
        let trace = root.context().trace_id().filter(|_| root.is_recording());
        let done = root.in_scope(|| job.run());
        let done = done.inspect_err(|error| root.error(error));
        drop(root);
        let report = tracing.flush(FLUSH).wait();

        let log = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let summary = done.map_err(|error| {
            log.stderr.iter().for_each(|line| say(line));
            Failure::new(format_args!("the job failed: {error}"))
        })?;
        let Some(trace) = trace else {
            print(&summary.to_string())?;
            say(
                "the job was not traced: tracing is off (OTEL_SDK_DISABLED), or the sampler left it out (OTEL_TRACES_SAMPLER)",
            );
            return Ok(0);
        };
        SpanCheck::read(&spool, option, trace, &log, report).show(&summary)
    }
}

/// One run of the job.
struct Job<'a> {
    demo: &'a Demo,
    spool: &'a Path,
    reporter: SpanReporter,
    log: &'a Arc<Mutex<SpanLog>>,
}

impl Job<'_> {
    fn run(&self) -> io::Result<JobSummary> {
        let work = tempfile::Builder::new().prefix("throughline-demo-").tempdir()?;
        if !self.demo.keep {
            remove_when_interrupted(work.path().to_owned())?;
        }
        let queue = work.path().join("queue");
        Queue::create(&queue)?;
        let (archive, packed) = self.pack()?;

        let server = self.start("demo-server", |command| {
            command.arg(&queue);
        })?;
        let address: SocketAddr = server.wait_for("listening")?.parse().map_err(io::Error::other)?;
        let worker = |stop: bool| {
            self.start("demo-worker", |command| {
                command.arg(&queue).arg(address.to_string()).arg(work.path());
                command.args(stop.then_some("--stop"));
            })
        };

        let runtime = runtime().map_err(|failure| io::Error::other(failure.message))?;
        let submit = call(&self.reporter, Method::POST, address, "/jobs", "/jobs", archive.into());
        let id = runtime.block_on(submit)?;
        let id = String::from_utf8_lossy(&id).into_owned();
        let killed = if self.demo.kill {
            Some(kill_while_its_child_runs(worker(true)?)?)
        } else {
            None
        };
        let worker = worker(false)?;
        let result = runtime.block_on(self.result(address, &id, &worker))?;
        drop((worker, server));

        self.check(&packed, &result)?;
        let kept = self.demo.keep.then(|| work.keep());
        Ok(JobSummary {
            packed,
            compressed: result.len(),
            killed,
            kept,
        })
    }

    fn pack(&self) -> io::Result<(Vec<u8>, Packed)> {
        let mut span = self.reporter.start(span!("pack"));
        let mut archive = Vec::new();
        let packed = pack(&self.demo.directory, &mut archive)?;
        span.set("files", packed.contents.len());
        span.set("files.left_out", packed.left_out);
        span.set("bytes", packed.bytes);
        Ok((archive, packed))
    }

    fn start(
        &self,
        name: &'static str,
        configure: impl FnOnce(&mut std::process::Command),
    ) -> io::Result<ChildProcess> {
        ChildProcess::start(name, configure, self.spool, self.log)
    }

    /// The result, unless the worker ends without.
    async fn result(&self, server: SocketAddr, id: &str, worker: &ChildProcess) -> io::Result<Bytes> {
        let path = format!("/jobs/{id}/result");
        tokio::select! {
            result = call(&self.reporter, Method::GET, server, "/jobs/{id}/result", &path, Bytes::new()) => result,
            () = worker.gone.notified() => Err(io::Error::other("the worker ended without a result")),
        }
    }

    /// Whether every file came back as it was sent.
    fn check(&self, packed: &Packed, result: &[u8]) -> io::Result<()> {
        let mut span = self.reporter.start(span!("check"));
        let came_back = pack::contents(GzDecoder::new(result))?;
        let same = packed
            .contents
            .iter()
            .filter(|(name, hash)| came_back.get(*name) == Some(hash))
            .count();
        span.set("files.same", same);
        if came_back == packed.contents {
            return Ok(());
        }
        let sent = count(packed.contents.len(), "file");
        let error = io::Error::other(format!(
            "{same} of {sent} came back unchanged, and {} in all",
            came_back.len()
        ));
        span.error(&error);
        Err(error)
    }
}

/// Its child says when it is in the middle of its work.
fn kill_while_its_child_runs(worker: ChildProcess) -> io::Result<u32> {
    worker.wait_for("stopped")?;
    worker.kill()
}

/// What the processes of the demo wait for sockets with.
fn runtime() -> Result<Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(format_args!("cannot start a runtime: {error}")))
}
