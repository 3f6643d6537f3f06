//! The command line.

use clap::Parser;

use crate::command_line::Wishes;

/// Measures a span's cost in Throughline and in its peers.
#[derive(Debug, Parser)]
#[command(name = "hot_path")]
pub struct Options {
    /// How much is measured, and where the results go.
    #[command(flatten)]
    pub wishes: Wishes,

    /// Do not count instructions
    #[arg(long)]
    pub no_instructions: bool,

    /// The case to run in this process: how the bench calls itself
    #[arg(long, hide = true)]
    pub callee: Option<String>,

    /// Run a sample of it for every line of the standard input
    #[arg(long, hide = true)]
    pub answer: bool,

    /// How many samples to run under callgrind
    #[arg(long, hide = true, default_value_t = 1)]
    pub samples: u32,
}

impl Options {
    /// Reads the command line; a wrong one ends the process with an explanation.
    #[must_use]
    pub fn from_command_line() -> Self {
        Self::parse()
    }

    /// How many samples of each case are taken.
    #[must_use]
    pub fn rounds(&self) -> usize {
        if self.wishes.quick { 40 } else { 400 }
    }
}
