//! What is measured, one file per library.

use std::hint::black_box;
use std::path::Path;

use crate::measure::Case;

pub mod api;
pub mod clock;
pub mod fastrace;
pub mod native;
pub mod opentelemetry;
pub mod tracing;
pub mod tracing_opentelemetry;

/// A case in the list, not yet prepared.
#[derive(Debug)]
pub struct Entry {
    /// Library and kind of span, as in `fastrace/LocalSpan`.
    pub name: &'static str,
    /// The native case that does the same, if one does.
    pub native: Option<&'static str>,
    /// Whether it needs tracing configured in a way that other cases do not.
    pub own_process: bool,
    /// Sets the case up; the directory is for files and outlives the case.
    pub prepare: fn(&Path) -> Case,
}

/// Every case, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    const LIBRARIES: &[&[Entry]] = &[
        clock::CASES,
        native::CASES,
        opentelemetry::CASES,
        tracing_opentelemetry::CASES,
        fastrace::CASES,
    ];
    LIBRARIES.iter().copied().flatten()
}

/// Those of the bench of the OpenTelemetry API.
pub fn of_the_api() -> impl Iterator<Item = &'static Entry> {
    let yardstick = clock::CASES.iter().filter(|entry| entry.name == clock::YARDSTICK);
    yardstick.chain(api::CASES)
}

/// The values of the five attributes, which the compiler must not see through.
#[derive(Clone, Debug)]
pub struct Order {
    /// Who ordered.
    pub customer: String,
    /// Whether it is in a hurry.
    pub express: bool,
    /// How many items.
    pub items: i64,
    /// Where it can be looked at.
    pub path: String,
    /// What it costs.
    pub total: f64,
}

impl Order {
    /// An order as any other.
    #[must_use]
    pub fn new() -> Self {
        black_box(Self {
            customer: String::from("ada.lovelace"),
            express: true,
            items: 3,
            path: String::from("/orders/4711"),
            total: 19.95,
        })
    }
}

impl Default for Order {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_its_own_name() {
        let mut names: Vec<_> = all().map(|entry| entry.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_case_runs() {
        let home = tempfile::tempdir().expect("the system's temporary directory is writable");
        for entry in all().filter(|entry| !entry.own_process) {
            let mut case = (entry.prepare)(home.path());
            assert!(!case.sample().time.is_zero(), "{}", entry.name);
            case.drain();
        }
    }
}
