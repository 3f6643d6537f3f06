//! A deploy that writes a record, and a controller that brings about what the record says: later, in another process, linked to the deploy.
//!
//!     cargo run -p throughline-jobs --features serde --example controller -- deploy shop.json v7
//!     cargo run -p throughline-jobs --features serde --example controller -- reconcile shop.json

use std::error::Error;
use std::fs;

use serde::{Deserialize, Serialize};
use throughline::span;
use throughline_jobs::{JobContext, reconcile};

#[derive(Serialize, Deserialize)]
struct App {
    id: String,
    active_version: String,
    #[serde(default)]
    trace: JobContext,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["deploy", path, version] => deploy(path, version),
        ["reconcile", path] => control(path),
        _ => Err("deploy FILE VERSION, or reconcile FILE".into()),
    }
}

fn deploy(path: &str, version: &str) -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("cli");
    let _deploy = span!("deploy", app.version = version).enter();
    let app = App {
        id: "shop".to_owned(),
        active_version: version.to_owned(),
        trace: JobContext::current(),
    };
    Ok(fs::write(path, serde_json::to_string(&app)?)?)
}

fn control(path: &str) -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("controller");
    let app: App = serde_json::from_str(&fs::read_to_string(path)?)?;
    let mut operation = reconcile("reconcile app", &app.trace);
    operation.span().set("app.id", &app.id);
    operation.span().set("app.version", &app.active_version);
    operation.run(|| match &*app.active_version {
        "" => Err("no version is active".into()),
        _ => {
            span!("start sandbox").end();
            Ok(())
        }
    })
}
