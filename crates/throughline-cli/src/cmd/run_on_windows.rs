//! `throughline run` where processes have neither `fork` nor signals: it says that it is not there.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::exit::{Failure, OWN_FAILURE};

/// Trace a command: not on this system, where a command cannot be run as it would be without.
#[derive(clap::Args)]
pub struct Run {
    /// The command and its arguments, options of `run` among them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub fn execute(self, _spool: Option<PathBuf>) -> Result<u8, Failure> {
        drop(self.command);
        Err(Failure::with_code(
            OWN_FAILURE,
            "`run` is for Linux and macOS: it passes signals on, which Windows does not have; trace the program with the library",
        ))
    }
}
