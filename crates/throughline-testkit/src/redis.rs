//! A real Redis.

use crate::port::Port;
use crate::{Program, Running, Spool, ToolError, tool};

/// A real Redis that keeps everything in memory, on a loopback port of its own. It is killed when dropped.
pub struct Redis {
    /// Dropped first, so that it does not see its port taken away.
    _running: Running,
    port: Port,
    _spool: Spool,
}

impl Redis {
    /// Starts the `redis-server` of the system, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInstalled`] or [`ToolError::Failed`]; see [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        let program = tool::installed("redis-server", "redis-server")?;
        let (port, spool) = (Port::reserve()?, Spool::new()?);
        let running = Program::at(program, &spool)
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"])
            .arg(port.address().port().to_string())
            .arg("--dir")
            .arg(spool.home())
            .spawn()?;
        running.wait_for_stdout("Ready to accept connections")?;
        Ok(Self {
            _running: running,
            port,
            _spool: spool,
        })
    }

    /// Its URL, such as `redis://127.0.0.1:43210`.
    pub fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }
}
