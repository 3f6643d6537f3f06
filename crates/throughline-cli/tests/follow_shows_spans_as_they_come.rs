//! `throughline follow`, beside programs that come and go.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use common::{run, throughline};
use serde_json::Value;
use throughline_testkit::{Running, Signal, Spool};

fn follow(spool: &Spool, options: &[&str]) -> Running {
    throughline(spool, &[&["follow"], options].concat()).spawn().unwrap()
}

fn job(spool: &Spool, name: &str, script: &str) {
    run(spool, &["run", "--name", name, "--", "sh", "-c", script]);
}

/// Names of spans in lines of JSON.
fn names(stdout: &str) -> Vec<String> {
    let list = |value: &Value, name: &str| value[name].as_array().unwrap().clone();
    let lines = stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let parts = lines.flat_map(|line: Value| list(&line, "resourceSpans"));
    let scopes = parts.flat_map(|part| list(&part, "scopeSpans"));
    let spans = scopes.flat_map(|scope| list(&scope, "spans"));
    spans.map(|span| span["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn spans_are_shown_once_whatever_becomes_of_their_process() {
    let spool = Spool::new().unwrap();
    job(&spool, "before", "true");
    let [text, json] = [follow(&spool, &["--utc"]), follow(&spool, &["--json"])];
    // Once this is shown, all that comes is new to both.
    for follower in [&text, &json] {
        let mut number = 0;
        while !follower.stdout().contains("probe") {
            number += 1;
            assert!(number < 200);
            job(&spool, "probe", "true");
        }
    }
    let jobs: Vec<_> = (0..10).map(|n| format!("job-{n}-")).collect();
    // Each process archives what the one before has left.
    jobs.iter().for_each(|name| job(&spool, name, "exit 3"));
    job(&spool, "last", "true");
    for follower in [text, json] {
        follower.wait_for_stdout("last").unwrap();
        follower.signal(Signal::INT).unwrap();
        let finished = follower.wait().unwrap().expect_success();
        assert_eq!(finished.stderr, "");
        assert!(!finished.stdout.contains("before"), "{finished}");
        for name in &jobs {
            assert_eq!(finished.stdout.matches(name.as_str()).count(), 1, "{name}: {finished}");
        }
        match finished.stdout.starts_with('{') {
            true => assert!(names(&finished.stdout).contains(&jobs[0])),
            false => assert!(finished.stdout.contains("  job-9-: exit code 3\n"), "{finished}"),
        }
    }
}

#[test]
fn open_span_is_shown_before_it_ends_and_when_its_process_is_killed() {
    let spool = Spool::new().unwrap();
    // The spool is not there yet.
    let follower = follow(&spool, &["--name", "long*"]);
    let long = throughline(&spool, &["run", "--name", "long", "--", "sleep", "60"])
        .spawn()
        .unwrap();
    follower.wait_for_stdout("open  long\n").unwrap();
    long.kill9().unwrap();
    follower
        .wait_for_stdout("the process ended before this span did")
        .unwrap();
    // Whoever comes next archives it.
    job(&spool, "other", "true");
    job(&spool, "long, too", "true");
    follower.wait_for_stdout("long, too").unwrap();
    follower.signal(Signal::TERM).unwrap();
    let finished = follower.wait().unwrap().expect_success();
    let marks: String = finished.stdout.lines().map(|line| &line[..1]).collect();
    assert_eq!(marks, ">? ", "{finished}");
}

#[test]
fn since_shows_what_is_there_already() {
    let spool = Spool::new().unwrap();
    job(&spool, "before", "true");
    let follower = follow(&spool, &["--since", "1h"]);
    follower.wait_for_stdout("before").unwrap();
    follower.signal(Signal::INT).unwrap();
    follower.wait().unwrap().expect_success();
}

#[test]
fn backlog_of_several_processes_is_shown_in_order_of_time() {
    let spool = Spool::new().unwrap();
    let command = env!("CARGO_BIN_EXE_throughline");
    // Each begins before the one that it runs, and ends after it.
    let script = format!("{command} run --name middle -- sh -c '{command} run --name inner true'");
    job(&spool, "outer", &script);
    for options in [&["--since", "1h"][..], &["--since", "1h", "--json"]] {
        let follower = follow(&spool, options);
        follower.wait_for_stdout("outer").unwrap();
        follower.signal(Signal::INT).unwrap();
        let shown = follower.wait().unwrap().expect_success().stdout;
        let place = |name: &str| shown.find(name).unwrap();
        assert!(place("inner") < place("middle"), "{shown}");
        assert!(place("middle") < place("outer"), "{shown}");
    }
}

#[test]
fn follow_ends_when_its_reader_leaves() {
    let spool = Spool::new().unwrap();
    job(&spool, "before", "true");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut follower = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["follow", "--since", "1h"])
        .env("XDG_STATE_HOME", spool.state_home())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.contains("before"), "{line}");
    drop(reader);
    // Nothing is written meanwhile.
    assert_eq!(follower.wait().unwrap().code(), Some(0));
}
