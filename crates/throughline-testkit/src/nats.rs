//! A real NATS server.

use crate::port::Port;
use crate::{Program, Running, Spool, ToolError, tool};

/// A real NATS server with JetStream, on a loopback port of its own. It is killed when dropped.
pub struct Nats {
    /// Dropped first, so that it does not see its port taken away.
    _running: Running,
    port: Port,
    _spool: Spool,
}

impl Nats {
    /// Starts the `nats-server` of the system, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInstalled`] or [`ToolError::Failed`]; see [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        let program = tool::installed("nats-server", "nats-server")?;
        let (port, spool) = (Port::reserve()?, Spool::new()?);
        let running = Program::at(program, &spool)
            .args(["--addr", "127.0.0.1", "--jetstream", "--port"])
            .arg(port.address().port().to_string())
            .arg("--store_dir")
            .arg(spool.home())
            .spawn()?;
        running.wait_for_stderr("Server is ready")?;
        Ok(Self {
            _running: running,
            port,
            _spool: spool,
        })
    }

    /// Its URL, such as `nats://127.0.0.1:43210`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.port.address())
    }
}
