//! A child process of the demo, as the first process handles it: started, listened to, ended.

use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::span_log::SpanLog;

/// How long a child may take to say something, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running child process. Dropping it ends it.
pub struct ChildProcess {
    name: &'static str,
    child: Child,
    /// Held open while it is needed: its end tells the child that its parent is gone.
    stdin: Option<ChildStdin>,
    /// What it says beside its log of spans; ends when it and all it started have ended.
    said: Receiver<String>,
    /// Told when it and all it started have ended.
    pub gone: Arc<Notify>,
}

impl ChildProcess {
    /// Starts this program anew, as that process of the demo; what it tells of spans goes into the log.
    pub fn start(
        name: &'static str,
        configure: impl FnOnce(&mut Command),
        spool: &Path,
        log: &Arc<Mutex<SpanLog>>,
    ) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.env("THROUGHLINE_SPOOL_DIR", spool);
        // Each process is a service of its own, and is handed its context by what it is asked to do.
        for variable in ["OTEL_SERVICE_NAME", "TRACEPARENT", "TRACESTATE", "BAGGAGE"] {
            command.env_remove(variable);
        }
        configure(&mut command);
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let (sender, said) = channel();
        let gone = Arc::new(Notify::new());
        if let Some(stderr) = child.stderr.take() {
            let log = Arc::clone(log);
            thread::Builder::new().spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    lock(&log).stderr.push(line);
                }
            })?;
        }
        if let Some(stdout) = child.stdout.take() {
            let (log, gone) = (Arc::clone(log), Arc::clone(&gone));
            thread::Builder::new().spawn(move || {
                listen(stdout, &log, &sender);
                gone.notify_one();
            })?;
        }
        Ok(Self {
            name,
            child,
            stdin,
            said,
            gone,
        })
    }

    /// Waits until it says a line that begins with that word, and gives the rest of it.
    pub fn wait_for(&self, word: &str) -> io::Result<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left);
            let line = line.map_err(|_| {
                io::Error::other(format!(
                    "{} ended, or took too long, before it said '{word}'",
                    self.name
                ))
            })?;
            if let Some(rest) = line.strip_prefix(word) {
                return Ok(rest.trim().to_owned());
            }
        }
    }

    /// Kills it by SIGKILL, and waits until those it had started have ended too.
    pub fn kill(mut self) -> io::Result<u32> {
        self.child.kill()?;
        self.child.wait()?;
        self.hear_out();
        Ok(self.child.id())
    }

    /// Waits until it, and all it has started, has nothing more to say.
    fn hear_out(&self) {
        let until = Instant::now() + PATIENCE;
        while self
            .said
            .recv_timeout(until.saturating_duration_since(Instant::now()))
            .is_ok()
        {}
    }
}

impl Drop for ChildProcess {
    /// Closes its stdin, which ends it, and waits for its end; one that does not end is killed.
    fn drop(&mut self) {
        self.stdin = None;
        self.hear_out();
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(stdout: ChildStdout, log: &Mutex<SpanLog>, said: &Sender<String>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        if !lock(log).note(&line) {
            let _ = said.send(line);
        }
    }
}

fn lock(log: &Mutex<SpanLog>) -> MutexGuard<'_, SpanLog> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}
