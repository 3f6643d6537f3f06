//! A real PostgreSQL.

use std::ffi::OsStr;
use std::os::unix::fs::chown;
use std::path::Path;

use rustix::process::geteuid;
use tempfile::TempDir;

use crate::port::Port;
use crate::{Program, Running, Spool, ToolError, tool};

const PACKAGE: &str = "postgresql";
/// `nobody`: PostgreSQL refuses to run as root.
const NOBODY: u32 = 65534;

/// A real PostgreSQL with a cluster of its own, on a loopback port of its own. It is killed when dropped.
pub struct Postgres {
    /// Dropped first, so that it does not see its port and files taken away.
    _running: Running,
    port: Port,
    _spool: Spool,
    _cluster: TempDir,
}

impl Postgres {
    /// Makes a cluster and starts the PostgreSQL of the system, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInstalled`] or [`ToolError::Failed`]; see [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        let (initdb, postgres) = (
            tool::installed("initdb", PACKAGE)?,
            tool::installed("postgres", PACKAGE)?,
        );
        let (port, spool) = (Port::reserve()?, Spool::new()?);
        // Not in the spool: nobody may not go there.
        let cluster = tempfile::Builder::new().prefix("throughline-postgres-").tempdir()?;
        if geteuid().is_root() {
            chown(cluster.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let made = as_nobody(&initdb, &spool, cluster.path())
            .args([
                "--auth=trust",
                "--username=postgres",
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
            ])
            .arg("-D")
            .arg(cluster.path())
            .run()?;
        if made.code != Some(0) {
            return Err(ToolError::Failed(std::io::Error::other(made.to_string())));
        }
        let running = as_nobody(&postgres, &spool, cluster.path())
            .arg("-D")
            .arg(cluster.path())
            .args([
                "-c",
                "fsync=off",
                "-c",
                "listen_addresses=127.0.0.1",
                "-c",
                "unix_socket_directories=",
            ])
            .args(["-c", &format!("port={}", port.address().port())])
            .spawn()?;
        running.wait_for_stderr("database system is ready to accept connections")?;
        Ok(Self {
            _running: running,
            port,
            _spool: spool,
            _cluster: cluster,
        })
    }

    /// Its URL, such as `postgres://postgres@127.0.0.1:43210/postgres`.
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.port.address())
    }
}

fn as_nobody(program: &Path, spool: &Spool, directory: &Path) -> Program {
    let program: &OsStr = program.as_os_str();
    let command = match geteuid().is_root() {
        true => Program::at("setpriv", spool)
            .arg(format!("--reuid={NOBODY}"))
            .arg(format!("--regid={NOBODY}"))
            .arg("--clear-groups")
            .arg(program),
        false => Program::at(program, spool),
    };
    command.current_dir(directory)
}
