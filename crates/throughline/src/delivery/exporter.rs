//! A third party's exporter as a destination.

use std::sync::TryLockError;

use super::blocking::Sink;
use super::outcome::Outcome;
use crate::destination::SharedExporter;
use crate::export::{ExportBatch, Retry, SpanExporter};

/// Hands batches to an exporter.
pub(super) struct ExporterSink {
    exporter: SharedExporter,
}

impl ExporterSink {
    pub(super) fn new(exporter: SharedExporter) -> Self {
        Self { exporter }
    }

    /// `None`: a thread of the process that this one was forked from had it at that moment, and will never give it back.
    fn with<T>(&self, work: impl FnOnce(&mut dyn SpanExporter) -> T) -> Option<T> {
        match self.exporter.try_lock() {
            Ok(mut exporter) => Some(work(&mut *exporter)),
            // It has panicked before: it is asked again all the same.
            Err(TryLockError::Poisoned(exporter)) => Some(work(&mut *exporter.into_inner())),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Sink for ExporterSink {
    fn write(&mut self, request: &[u8]) -> Outcome {
        let unavailable = |retry_after, message| Outcome::Unavailable { retry_after, message };
        match self.with(|exporter| exporter.export(ExportBatch::new(request))) {
            Some(Ok(())) => Outcome::success(),
            Some(Err(error)) => match error.retry {
                Retry::Never => Outcome::Refused(error.message),
                Retry::Later(pause) => unavailable(pause, error.message),
            },
            None => unavailable(None, "this process was forked while it was exporting".to_owned()),
        }
    }

    fn flush(&mut self) {
        self.with(|exporter| exporter.flush());
    }

    fn shutdown(&mut self) {
        self.with(|exporter| exporter.shutdown());
    }

    fn has_hooks(&self) -> bool {
        true
    }
}
