//! An exporter that was written for `opentelemetry_sdk`, as a destination of Throughline.

use std::io::Write;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::{Destination, span};
use throughline_opentelemetry::SdkExporter;

/// Stands for somebody else's exporter.
#[derive(Debug)]
struct Names;

impl SpanExporter for Names {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        for span in batch {
            let _ = writeln!(std::io::stdout(), "{}", span.name);
        }
        Ok(())
    }
}

fn main() {
    let _tracing = throughline::builder("orders")
        .destination(Destination::exporter("names", SdkExporter::new(Names)))
        .init();
    span!("order").in_scope(|| span!("charge").end());
}
