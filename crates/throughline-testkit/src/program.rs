//! A program of this workspace as a child of the test, in an environment that holds no surprise.

mod running;

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

pub use self::running::{Finished, Running};
use crate::Spool;
use crate::spool::profile_directory;

/// A program about to be run.
///
/// Its environment is empty (no `OTEL_*`, no `TRACEPARENT`, nothing of the developer's) but for
/// `PATH`, `HOME` and `XDG_STATE_HOME` inside the [`Spool`], what coverage tools need
/// (`LLVM_PROFILE_FILE`), and what [`Program::env`] adds. Its stdin is empty; its stdout and stderr
/// are captured. It leads a process group of its own, so that what it starts can be ended with it.
///
/// ```
/// use throughline_testkit::{Program, Spool};
///
/// let spool = Spool::new()?;
/// let finished = Program::at("/bin/sh", &spool).args(["-c", "echo $HOME; exit 3"]).run()?;
/// assert_eq!(finished.code, Some(3));
/// assert_eq!(finished.stdout.trim(), spool.home().to_str().unwrap());
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct Program {
    command: Command,
    timeout: Duration,
}

impl Program {
    /// The program in this file, or found on `PATH` by this name.
    pub fn at(path: impl AsRef<Path>, spool: &Spool) -> Self {
        let mut command = Command::new(path.as_ref());
        command
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        for name in ["PATH", "LLVM_PROFILE_FILE"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        command
            .env("HOME", spool.home())
            .env("XDG_STATE_HOME", spool.state_home());
        Self {
            command,
            timeout: Duration::from_secs(60),
        }
    }

    /// A binary of this workspace, built with the profile of the running test.
    ///
    /// Cargo builds the binaries of the package it tests, and no others; for those use
    /// `cargo build -p <package>` first.
    ///
    /// # Errors
    ///
    /// `NotFound`, saying how to build it, when it is not there.
    pub fn binary(name: &str, spool: &Spool) -> io::Result<Self> {
        Ok(Self::at(built("", name, "--bin")?, spool))
    }

    /// An example of this workspace, built with the profile of the running test.
    ///
    /// Cargo builds the examples of the package it tests, and no others.
    ///
    /// # Errors
    ///
    /// `NotFound`, saying how to build it, when it is not there.
    pub fn example(name: &str, spool: &Spool) -> io::Result<Self> {
        Ok(Self::at(built("examples", name, "--example")?, spool))
    }

    /// Adds an argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this directory instead of the test's.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Ends it by force this long after its start. Default: one minute.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Those of starting a process and the threads that watch it.
    pub fn spawn(mut self) -> io::Result<Running> {
        let name = self.command.get_program().to_string_lossy().into_owned();
        let child = self
            .command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        Running::watch(child, self.timeout)
    }

    /// Runs it to its end.
    ///
    /// # Errors
    ///
    /// Those of starting and of waiting. That it fails, or has to be killed, is no error:
    /// [`Finished`] tells.
    pub fn run(self) -> io::Result<Finished> {
        self.spawn()?.wait()
    }
}

fn built(folder: &str, name: &str, flag: &str) -> io::Result<PathBuf> {
    let found = profile_directory()
        .map(|profile| profile.join(folder).join(name))
        .filter(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!("{name} is not built: run `cargo build {flag} {name}` with the profile of this test");
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}
