//! Where spans go, of whatever kind.

use super::files::Files;
use super::otlp::Otlp;

/// A place that spans go to.
#[derive(Clone, Debug)]
pub(crate) enum Destination {
    Files(Files),
    Otlp(Box<Otlp>),
}

impl Destination {
    /// As it is shown to people, without secrets.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Files(files) => files.name(),
            Self::Otlp(otlp) => otlp.endpoint.to_string(),
        }
    }

    /// How later processes know it. Without a key it is known to nobody.
    pub(crate) fn known_as(&self, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        match self {
            Self::Files(files) => files.known_as(key),
            Self::Otlp(otlp) => otlp.known_as(key),
        }
    }

    /// Whether spans that go to one go to the other by that.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Files(one), Self::Files(other)) => one.is_same(other),
            (Self::Otlp(one), Self::Otlp(other)) => one.is_same(other),
            _ => false,
        }
    }
}
