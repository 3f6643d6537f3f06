//! A child process that has a span and continues the trace: `cargo run -p throughline-process --example std_command`.

#![allow(clippy::print_stdout, reason = "it says what the child was given")]

use std::process::Command;

use throughline::span;
use throughline_process::CommandExt;

fn main() -> std::io::Result<()> {
    let _tracing = throughline::init("build");
    let _build = span!("build").enter();
    let output = Command::new("sh").args(["-c", "echo $TRACEPARENT"]).traced().output()?;
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}
