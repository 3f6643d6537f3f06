//! A child that sends its own spans: `cargo run -p throughline-process --example daemon`.
//!
//! It is told the endpoint of this process, the protocol to speak there and its name, and neither metrics nor secrets.

use std::process::Command;

use throughline::span;
use throughline_process::{ChildEnvironment, CommandExt};

fn main() -> std::io::Result<()> {
    let _tracing = throughline::builder("server").endpoint("http://localhost:4318").init();
    let _request = span!("build image").enter();
    let environment = ChildEnvironment::new().service_name("buildkitd");
    Command::new("env").traced().environment(environment).status().map(drop)
}
