//! The commands, one per file.

pub mod completions;
pub mod convert;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod follow;
pub mod inject;
pub mod ls;
pub mod man;
pub mod recover;
#[cfg(unix)]
pub mod run;
#[cfg(not(unix))]
#[path = "cmd/run_on_windows.rs"]
pub mod run;
pub mod span;
pub mod stats;
pub mod view;
