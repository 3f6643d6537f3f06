//! Programs that others wrote, which `scripts/` builds or the system has: where they are, and what to do without them.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Program, Running, Spool};

/// Why a [`Collector`](crate::Collector), a [`Jaeger`](crate::Jaeger), a database or a broker did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ToolError {
    /// It is built, and does not run as it should.
    Failed(io::Error),
    /// It is not built; this script of the repository builds it.
    NotBuilt {
        /// The script, such as `scripts/collector.sh`.
        script: &'static str,
    },
    /// It is not installed; this package of Debian has it.
    NotInstalled {
        /// The package, such as `redis-server`.
        package: &'static str,
    },
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(error) => error.fmt(f),
            Self::NotBuilt { script } => write!(f, "not built yet: run {script}"),
            Self::NotInstalled { package } => write!(f, "not installed: apt-get install {package}"),
        }
    }
}

impl Error for ToolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed(error) => error.source(),
            Self::NotBuilt { .. } | Self::NotInstalled { .. } => None,
        }
    }
}

impl From<io::Error> for ToolError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What started; or nothing, with one line on stderr saying that a test is skipped and which script
/// or package would change that, if it is not there.
///
/// ```no_run
/// use throughline_testkit::{Collector, require_tool};
///
/// let Some(collector) = require_tool(Collector::start()) else { return };
/// println!("{}", collector.endpoint());
/// ```
///
/// # Panics
///
/// When it is there and does not start; and with `CI=true`, where nothing is skipped, also when it is
/// not there.
#[track_caller]
pub fn require_tool<T>(started: Result<T, ToolError>) -> Option<T> {
    let may_skip = std::env::var_os("CI").is_none_or(|ci| ci != "true");
    let why = match started {
        Ok(tool) => return Some(tool),
        Err(ToolError::NotBuilt { script }) if may_skip => format!("build what it needs with {script}"),
        Err(ToolError::NotInstalled { package }) if may_skip => format!("install {package}"),
        Err(error) => panic!("{error}"),
    };
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    say_skipped(&test, why);
    None
}

/// Says in one line on stderr what a test leaves out, and why; `scripts/test.sh` counts these lines.
pub fn say_skipped(what: &str, why: impl fmt::Display) {
    // Not eprintln!, which the test harness keeps to itself when a test passes. In one piece: others may write as well.
    let line = format!("skipped: {what} ({why})\n");
    let _ = io::stderr().write_all(line.as_bytes());
}

/// A program on the OpenTelemetry SDK of another language: `go`, `java`, `node` or `python`. It is a folder with an executable
/// `hop`, of which this is the path.
///
/// # Errors
///
/// [`ToolError::NotBuilt`] if it is not built; see [`require_tool`].
pub fn interop_peer(language: &str) -> Result<PathBuf, ToolError> {
    let folder = built("scripts/interop-peer.sh", &[language])?;
    Ok(folder.join("hop"))
}

/// The program that `script` has built. Only the script knows version and place.
pub(crate) fn built_by(script: &'static str) -> Result<PathBuf, ToolError> {
    built(script, &[])
}

fn built(script: &'static str, arguments: &[&str]) -> Result<PathBuf, ToolError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = Command::new(root.join(script))
        .args(arguments)
        .arg("--if-built")
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    if !found.status.success() {
        return Err(ToolError::NotBuilt { script });
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&found.stdout).trim_end()))
}

/// The program of a package of Debian: on `PATH`, or where it puts what is not for everybody.
pub(crate) fn installed(name: &str, package: &'static str) -> Result<PathBuf, ToolError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/lib/rabbitmq/bin".into()])
        .chain(versions.map(|version| version.path().join("bin")))
        .map(|directory| directory.join(name))
        .find(|program| program.is_file())
        .ok_or(ToolError::NotInstalled { package })
}

/// Runs a program that is made of the Collector's parts, as Jaeger is too, and waits until it is
/// ready. Its configuration lies in the directory that is returned.
pub(crate) fn start(program: &Path, config: &str) -> io::Result<(Running, Spool)> {
    let spool = Spool::new()?;
    let file = spool.home().join("config.yaml");
    fs::write(&file, config)?;
    let running = Program::at(program, &spool).arg("--config").arg(&file).spawn()?;
    running.wait_for_stderr("Everything is ready. Begin running and processing data.")?;
    Ok((running, spool))
}
