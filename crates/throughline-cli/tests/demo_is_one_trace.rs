//! `throughline demo`, end to end: one trace through four programs, whole also when one of them is killed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::path::Path;
use std::time::Duration;

use common::{attribute, run, spans, throughline, wait_until};
use serde_json::Value;
use throughline_testkit::{Answer, Program, Receiver, Signal, Spool};

/// A directory with some files.
fn packed(spool: &Spool) -> std::path::PathBuf {
    let directory = spool.home().join("packed");
    for (name, content) in [
        ("a.txt", "a".repeat(10_000)),
        ("b/c.txt", String::new()),
        ("b/d e.txt", "d".into()),
    ] {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    directory
}

fn demo(spool: &Spool, options: &[&str]) -> Program {
    let temporary = spool.home().join("tmp");
    fs::create_dir_all(&temporary).unwrap();
    let directory = packed(spool);
    throughline(spool, &["demo", directory.to_str().unwrap()])
        .args(options)
        .env("TMPDIR", temporary)
}

/// Each span as `service name < parent's name`, with `?` for an unfinished one, sorted.
fn outline(spans: &[Value]) -> Vec<String> {
    let name = |span: &Value| {
        format!(
            "{} {}",
            span["service"].as_str().unwrap(),
            span["name"].as_str().unwrap()
        )
    };
    let line = |span: &Value| {
        let parent = spans.iter().find(|other| other["spanId"] == span["parentSpanId"]);
        let mark = if attribute(span, "throughline.unfinished").is_some() {
            "?"
        } else {
            ""
        };
        format!("{mark}{} < {}", name(span), parent.map_or("-".to_owned(), name))
    };
    let mut lines: Vec<_> = spans.iter().map(line).collect();
    lines.sort();
    lines
}

const WHOLE: [&str; 15] = [
    "demo GET /jobs/{id}/result < demo demo",
    "demo POST /jobs < demo demo",
    "demo check < demo demo",
    "demo demo < -",
    "demo pack < demo demo",
    "demo-compress compress < demo-worker run demo-compress",
    "demo-compress gzip < demo-compress compress",
    "demo-compress unpack < demo-compress compress",
    "demo-server GET /jobs/{id}/result < demo GET /jobs/{id}/result",
    "demo-server POST /jobs < demo POST /jobs",
    "demo-server PUT /jobs/{id}/result < demo-worker PUT /jobs/{id}/result",
    "demo-server send jobs < demo-server POST /jobs",
    "demo-worker PUT /jobs/{id}/result < demo-worker process jobs",
    "demo-worker process jobs < demo-server send jobs",
    "demo-worker run demo-compress < demo-worker process jobs",
];

#[test]
fn demo_is_one_trace_through_all_processes() {
    let spool = Spool::new().unwrap();
    let finished = demo(&spool, &[]).run().unwrap().expect_success();
    assert_eq!(outline(&spans(&spool)), WHOLE);
    let said = &finished.stdout;
    assert!(said.starts_with("Packed 3 files (9.8 KiB)"), "{said}");
    assert!(
        said.contains("15 spans began and ended; the spool has 15: nothing is missing."),
        "{said}"
    );
    assert_eq!(finished.stderr, "");
    assert_eq!(entries(&spool.home().join("tmp")), 0);
}

#[test]
fn hint_of_the_demo_works_in_the_same_shell() {
    let [spool, other] = [Spool::new().unwrap(), Spool::new().unwrap()];
    let directory = packed(&spool);
    let bin = Path::new(env!("CARGO_BIN_EXE_throughline")).parent().unwrap();
    fs::create_dir_all(spool.home().join("a spool's place")).unwrap();
    for (command, option, at) in [
        ("./throughline", "", bin),
        ("throughline", "--spool 'a spool'\\''s place/spool'", &spool.home()),
    ] {
        let shell = |script: &str| {
            let script = format!("PATH=$PATH:{}; {script}", bin.display());
            let program = Program::at("sh", &other).args(["-c", &script]).current_dir(at);
            program.run().unwrap().expect_success().stdout
        };
        let said = shell(&format!("{command} demo '{}' {option}", directory.display()));
        let hint = said.lines().last().unwrap().strip_prefix("See it again: ").unwrap();
        assert!(hint.starts_with(command), "{hint}");
        assert!(shell(hint).contains("process jobs"), "{hint}");
    }
}

#[test]
fn demo_misses_no_span_when_the_worker_is_killed() {
    let spool = Spool::new().unwrap();
    let said = demo(&spool, &["--kill"]).run().unwrap().expect_success().stdout;
    assert!(said.contains("was killed by SIGKILL"), "{said}");
    assert!(said.contains("19 spans began, 17 ended; the spool has 17 finished and 2 unfinished: nothing is missing."));
    let spans = spans(&spool);
    let mut expected = WHOLE.to_vec();
    expected.extend([
        "?demo-worker process jobs < demo-server send jobs",
        "?demo-worker run demo-compress < demo-worker process jobs",
        "demo-compress compress < demo-worker run demo-compress",
        "demo-compress unpack < demo-compress compress",
    ]);
    expected.sort_unstable();
    assert_eq!(outline(&spans), expected);
    let attempts = spans.iter().filter_map(|span| attribute(span, "job.attempt"));
    let mut attempts: Vec<_> = attempts.collect();
    attempts.sort();
    assert_eq!(attempts, ["1", "2"]);
}

#[test]
fn backend_gets_the_same_trace() {
    let receiver = Receiver::start().unwrap();
    let spool = Spool::new().unwrap();
    let program = demo(&spool, &[]).env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    let said = program.run().unwrap().expect_success().stdout;
    assert!(said.contains("The backend has 15 spans."), "{said}");
    let received = receiver.wait_for(15, Duration::from_secs(5)).unwrap();
    let mut received: Vec<_> = received.iter().map(|span| span.span_id()).collect();
    let mut here: Vec<_> = spans(&spool)
        .iter()
        .map(|span| span["spanId"].as_str().unwrap().to_owned())
        .collect();
    received.sort();
    here.sort();
    assert_eq!(received, here);
}

#[test]
fn backend_gets_each_span_of_a_killed_worker_once() {
    let receiver = Receiver::start().unwrap();
    let spool = Spool::new().unwrap();
    let program = demo(&spool, &["--kill"]).env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    program.run().unwrap().expect_success();
    // The worker that came after may have delivered for the killed one, or have been too short for that.
    run(&spool, &["recover", "--to", &receiver.endpoint()]).expect_success();
    let mut received: Vec<_> = receiver.spans().iter().map(|span| span.span_id()).collect();
    let mut here: Vec<_> = spans(&spool)
        .iter()
        .map(|span| span["spanId"].as_str().unwrap().to_owned())
        .collect();
    received.sort();
    here.sort();
    assert_eq!(received, here);
    assert_eq!(received.len(), 19);
}

#[test]
fn backend_that_takes_nothing_is_reported_truthfully() {
    let receiver = Receiver::with(|_| Answer::status(503)).unwrap();
    let spool = Spool::new().unwrap();
    let program = demo(&spool, &[]).env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    let said = program.run().unwrap().expect_success().stdout;
    assert!(
        said.contains("The backend has 0 spans; 15 wait in the spool for the next start"),
        "{said}"
    );
    assert!(said.contains("the spool has 15: nothing is missing."), "{said}");
}

#[test]
fn job_is_done_without_tracing_too() {
    for (variable, value) in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_SAMPLER", "always_off")] {
        let spool = Spool::new().unwrap();
        let finished = demo(&spool, &["--kill"])
            .env(variable, value)
            .run()
            .unwrap()
            .expect_success();
        assert!(finished.stdout.contains("every file is the same"), "{finished}");
        assert!(finished.stderr.contains(variable), "{finished}");
    }
}

