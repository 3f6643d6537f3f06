//! The commands, one a file.

pub mod completions;
pub mod demo;
pub mod ls;
pub mod man;
pub mod recover;
pub mod run;
pub mod view;
