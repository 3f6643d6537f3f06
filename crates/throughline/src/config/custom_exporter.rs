//! A third party's exporter.

use super::keyed_hash::KeyedHash;
use crate::destination::{ExporterDestination, SharedExporter};

/// An exporter under the name that the program gives it.
#[derive(Clone)]
pub(crate) struct CustomExporter {
    name: String,
    pub(crate) exporter: SharedExporter,
}

impl From<&ExporterDestination> for CustomExporter {
    fn from(chosen: &ExporterDestination) -> Self {
        Self {
            name: chosen.name.clone(),
            exporter: chosen.exporter.clone(),
        }
    }
}

impl CustomExporter {
    pub(super) fn name(&self) -> String {
        format!("exporter {}", self.name)
    }

    /// A later process knows it by its name.
    pub(super) fn known_as(&self, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        let hash = |key, name: &str| {
            let mut hash = KeyedHash::new(key);
            hash.field(b"exporter");
            hash.field(name.as_bytes());
            hash.finish()
        };
        throughline_spool::Destination {
            name: self.name(),
            identity: key.map(|key| hash(key, &self.name)).unwrap_or_default(),
            // There is one account.
            credentials: key.map(|key| hash(key, "")).unwrap_or_default(),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl std::fmt::Debug for CustomExporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CustomExporter")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
