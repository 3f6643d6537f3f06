//! `throughline completions`: what a shell needs to complete the command line.

use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

use crate::Cli;
use crate::exit::{Failure, print};

/// Print a script that makes a shell complete this command.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline completions bash > ~/.local/share/bash-completion/completions/throughline
  throughline completions fish > ~/.config/fish/completions/throughline.fish
  throughline completions zsh > ~/.zfunc/_throughline")]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub fn execute(&self) -> Result<u8, Failure> {
        let mut script = Vec::new();
        generate(self.shell, &mut Cli::command(), "throughline", &mut script);
        print(&String::from_utf8_lossy(&script))
    }
}
