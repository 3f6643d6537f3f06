//! The same with tokio: `cargo run -p throughline-process --features tokio --example tokio_command`.

#![allow(clippy::print_stdout, reason = "it says what the child was given")]

use throughline::{InSpanExt, span};
use throughline_process::CommandExt;
use tokio::process::Command;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let _tracing = throughline::init("build");
    let mut command = Command::new("sh");
    command.args(["-c", "echo $TRACEPARENT"]);
    let output = command.traced().output().in_span(span!("build")).await?;
    println!("{}", String::from_utf8_lossy(&output.stdout).trim());
    Ok(())
}
