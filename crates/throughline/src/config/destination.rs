//! Where spans go, of whatever kind.

use super::BatchSettings;
use super::console::Console;
use super::custom_exporter::CustomExporter;
use super::files::Files;
use super::otlp::Otlp;
use crate::otlp_endpoint::OtlpEndpoint;

/// A place that spans go to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Console(Console),
    Exporter(CustomExporter),
    Files(Files),
    Otlp(Box<Otlp>),
}

impl Destination {
    /// As it is shown to people, without secrets.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Console(console) => console.name().to_owned(),
            Self::Exporter(exporter) => exporter.name(),
            Self::Files(files) => files.name(),
            Self::Otlp(otlp) => otlp.endpoint.to_string(),
        }
    }

    /// What another process may be told of it.
    pub(crate) fn otlp_endpoint(&self) -> Option<OtlpEndpoint> {
        match self {
            Self::Otlp(otlp) => Some(OtlpEndpoint::new(otlp.endpoint.without_secrets(), otlp.protocol)),
            _ => None,
        }
    }

    /// How later processes know it. Without a key it is known to nobody.
    pub(crate) fn known_as(&self, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        match self {
            Self::Console(console) => console.known_as(),
            Self::Exporter(exporter) => exporter.known_as(key),
            Self::Files(files) => files.known_as(key),
            Self::Otlp(otlp) => otlp.known_as(key),
        }
    }

    /// Whether spans that go to one go to the other by that.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Console(one), Self::Console(other)) => one.stream == other.stream,
            (Self::Exporter(one), Self::Exporter(other)) => one.is_same(other),
            (Self::Files(one), Self::Files(other)) => one.is_same(other),
            (Self::Otlp(one), Self::Otlp(other)) => one.is_same(other),
            _ => false,
        }
    }

    /// Whether it also gets what processes that have died left for it.
    pub(crate) fn adopts(&self) -> bool {
        !matches!(self, Self::Console(_))
    }

    /// How spans are gathered for it.
    pub(crate) fn batch(&self, batch: BatchSettings) -> BatchSettings {
        match self {
            Self::Console(console) => console.batch(batch),
            _ => batch,
        }
    }
}
