//! A command line as one trace: `cargo run -p throughline-process --example deploy`, then `throughline view last`.

use std::io;
use std::process::Command;

use throughline_process::{CommandExt, CommandLine};

fn main() -> io::Result<()> {
    let command = CommandLine::new("deploy", throughline::init("deploy")).ending_on_signals();
    command.run(|| {
        command.phase("pack", || {
            Command::new("tar").args(["-cf", "/dev/null", "."]).traced().status()
        })?;
        command.phase("upload", || Command::new("sleep").arg("0.1").traced().status())?;
        command.phase("activate", || Err(io::Error::other("the application is not there")))
    })
}
