//! For whom somebody delivers what dead processes have left.

use crate::format::header::{Header, MAX_DESTINATIONS};
use crate::format::manifest::{Destination, Manifest};

/// For whom what dead processes left is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// For every destination of every process, whatever its credentials were: somebody has said so.
    Anybody,
    /// For one's own destination: what has the same identity, and the same credentials or the same service and namespace
    /// (a key that was rotated or corrected).
    Of {
        /// The destination. One whose identity is all zero is known to nobody, and gets nothing.
        destination: Destination,
        /// One's `service.name`; an empty one is like no other.
        service: String,
        /// One's `service.namespace`.
        namespace: String,
    },
}

impl Whose {
    /// The destinations of a segment that may match, as far as its header tells.
    pub(crate) fn of_header(&self, header: &Header) -> Vec<usize> {
        let destinations = 0..header.destinations.min(MAX_DESTINATIONS);
        match self {
            Self::Anybody => destinations.collect(),
            Self::Of { destination, .. } if destination.identity == [0; 16] => Vec::new(),
            Self::Of { destination, .. } => {
                let identity = destination.short_identity();
                destinations.filter(|n| header.identities[*n] == identity).collect()
            }
        }
    }

    /// Whether a destination of a process matches; without a manifest only that of anybody does.
    pub(crate) fn is(&self, manifest: Option<&Manifest>, number: usize) -> bool {
        let Self::Of {
            destination,
            service,
            namespace,
        } = self
        else {
            return true;
        };
        let Some(manifest) = manifest else { return false };
        manifest.destinations.get(number).is_some_and(|other| {
            let is_same_service =
                !service.is_empty() && *service == manifest.service && *namespace == manifest.namespace;
            destination.identity != [0; 16]
                && destination.identity == other.identity
                && (destination.credentials == other.credentials || is_same_service)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{destination, manifest};

    #[test]
    fn destination_matches_by_identity_and_key_or_service() {
        let own = destination(0);
        let rotated = Destination {
            credentials: [9; 16],
            ..own.clone()
        };
        let other = Destination {
            identity: [8; 16],
            ..own.clone()
        };
        let unknown = Destination {
            identity: [0; 16],
            ..own.clone()
        };
        for (name, destination, service, namespace, expected) in [
            ("the same", &own, "service", "", true),
            ("another service with the same key", &own, "other", "", true),
            ("a rotated key", &rotated, "service", "", true),
            ("another service with another key", &rotated, "other", "", false),
            (
                "another namespace with another key",
                &rotated,
                "service",
                "other",
                false,
            ),
            ("no service with another key", &rotated, "", "", false),
            ("another destination", &other, "service", "", false),
            ("one that is known to nobody", &unknown, "service", "", false),
        ] {
            let whose = Whose::Of {
                destination: destination.clone(),
                service: service.into(),
                namespace: namespace.into(),
            };
            assert_eq!(whose.is(Some(&manifest(1)), 0), expected, "{name}");
            assert!(!whose.is(None, 0) && !whose.is(Some(&manifest(1)), 1), "{name}");
        }
        assert!(Whose::Anybody.is(None, 3));
    }
}
