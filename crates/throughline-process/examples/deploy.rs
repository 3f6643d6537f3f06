//! A command line as one trace: `cargo run -p throughline-process --example deploy`, then `throughline view last`.

use std::io;
use std::process::Command;

use throughline_process::{CommandExt, CommandLine};

fn main() -> io::Result<()> {
    let command = CommandLine::new("deploy", throughline::init("deploy")).ending_on_signals();
    command.run(|| {
        command.phase("pack", || call(Command::new("tar").args(["-cf", "/dev/null", "."])))?;
        command.phase("upload", || call(Command::new("sleep").arg("0.1")))?;
        command.phase("activate", || Err(io::Error::other("the application is not there")))
    })
}

/// An exit code other than 0 is an error of the phase.
fn call(command: &mut Command) -> io::Result<()> {
    match command.traced().status()? {
        status if status.success() => Ok(()),
        status => Err(io::Error::other(status.to_string())),
    }
}
