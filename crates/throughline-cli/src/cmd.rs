//! The commands, one a file.

pub mod demo;
pub mod ls;
pub mod recover;
pub mod run;
pub mod view;
