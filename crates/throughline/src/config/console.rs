//! A terminal that spans are shown on.

use std::time::Duration;

use super::BatchSettings;
use crate::destination::{ConsoleDestination, ConsoleFormat, ConsoleStream};

/// A standard stream of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Console {
    pub(crate) stream: ConsoleStream,
    pub(crate) format: ConsoleFormat,
}

impl From<&ConsoleDestination> for Console {
    fn from(chosen: &ConsoleDestination) -> Self {
        Self {
            stream: chosen.stream,
            format: chosen.format,
        }
    }
}

impl Console {
    pub(super) fn name(self) -> &'static str {
        match self.stream {
            ConsoleStream::Stderr => "console (stderr)",
            ConsoleStream::Stdout => "console (stdout)",
        }
    }

    /// Known to nobody: no other process shows these spans, or has its own shown here.
    pub(super) fn known_as(self) -> throughline_spool::Destination {
        throughline_spool::Destination {
            name: self.name().to_owned(),
            ..Default::default()
        }
    }

    /// Somebody looks at it.
    pub(super) fn batch(self, batch: BatchSettings) -> BatchSettings {
        const SOON: Duration = Duration::from_millis(100);
        BatchSettings {
            schedule_delay: batch.schedule_delay.min(SOON),
            ..batch
        }
    }
}
