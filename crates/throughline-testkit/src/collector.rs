//! A real OpenTelemetry Collector.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::certificate::Certificate;
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
    certificate: Option<Certificate>,
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
        Self::with(None)
    }

    /// The same with TLS, by a certificate of [`ca_pem`](Self::ca_pem).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_tls() -> Result<Self, ToolError> {
        Self::with(Some(Certificate::new(false)?))
    }

    /// The same with TLS for those alone who show the certificate of [`client_pem`](Self::client_pem).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub fn start_mutual_tls() -> Result<Self, ToolError> {
        Self::with(Some(Certificate::new(true)?))
    }

    fn with(certificate: Option<Certificate>) -> Result<Self, ToolError> {
        let program = tool::built_by("scripts/collector.sh")?;
        let (port, grpc, behind) = (Port::reserve()?, Port::reserve()?, Receiver::start()?);
        let tls = certificate.as_ref().map_or(String::new(), tls);
        let config = format!(
            "\
receivers:
  otlp: {{protocols: {{http: {{endpoint: {address}{tls}}}, grpc: {{endpoint: {grpc}{tls}}}}}}}
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
            certificate,
            _spool: spool,
        })
    }

    fn scheme(&self) -> &'static str {
        if self.certificate.is_some() { "https" } else { "http" }
    }

    /// The authority of its certificate, with TLS.
    pub fn ca_pem(&self) -> Option<&Path> {
        self.certificate.as_ref().map(Certificate::ca_pem)
    }

    /// The certificate and the key that it wants to be shown, with mutual TLS.
    pub fn client_pem(&self) -> Option<(&Path, &Path)> {
        let client = self.certificate.as_ref()?.client()?;
        Some((&client.certificate, &client.key))
    }

    /// The base URL, the value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme(), self.port.address())
    }

    /// The base URL for gRPC.
    pub fn grpc_endpoint(&self) -> String {
        format!("{}://{}", self.scheme(), self.grpc.address())
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

/// The settings of a receiver with TLS.
fn tls(certificate: &Certificate) -> String {
    let server = certificate.server();
    let clients = match certificate.client() {
        Some(_) => format!(", client_ca_file: {}", certificate.ca_pem().display()),
        None => String::new(),
    };
    format!(
        ", tls: {{cert_file: {}, key_file: {}{clients}}}",
        server.certificate.display(),
        server.key.display()
    )
}
