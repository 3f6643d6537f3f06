//! A process that forks while its other threads register instrumentation scopes: what they hold at that moment, nobody in
//! the child will ever give back.

#![cfg(unix)]

use std::collections::HashSet;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use throughline_spool::{Limits, OpenSpan, Reader, Recorder, Root, Start};

#[expect(dead_code, reason = "other test programs use the rest")]
mod common;

const FORKS: u64 = 40;
const THREADS: u64 = 3;
/// After so many a thread begins again with its first.
const SCOPES: u64 = 1_000;
const PATIENCE: Duration = Duration::from_secs(20);

fn register(thread: u64, stop: &AtomicBool) {
    for n in (0..SCOPES).cycle() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let _ = throughline_spool::scope(format!("scope {n} of thread {thread}").as_bytes(), "");
    }
}

/// Makes a span of a scope that is new.
fn trace(n: u64) {
    let start = Start {
        trace_id: [7; 16],
        span_id: (n + 1).to_be_bytes(),
        parent_span_id: [9; 8],
        flags: 1,
        kind: 1,
        start_unix_nano: 1_000,
        source: throughline_spool::scope(format!("scope of child {n}").as_bytes(), ""),
    };
    OpenSpan::start(&start, "in a child").expect("tracing is on").end(2_000);
}

/// The child's status; `None` when it had to be killed.
fn wait(child: i32) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    let mut status = 0;
    loop {
        // SAFETY: `status` lives until the call returns.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 if Instant::now() < deadline => thread::sleep(Duration::from_millis(1)),
            0 => break,
            waited => {
                assert_eq!(waited, child, "{}", std::io::Error::last_os_error());
                return Some(status);
            }
        }
    }
    // SAFETY: the child has not been waited for, so the number is still its own.
    unsafe {
        libc::kill(child, libc::SIGKILL);
        libc::waitpid(child, &raw mut status, 0);
    }
    None
}

#[test]
fn children_forked_while_scopes_are_registered_trace_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("spool");
    let root = Root::open(path.clone()).expect("it can be made");
    Recorder::install(common::settings(Some(root), None, Limits::default(), 0)).expect("the first one");

    let stop = AtomicBool::new(false);
    let stuck: Vec<u64> = thread::scope(|scope| {
        for thread in 0..THREADS {
            let stop = &stop;
            scope.spawn(move || register(thread, stop));
        }
        let forked = |n: &u64| {
            // SAFETY: the child does what a traced program does, and ends without returning from here.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let is_well = catch_unwind(|| trace(*n)).is_ok();
                // SAFETY: it takes any number, and does not return.
                unsafe { libc::_exit(i32::from(!is_well)) };
            }
            wait(child) != Some(0)
        };
        let stuck = (0..FORKS).filter(forked).collect();
        stop.store(true, Ordering::Relaxed);
        stuck
    });
    assert_eq!(stuck, [0; 0], "children that did not end well");

    let contents = Reader::new(&path).read();
    assert_eq!(contents.problems, [""; 0]);
    assert_eq!(contents.processes.len() as u64, FORKS + 1);
    let scopes: HashSet<_> = contents.spans.iter().map(|span| span.source.scope.to_vec()).collect();
    let expected = (0..FORKS).map(|n| format!("scope of child {n}").into_bytes()).collect();
    assert_eq!(scopes, expected, "each span has its scope");
}
