//! A program runs in the environment it was given, is captured whole, and never outlives its test.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use throughline_testkit::{Program, Signal, Spool};

fn shell(spool: &Spool, script: &str) -> Program {
    Program::at("/bin/sh", spool).args(["-c", script])
}

#[test]
fn its_environment_is_what_the_test_says_and_nothing_else() {
    let spool = Spool::new().unwrap();
    let finished = Program::at("env", &spool)
        .env("OTEL_SERVICE_NAME", "orders")
        .run()
        .unwrap()
        .expect_success();
    let mut names: Vec<_> = finished
        .stdout
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    names.retain(|name| *name != "LLVM_PROFILE_FILE");
    names.sort_unstable();
    assert_eq!(names, ["HOME", "OTEL_SERVICE_NAME", "PATH", "XDG_STATE_HOME"]);
    assert!(
        finished
            .stdout
            .contains(&format!("XDG_STATE_HOME={}", spool.state_home().display()))
    );
    assert!(spool.path().starts_with(spool.state_home()));
}

#[test]
fn how_it_ended_and_what_it_said_is_told() {
    let spool = Spool::new().unwrap();
    let cases = [
        ("echo out; echo err >&2", Some(0), None),
        ("echo out; echo err >&2; exit 7", Some(7), None),
        ("echo out; echo err >&2; kill -TERM $$", None, Some(15)),
    ];
    for (script, code, signal) in cases {
        let finished = shell(&spool, script).run().unwrap();
        assert_eq!(
            (finished.code, finished.signal, finished.timed_out),
            (code, signal, false),
            "{script}"
        );
        assert_eq!(
            (finished.stdout.as_str(), finished.stderr.as_str()),
            ("out\n", "err\n"),
            "{script}"
        );
    }
}

#[test]
fn output_larger_than_a_pipe_is_captured_whole() {
    let spool = Spool::new().unwrap();
    let finished = shell(&spool, "head -c 1000000 /dev/zero")
        .run()
        .unwrap()
        .expect_success();
    assert_eq!(finished.stdout.len(), 1_000_000);
}

#[test]
fn its_time_is_up_for_it_and_for_what_it_started() {
    let spool = Spool::new().unwrap();
    let start = Instant::now();
    // The child keeps the pipes open after its parent is gone.
    let finished = shell(&spool, "sleep 60 & echo $!; exit 0")
        .timeout(Duration::from_secs(1))
        .run()
        .unwrap();
    assert!(start.elapsed() < Duration::from_secs(30));
    assert!(finished.timed_out);
    assert_eq!(finished.code, Some(0));
    gone(&finished.stdout);

    let finished = shell(&spool, "sleep 60")
        .timeout(Duration::from_millis(200))
        .run()
        .unwrap();
    assert_eq!((finished.timed_out, finished.signal), (true, Some(9)));
}

#[test]
fn kill9_kills_it_alone_and_waiting_the_rest() {
    let spool = Spool::new().unwrap();
    let running = shell(&spool, "sleep 60 >/dev/null 2>&1 & echo $!; wait")
        .spawn()
        .unwrap();
    running.wait_for_stdout("\n").unwrap();
    running.kill9().unwrap();
    let child = running.stdout();
    assert!(alive(&child));
    let finished = running.wait().unwrap();
    assert_eq!(
        (finished.code, finished.signal, finished.timed_out),
        (None, Some(9), false)
    );
    gone(&child);
}

#[test]
fn signal_reaches_it() {
    let spool = Spool::new().unwrap();
    let running = shell(
        &spool,
        "trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.01; done",
    )
    .spawn()
    .unwrap();
    running.wait_for_stdout("ready").unwrap();
    running.signal(Signal::TERM).unwrap();
    let finished = running.wait().unwrap();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(5), "ready\ncaught\n"));
}

#[test]
fn waiting_for_words_that_never_come_ends_with_those_that_did() {
    let spool = Spool::new().unwrap();
    let running = shell(&spool, "echo something else >&2").spawn().unwrap();
    let error = running.wait_for_stderr("ready").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert!(error.to_string().contains("something else"), "{error}");

    let running = shell(&spool, "sleep 60")
        .timeout(Duration::from_millis(50))
        .spawn()
        .unwrap();
    assert_eq!(
        running.wait_for_stdout("ready").unwrap_err().kind(),
        io::ErrorKind::TimedOut
    );
}

#[test]
fn dropping_it_kills_it() {
    let spool = Spool::new().unwrap();
    let running = shell(&spool, "exec sleep 60").spawn().unwrap();
    let id = running.id().to_string();
    assert!(alive(&id));
    drop(running);
    gone(&id);
}

#[test]
fn what_is_not_built_is_named_with_the_command_that_builds_it() {
    let spool = Spool::new().unwrap();
    let error = Program::example("no-such-example", &spool).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(
        error.to_string().contains("cargo build --example no-such-example"),
        "{error}"
    );
}

/// Whether a process with this id exists and is not just waiting to be reaped.
fn alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.trim()).join("stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

/// Waits until it does not, for a signal takes effect a moment after it was sent.
fn gone(id: &str) {
    let start = Instant::now();
    while alive(id) {
        assert!(start.elapsed() < Duration::from_secs(10), "process {id} lives on");
        std::thread::sleep(Duration::from_millis(1));
    }
}
