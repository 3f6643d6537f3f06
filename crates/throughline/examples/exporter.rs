//! An exporter of one's own: it writes how many spans of each name have failed.

use std::collections::BTreeMap;
use std::io::Write;

use throughline::export::{ExportBatch, ExportError, SpanExporter, StatusCode};
use throughline::{Destination, span};

#[derive(Default)]
struct Failures(BTreeMap<String, u64>);

impl SpanExporter for Failures {
    fn export(&mut self, batch: ExportBatch<'_>) -> Result<(), ExportError> {
        for exported in batch.spans() {
            if exported.span.status().0 == StatusCode::Error {
                *self.0.entry(exported.span.name().to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn shutdown(&mut self) {
        for (name, failures) in &self.0 {
            let _ = writeln!(std::io::stdout(), "{name} has failed: {failures}");
        }
    }
}

fn main() {
    let tracing = throughline::builder("orders")
        .destination(Destination::exporter("failures", Failures::default()))
        .init();
    for order in 0..10 {
        let mut charge = span!("charge card", order.id = order);
        if order % 3 == 0 {
            charge.status_error("declined");
        }
    }
    drop(tracing.shutdown(std::time::Duration::from_secs(5)).wait());
}
