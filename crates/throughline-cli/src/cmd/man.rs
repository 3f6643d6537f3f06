//! `throughline man`: the manual pages.

use std::fs;
use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_mangen::Man as Page;
use throughline_wire::terminal::escaped;

use crate::Cli;
use crate::exit::{Failure, print};

/// Print the manual page, or write one page per command into a directory.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline man | man -l -
  throughline man ~/.local/share/man/man1")]
pub struct Man {
    /// Where throughline.1, throughline-run.1 and the others are written; it is created if need be
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub fn execute(&self) -> Result<u8, Failure> {
        let Some(directory) = &self.directory else {
            let mut page = Vec::new();
            Page::new(Cli::command())
                .render(&mut page)
                .map_err(|error| Failure::new(format_args!("cannot make the manual page: {error}")))?;
            return print(&String::from_utf8_lossy(&page));
        };
        let written = fs::create_dir_all(directory).and_then(|()| clap_mangen::generate_to(Cli::command(), directory));
        written.map_err(|error| {
            let directory = directory.display().to_string();
            Failure::new(format_args!(
                "cannot write the manual pages to {}: {error}",
                escaped(&directory)
            ))
        })?;
        Ok(0)
    }
}
