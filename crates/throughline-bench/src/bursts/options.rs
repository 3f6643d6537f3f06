//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures spans in bursts and at a process's start, in Throughline and in its peers.
#[derive(Debug, Parser)]
#[command(name = "bursts")]
pub struct Options {
    /// One round instead of seven: a look, not a result
    #[arg(long)]
    pub quick: bool,

    /// Only the cases whose name contains NAME
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,

    /// Do not count system calls
    #[arg(long)]
    pub no_system_calls: bool,

    /// Write the results to FILE as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,

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
        if self.quick { 1 } else { 7 }
    }
}
