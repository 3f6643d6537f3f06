//! What the programs of the recipes share: a stand-in for the exporters of others, so that their spans can be compared with
//! Throughline's.

use fastrace::collector::{Reporter, SpanRecord};
use opentelemetry::trace::Status;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// Prints each span as `<id> <parent's id> <ok or error> <name>`. Stands for `opentelemetry_otlp::SpanExporter`, and for
/// `fastrace_opentelemetry::OpenTelemetryReporter`.
#[derive(Debug)]
pub struct Printed;

impl SpanExporter for Printed {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let is_error = matches!(span.status, Status::Error { .. });
            print(
                &span.span_context.span_id().to_string(),
                &span.parent_span_id.to_string(),
                is_error,
                &span.name,
            );
        }
        Ok(())
    }
}

impl Reporter for Printed {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        for span in spans {
            // fastrace has no status; this is what its exporter for OpenTelemetry reads as one.
            let is_error = span
                .properties
                .iter()
                .any(|(key, value)| key == "span.status_code" && value == "error");
            print(
                &format!("{:016x}", span.span_id.0),
                &format!("{:016x}", span.parent_id.0),
                is_error,
                &span.name,
            );
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what this is for")]
fn print(id: &str, parent: &str, is_error: bool, name: &str) {
    let status = if is_error { "error" } else { "ok" };
    println!("{id} {parent} {status} {name}");
}
