//! An exporter of somebody else, as a program names it.

use std::fmt;
use std::sync::{Arc, Mutex};

use crate::export::SpanExporter;

/// An exporter and its name; made by [`Destination::exporter`](crate::Destination::exporter).
#[derive(Clone)]
pub(crate) struct ExporterDestination {
    pub(crate) name: String,
    pub(crate) exporter: SharedExporter,
}

pub(crate) type SharedExporter = Arc<Mutex<dyn SpanExporter>>;

impl fmt::Debug for ExporterDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
