//! What the tests of the command share.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub mod terminal;

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;
use throughline_testkit::{Finished, Program, Spool};

/// The command, in a clean environment with this spool.
pub fn throughline(spool: &Spool, arguments: &[&str]) -> Program {
    Program::at(env!("CARGO_BIN_EXE_throughline"), spool).args(arguments)
}

/// Runs it to its end.
pub fn run(spool: &Spool, arguments: &[&str]) -> Finished {
    throughline(spool, arguments).run().unwrap()
}

/// Runs it to its end, with this as its stdin.
pub fn run_with_stdin(spool: &Spool, arguments: &[&str], stdin: impl AsRef<[u8]>) -> Finished {
    let file = spool.home().join("stdin");
    fs::write(&file, stdin).unwrap();
    let redirected = Program::at("sh", spool)
        .args(["-c", "exec \"$0\" \"$@\" < stdin", env!("CARGO_BIN_EXE_throughline")])
        .args(arguments)
        .current_dir(spool.home());
    redirected.run().unwrap()
}

/// The spans of the newest trace, as `view last --json` prints them.
pub fn spans(spool: &Spool) -> Vec<Value> {
    let viewed = run(spool, &["view", "last", "--json"]).expect_success();
    let traces: Value = serde_json::from_str(&viewed.stdout).unwrap();
    let list = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
    let mut spans = Vec::new();
    for resource in list(&traces, "resourceSpans") {
        let service = attribute(&resource["resource"], "service.name").unwrap();
        for scope in list(&resource, "scopeSpans") {
            for mut span in list(&scope, "spans") {
                span["service"] = service.clone().into();
                spans.push(span);
            }
        }
    }
    spans
}

/// The only span of the newest trace.
pub fn only_span(spool: &Spool) -> Value {
    let mut spans = spans(spool);
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

/// Waits for what nothing tells of.
///
/// # Panics
///
/// When it has not come after 20 seconds.
pub fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// An attribute's value as text, arrays with spaces between.
pub fn attribute(owner: &Value, key: &str) -> Option<String> {
    let attributes = owner["attributes"].as_array()?;
    let value = &attributes.iter().find(|attribute| attribute["key"] == key)?["value"];
    Some(text(value))
}

fn text(value: &Value) -> String {
    let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "arrayValue" => value["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(text)
            .collect::<Vec<_>>()
            .join(" "),
        _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    }
}

/// The state of a process, as proc(5) calls it; a process that is gone counts as a zombie.
pub fn state(process: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.unwrap_or('Z')
}

/// The process that this one has started.
///
/// # Panics
///
/// When there is none, or several.
pub fn only_child(process: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap();
    let children: Vec<_> = children.split_whitespace().collect();
    assert_eq!(children.len(), 1, "children of {process}: {children:?}");
    children[0].parse().unwrap()
}
