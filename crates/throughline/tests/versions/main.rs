//! Two versions of Throughline in one build, as happens when a library lags behind: they share the current context, so
//! their spans make one tree.
//!
//! The second version is this one under another number: `throughline` and what it stands on but for
//! `throughline-context`, of which Cargo picks one copy since it stays 1.x.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use throughline_testkit::{Program, Receiver, Spool};

const PROGRAM: &str = r#"
#[older::traced(crate = older)]
fn leaf() {}

fn main() {
    let new_tracing = newer::init("newer");
    let old_tracing = older::init("older");
    let outer = newer::span!("outer, newer").enter();
    {
        let _middle = older::span!("middle, older").enter();
        let _inner = newer::span!("inner, newer").enter();
        older::span!("leaf, older").in_scope(leaf);
        newer::current(|span| span.set("reached", true));
    }
    newer::span!("after, newer").end();
    outer.end();
    for report in [
        new_tracing.flush(std::time::Duration::from_secs(20)).wait().to_string(),
        old_tracing.flush(std::time::Duration::from_secs(20)).wait().to_string(),
    ] {
        eprintln!("{report}");
    }
}
"#;

#[test]
fn spans_of_two_versions_in_one_program_make_one_tree() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("this workspace");
    let build = Path::new(env!("CARGO_TARGET_TMPDIR")).join("two-versions");
    write_build(&workspace, &build).expect("the target directory can be written");
    let target = build.join("target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline"])
        .current_dir(&build)
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_INCREMENTAL", "0")
        .output()
        .expect("Cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));

    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    Program::at(target.join("debug/two-versions"), &spool)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    let spans = receiver.wait_for(6, Duration::from_secs(10)).expect("all come");
    assert_eq!(spans.len(), 6);
    for (child, parent) in [
        ("outer, newer", None),
        ("middle, older", Some("outer, newer")),
        ("inner, newer", Some("middle, older")),
        ("leaf, older", Some("inner, newer")),
        ("leaf", Some("leaf, older")),
        ("after, newer", Some("outer, newer")),
    ] {
        let find = |name: &str| spans.iter().find(|span| span.name == name).expect("the span came");
        let parent_id = parent.map_or(Vec::new(), |parent| find(parent).span_id.clone());
        assert_eq!(find(child).parent_span_id, parent_id, "{child}");
        assert_eq!(find(child).trace_id, spans[0].trace_id, "{child}");
        let expected = if child.ends_with("newer") { "newer" } else { "older" };
        let resource = format!("{:?}", find(child).resource);
        assert!(
            resource.contains(expected),
            "{child} is of the service of its version: {resource}"
        );
    }
}

/// A workspace with one program that depends on this `throughline` and on a copy with a later version.
fn write_build(workspace: &Path, build: &Path) -> io::Result<()> {
    for package in [
        "throughline",
        "throughline-macros",
        "throughline-spool",
        "throughline-wire",
    ] {
        copy(
            &workspace.join("crates").join(package),
            &build.join("crates").join(package),
        )?;
    }
    // Of the root's manifest the copies need what they inherit; their version is another.
    let root = fs::read_to_string(workspace.join("Cargo.toml"))?;
    let (_, inherited) = root.split_once("[workspace.package]").unwrap_or(("", ""));
    // It has a profile of its own.
    let (inherited, _profiles) = inherited.split_once("[profile.").unwrap_or((inherited, ""));
    let context = workspace.join("crates/throughline-context");
    let inherited = inherited
        .replacen("version = \"0.1.0\"", "version = \"0.2.0\"", 1)
        .replace("path = \"crates/throughline-context\"", &format!("path = {context:?}"));
    let inherited: String = inherited
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("throughline" | "throughline-macros" | "throughline-spool" | "throughline-wire", _)) => {
                line.replace("version = \"0.1.0\"", "version = \"0.2.0\"") + "\n"
            }
            _ => line.to_owned() + "\n",
        })
        .collect();
    let older = workspace.join("crates/throughline");
    let manifest = format!(
        r#"[package]
name = "two-versions"
version = "0.0.0"
edition = "2024"

[dependencies]
newer = {{ package = "throughline", path = "crates/throughline" }}
older = {{ package = "throughline", path = {older:?} }}

[workspace]
members = ["crates/*"]

[workspace.package]{inherited}"#
    );
    write_if_new(&build.join("Cargo.toml"), &manifest)?;
    write_if_new(&build.join("src/main.rs"), PROGRAM)?;
    // The same versions of everything else, so that nothing has to be fetched.
    fs::copy(workspace.join("Cargo.lock"), build.join("Cargo.lock"))?;
    Ok(())
}

/// Sources and manifest of a package, without its tests and what is only for them.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    copy_directory(&from.join("src"), &to.join("src"))?;
    let manifest = fs::read_to_string(from.join("Cargo.toml"))?;
    let mut kept = String::new();
    let mut is_kept = true;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_kept = !matches!(line, "[dev-dependencies]" | "[[example]]");
        }
        if is_kept {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    write_if_new(&to.join("Cargo.toml"), &kept)
}

fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let path: PathBuf = entry?.path();
        let target = to.join(path.file_name().unwrap_or_default());
        if path.is_dir() {
            copy_directory(&path, &target)?;
        } else {
            write_if_new(&target, &fs::read_to_string(&path)?)?;
        }
    }
    Ok(())
}

/// Leaves a file alone that is as it should be, so that Cargo need not build it again.
fn write_if_new(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|found| found == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text)
}
