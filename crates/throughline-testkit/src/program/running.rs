//! A child that runs, and what is left of it.

use std::fmt;
use std::io::{self, Read};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Child;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};

/// A program that was started. Dropping it kills it, and whatever it started in its process group.
#[derive(Debug)]
pub struct Running {
    /// Reaped only by `finish`, so its id means this child, alive or dead, as long as `self` lives.
    child: Child,
    pid: Pid,
    deadline: Instant,
    reaped: bool,
    shared: Arc<Shared>,
}

impl Running {
    /// Watches a child whose stdout and stderr are pipes and who leads its process group.
    pub(super) fn watch(mut child: Child, timeout: Duration) -> io::Result<Self> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let pid = Pid::from_child(&child);
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        thread::Builder::new().spawn(move || {
            // Learns of the end without reaping. It fails only if there is no such child any more.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), options));
            watched.change(|state| state.exited = true);
        })?;
        let deadline = Instant::now() + timeout;
        let running = Self {
            child,
            pid,
            deadline,
            reaped: false,
            shared,
        };
        if let Some(stdout) = stdout {
            running.read(stdout, |state| &mut state.stdout)?;
        }
        if let Some(stderr) = stderr {
            running.read(stderr, |state| &mut state.stderr)?;
        }
        Ok(running)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        text(&self.shared.lock().stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        text(&self.shared.lock().stderr)
    }

    /// Waits until its stdout contains `text`.
    ///
    /// # Errors
    ///
    /// When it ends without, or its time is up: what it wrote instead.
    pub fn wait_for_stdout(&self, text: &str) -> io::Result<()> {
        self.wait_for(text, |state| &state.stdout)
    }

    /// Waits until its stderr contains `text`.
    ///
    /// # Errors
    ///
    /// When it ends without, or its time is up: what it wrote instead.
    pub fn wait_for_stderr(&self, text: &str) -> io::Result<()> {
        self.wait_for(text, |state| &state.stderr)
    }

    /// Sends it a signal; nothing happens if it has ended.
    ///
    /// # Errors
    ///
    /// Those of `kill(2)`.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Kills it by SIGKILL, it alone, and waits until it is dead. What it started goes on until
    /// [`Running::wait`].
    ///
    /// # Errors
    ///
    /// Those of `kill(2)`.
    pub fn kill9(&self) -> io::Result<()> {
        self.signal(Signal::KILL)?;
        let _ = self.shared.wait_until(None, |state| state.exited);
        Ok(())
    }

    /// Waits until it has ended and its output is complete, or its time is up and it is killed.
    /// Whatever it started in its process group is killed then too.
    ///
    /// # Errors
    ///
    /// Those of waiting for a process.
    pub fn wait(mut self) -> io::Result<Finished> {
        let over = |state: &State| state.exited && state.open == 0;
        let in_time = self.shared.wait_until(Some(self.deadline), over);
        self.finish(!in_time)
    }

    /// Reads a stream to its end on a thread of its own.
    fn read(&self, from: impl Read + Send + 'static, into: fn(&mut State) -> &mut Vec<u8>) -> io::Result<()> {
        self.shared.lock().open += 1;
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().spawn(move || copy(from, into, &shared))?;
        Ok(())
    }

    fn finish(&mut self, timed_out: bool) -> io::Result<Finished> {
        let _ = kill_process_group(self.pid, Signal::KILL); // fails when nobody is left
        self.shared.wait_until(None, |state| state.exited);
        // Whoever left the group may hold the pipes for ever; then the output so far has to do.
        self.shared
            .wait_until(Some(Instant::now() + Duration::from_secs(1)), |state| state.open == 0);
        let status = self.child.wait()?;
        self.reaped = true;
        let (stdout, stderr) = (self.stdout(), self.stderr());
        Ok(Finished {
            code: status.code(),
            signal: status.signal(),
            timed_out,
            stdout,
            stderr,
        })
    }

    fn wait_for(&self, text: &str, stream: impl Fn(&State) -> &Vec<u8>) -> io::Result<()> {
        let found = |state: &State| contains(stream(state), text.as_bytes());
        self.shared.wait_until(Some(self.deadline), |state| {
            found(state) || (state.exited && state.open == 0)
        });
        let state = self.shared.lock();
        if found(&state) {
            return Ok(());
        }
        let kind = if state.exited {
            io::ErrorKind::UnexpectedEof
        } else {
            io::ErrorKind::TimedOut
        };
        let (stdout, stderr) = (self::text(&state.stdout), self::text(&state.stderr));
        Err(io::Error::new(
            kind,
            format!("no {text:?} came\n--- stdout\n{stdout}\n--- stderr\n{stderr}"),
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            let _ = self.finish(false);
        }
    }
}

/// A program that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    /// The number of the signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Whether it was killed because its time was up.
    pub timed_out: bool,
    /// All it wrote to stdout; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// All it wrote to stderr; bytes that are not UTF-8 are replaced.
    pub stderr: String,
}

impl Finished {
    /// Itself, if it exited with code 0.
    ///
    /// # Panics
    ///
    /// When it did not, showing all it wrote.
    #[track_caller]
    pub fn expect_success(self) -> Self {
        assert!(self.code == Some(0), "{self}");
        self
    }
}

impl fmt::Display for Finished {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.code, self.signal) {
            (Some(code), _) => write!(f, "exit code {code}")?,
            (None, Some(signal)) => write!(f, "ended by signal {signal}")?,
            (None, None) => write!(f, "ended")?,
        }
        if self.timed_out {
            write!(f, " (its time was up)")?;
        }
        write!(f, "\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
    }
}

/// What the watching threads tell.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Notified after every change of `state`.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How many of the two streams have not ended.
    open: u8,
    /// Whether the child is dead, though perhaps not reaped.
    exited: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits for a state, until a deadline if there is one; false if it did not come.
    fn wait_until(&self, deadline: Option<Instant>, reached: impl Fn(&State) -> bool) -> bool {
        let mut state = self.lock();
        while !reached(&state) {
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

fn copy(mut from: impl Read, into: fn(&mut State) -> &mut Vec<u8>, shared: &Shared) {
    let mut buffer = [0; 8192];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => shared.change(|state| into(state).extend_from_slice(&buffer[..length])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    shared.change(|state| state.open -= 1);
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    part.is_empty() || bytes.windows(part.len()).any(|window| window == part)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
