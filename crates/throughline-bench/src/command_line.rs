//! What the command lines of the benches that have peers or cases share.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

/// What is wished of a bench.
#[derive(Debug, clap::Args)]
pub struct Wishes {
    /// Fewer rounds, processes and rests: a look, not a result
    #[arg(long)]
    pub quick: bool,

    /// Only the cases whose name contains NAME
    #[arg(long, value_name = "NAME")]
    pub case: Option<String>,

    /// Write the results to FILE as well
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Passed by `cargo bench`
    #[arg(long, hide = true)]
    bench: bool,
}

impl Wishes {
    /// Prints the table, and writes it to a file if that is wished.
    ///
    /// # Errors
    ///
    /// If either cannot be written.
    pub fn show(&self, table: &impl std::fmt::Display, json: impl FnOnce() -> String) -> io::Result<()> {
        write!(io::stdout().lock(), "{table}")?;
        self.json.as_ref().map_or(Ok(()), |path| std::fs::write(path, json()))
    }
}

/// Ends a bench: says what went wrong, if anything.
#[must_use]
pub fn end(bench: &str, result: io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If stderr is closed too, the exit code has to do.
            let _ = writeln!(io::stderr(), "{bench}: {error}");
            ExitCode::FAILURE
        }
    }
}
