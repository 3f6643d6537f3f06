//! A look at the settings, and at the whole way to each destination: for people, and for a program that wants to know before it starts.

use std::path::PathBuf;
use std::time::Duration;

/// What [`Builder::check`](crate::Builder::check) has found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Whether tracing would be on.
    pub is_on: bool,
    /// One line for each setting that cannot be used, as it is said when tracing is switched on. Secrets are masked.
    pub wrong_settings: Vec<String>,
    /// Each destination, in order. None: spans stay in local history.
    pub destinations: Vec<CheckedDestination>,
    /// Where the spool lies; `None` where no place for it is known.
    pub spool_dir: Option<PathBuf>,
}

/// What has become of a request without spans to one destination.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckedDestination {
    /// The endpoint, or what else it is, without secrets.
    pub name: String,
    /// What went wrong, and its likely cure, in the words that delivery uses. `None`: it takes spans.
    pub problem: Option<String>,
    /// What the backend says although it takes spans.
    pub warning: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl Check {
    /// Whether all settings can be used and every destination takes spans.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.wrong_settings.is_empty() && self.destinations.iter().all(|to| to.problem.is_none())
    }
}
