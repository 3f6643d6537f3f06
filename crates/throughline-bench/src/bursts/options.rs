//! The command line.

use clap::Parser;

use crate::command_line::Wishes;

/// Measures spans in bursts and at a process's start, in Throughline and in its peers.
#[derive(Debug, Parser)]
#[command(name = "bursts")]
pub struct Options {
    /// How much is measured, and where the results go.
    #[command(flatten)]
    pub wishes: Wishes,

    /// Do not count system calls
    #[arg(long)]
    pub no_system_calls: bool,

    /// The case to run in this process: how the bench calls itself
    #[arg(long, hide = true)]
    pub callee: Option<String>,
}

impl Options {
    /// Reads the command line; a wrong one ends the process with an explanation.
    #[must_use]
    pub fn from_command_line() -> Self {
        Self::parse()
    }

    /// How many times each case is run.
    #[must_use]
    pub fn rounds(&self) -> usize {
        if self.wishes.quick { 1 } else { 7 }
    }
}
