//! A real OpenTelemetry Collector.

use std::io;
use std::time::Duration;

use crate::port::Port;
use crate::{ReceivedSpan, Receiver, Running, Spool, ToolError, tool};

/// A real OpenTelemetry Collector, listening for OTLP over HTTP and gRPC on loopback ports of its own.
///
/// It passes on what it accepts to a [`Receiver`], and answers its client only when that has taken
/// it: what comes out here is what the Collector understood, written anew by its own encoder.
/// It is killed when dropped.
pub struct Collector {
    /// Dropped first, so that it does not see its ports taken away.
    running: Running,
    port: Port,
    grpc: Port,
    behind: Receiver,
    _spool: Spool,
}

impl Collector {
    /// Starts the Collector that `scripts/collector.sh` has built, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotBuilt`] if it is not built, [`ToolError::Failed`] if it does not start; see
    /// [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        let program = tool::built_by("scripts/collector.sh")?;
        let (port, grpc, behind) = (Port::reserve()?, Port::reserve()?, Receiver::start()?);
        let config = format!(
            "\
receivers:
  otlp: {{protocols: {{http: {{endpoint: {address}}}, grpc: {{endpoint: {grpc}}}}}}}
exporters:
  otlp_http:
    endpoint: {behind}
    compression: none
    sending_queue: {{enabled: false}}
    retry_on_failure: {{enabled: false}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [otlp_http]}}
",
            address = port.address(),
            grpc = grpc.address(),
            behind = behind.endpoint(),
        );
        let (running, spool) = tool::start(&program, &config)?;
        Ok(Self {
            running,
            port,
            grpc,
            behind,
            _spool: spool,
        })
    }

    /// The base URL, the value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.port.address())
    }

    /// The base URL for gRPC.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.grpc.address())
    }

    /// The spans it accepted so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.behind.spans()
    }

    /// Waits until it has accepted at least `count` spans, and gives them all.
    ///
    /// # Errors
    ///
    /// `TimedOut`, as [`Receiver::wait_for`].
    pub fn wait_for(&self, count: usize, within: Duration) -> io::Result<Vec<ReceivedSpan>> {
        self.behind.wait_for(count, within)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.stderr()
    }
}