#[test]
fn unusable_spool_is_reported_truthfully() {
    let spool = Spool::new().unwrap();
    let file = spool.home().join("file");
    fs::write(&file, "").unwrap();
    let finished = demo(&spool, &["--spool", file.to_str().unwrap()]).run().unwrap();
    assert_eq!(finished.code, Some(1), "{finished}");
    assert!(finished.stdout.contains("every file is the same"), "{finished}");
    assert!(
        finished
            .stdout
            .ends_with("15 spans began and ended; the spool has 0: something is missing.\n"),
        "{finished}"
    );
}

#[test]
fn processes_of_the_demo_end_with_the_first() {
    let spool = Spool::new().unwrap();
    // The queue's directory is the part's own argument, so its processes can be told from those of other tests.
    let running = demo(&spool, &["--kill", "--keep"]).spawn().unwrap();
    let temporary = spool.home().join("tmp");
    wait_until("a process of the demo", || living(&temporary) > 0);
    running.kill9().unwrap();
    wait_until("the end of them all", || living(&temporary) == 0);
}

#[test]
fn interrupted_demo_leaves_no_files() {
    let spool = Spool::new().unwrap();
    let running = demo(&spool, &["--kill"]).spawn().unwrap();
    let temporary = spool.home().join("tmp");
    wait_until("a process of the demo", || living(&temporary) > 0);
    running.signal(Signal::TERM).unwrap();
    assert_eq!(running.wait().unwrap().signal, Some(15));
    wait_until("the end of them all", || living(&temporary) == 0);
    assert_eq!(entries(&temporary), 0);
}

/// How many processes name something below that directory in their arguments, the demo's first one apart.
fn living(directory: &Path) -> usize {
    let of_directory = |process: &fs::DirEntry| {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(directory.to_str().unwrap())
    };
    fs::read_dir("/proc").unwrap().flatten().filter(of_directory).count()
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).unwrap().count()
}
