//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures a span's cost in Throughline and in its peers.
#[derive(Debug, Parser)]
#[command(name = "hot_path")]
pub struct Options {
    /// Fewer rounds and shorter instruction counts: a look, not a result
    #[arg(long)]
    pub quick: bool,

    /// Only the cases whose name contains NAME
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,

    /// Do not count instructions
    #[arg(long)]
    pub no_instructions: bool,

    /// Write the results to FILE as well
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,

    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,

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
        if self.quick { 40 } else { 400 }
    }
}
