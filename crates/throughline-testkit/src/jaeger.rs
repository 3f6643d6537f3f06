//! A real Jaeger.

use std::io;

use crate::port::Port;
use crate::{Running, Spool, ToolError, client, tool};

/// A real Jaeger that keeps traces in memory, listening for OTLP/HTTP and for questions on loopback
/// ports of its own. It is killed when dropped.
pub struct Jaeger {
    /// Dropped first, so that it does not see its ports taken away.
    running: Running,
    otlp: Port,
    otlp_grpc: Port,
    query: Port,
    _query_grpc: Port,
    _spool: Spool,
}

impl Jaeger {
    /// Starts the Jaeger that `scripts/jaeger.sh` has built, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`ToolError::NotBuilt`] if it is not built, [`ToolError::Failed`] if it does not start; see
    /// [`require_tool`](crate::require_tool).
    pub fn start() -> Result<Self, ToolError> {
        let program = tool::built_by("scripts/jaeger.sh")?;
        let (otlp, otlp_grpc) = (Port::reserve()?, Port::reserve()?);
        let (query, query_grpc) = (Port::reserve()?, Port::reserve()?);
        let config = format!(
            "\
extensions:
  jaeger_storage: {{backends: {{memory: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: memory}}
    http: {{endpoint: {query}}}
    grpc: {{endpoint: {query_grpc}}}
receivers:
  otlp: {{protocols: {{http: {{endpoint: {otlp}}}, grpc: {{endpoint: {otlp_grpc}}}}}}}
exporters:
  jaeger_storage_exporter: {{trace_storage: memory}}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}
",
            query = query.address(),
            query_grpc = query_grpc.address(),
            otlp = otlp.address(),
            otlp_grpc = otlp_grpc.address(),
        );
        let (running, spool) = tool::start(&program, &config)?;
        Ok(Self {
            running,
            otlp,
            otlp_grpc,
            query,
            _query_grpc: query_grpc,
            _spool: spool,
        })
    }

    /// The base URL for spans, the value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.otlp.address())
    }

    /// The base URL for spans over gRPC.
    pub fn grpc_endpoint(&self) -> String {
        format!("http://{}", self.otlp_grpc.address())
    }

    /// The base URL of its query API, and of the pages for people.
    pub fn query(&self) -> String {
        format!("http://{}", self.query.address())
    }

    /// The trace with this id (hex) as the query API tells it: an object with `traceID`, `spans` and
    /// `processes`. What Jaeger has confirmed can be asked for at once.
    ///
    /// # Errors
    ///
    /// `NotFound` when Jaeger has no such trace, those of the connection, and `InvalidData` when the
    /// answer is not what the API promises.
    pub fn trace(&self, trace_id: &str) -> io::Result<serde_json::Value> {
        let response = client::get(&format!("{}/api/traces/{trace_id}", self.query()))?;
        if response.status != 200 {
            let body = String::from_utf8_lossy(&response.body);
            let kind = if response.status == 404 {
                io::ErrorKind::NotFound
            } else {
                io::ErrorKind::InvalidData
            };
            return Err(io::Error::new(kind, format!("status {}: {body}", response.status)));
        }
        let mut answer: serde_json::Value = serde_json::from_slice(&response.body)?;
        match answer.pointer_mut("/data/0") {
            Some(trace) => Ok(trace.take()),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no trace in {answer}"),
            )),
        }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.running.stderr()
    }
}
