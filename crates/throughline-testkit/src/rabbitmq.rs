//! A real RabbitMQ.

use crate::port::Port;
use crate::{Program, Running, Spool, ToolError, tool};

const PACKAGE: &str = "rabbitmq-server";

/// A real RabbitMQ node on loopback ports of its own, with a name service of its own. It is killed when dropped.
pub struct RabbitMq {
    /// Dropped first, so that it does not see its ports taken away.
    _running: Running,
    _names: Running,
    port: Port,
    _others: [Port; 2],
    _spool: Spool,
}

impl RabbitMq {
    /// Starts the `rabbitmq-server` of the system, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotInstalled`] or [`ToolError::Failed`]; see [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        // That in /usr/sbin wants to be another user, whose files it takes.
        tool::installed("rabbitmq-server", PACKAGE)?;
        let program = "/usr/lib/rabbitmq/bin/rabbitmq-server";
        let names_program = tool::installed("epmd", PACKAGE)?;
        let (port, names_port, peers) = (Port::reserve()?, Port::reserve()?, Port::reserve()?);
        let number = |port: &Port| port.address().port().to_string();
        let spool = Spool::new()?;
        let home = spool.home();
        // Were none there, the server would start one that outlives it.
        let names = Program::at(names_program, &spool)
            .args(["-address", "127.0.0.1", "-port", &number(&names_port)])
            .spawn()?;
        let running = Program::at(program, &spool)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", number(&names_port))
            .env("RABBITMQ_CONFIG_FILE", home.join("none"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_DIST_PORT", number(&peers))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", home.join("plugins"))
            .env("RABBITMQ_LOGS", "-")
            .env("RABBITMQ_MNESIA_BASE", home.join("mnesia"))
            .env("RABBITMQ_NODENAME", format!("throughline{}@localhost", number(&port)))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", number(&port))
            .env("RABBITMQ_PID_FILE", home.join("pid"))
            .spawn()?;
        running.wait_for_stdout("Server startup complete")?;
        Ok(Self {
            _running: running,
            _names: names,
            port,
            _others: [names_port, peers],
            _spool: spool,
        })
    }

    /// Its URL, such as `amqp://guest:guest@127.0.0.1:43210/%2f`.
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.port.address())
    }
}
