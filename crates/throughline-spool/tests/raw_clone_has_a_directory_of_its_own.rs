//! A process that is cloned by the bare system call (as `_Fork` does it): no handler of `pthread_atfork` runs in the child.

#![cfg(target_os = "linux")]

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;

use throughline_spool::{Limits, OpenSpan, Reader, Recorder, Root, Start, State};
use throughline_wire::{SpanView, Value, encode};

#[expect(dead_code, reason = "other test programs use the rest")]
mod common;

/// Where the program finds its spool; set for it alone.
const PROGRAM: &str = "THROUGHLINE_TEST_PROGRAM_SPOOL";
const SPANS: u64 = 2_000;

fn start(id: u64, name: &str) -> OpenSpan {
    let start = Start {
        trace_id: [7; 16],
        span_id: id.to_be_bytes(),
        parent_span_id: [9; 8],
        flags: 1,
        kind: 1,
        start_unix_nano: 1_000 + id,
        source: throughline_spool::scope(b"a scope", ""),
    };
    OpenSpan::start(&start, name).expect("tracing is on")
}

fn set(span: &mut OpenSpan, key: &str, value: u64) {
    let value = Value::from(value as i64);
    let len = encode::attribute_len(key, &value);
    assert!(span.append(len, |out| encode::write_attribute(out, key, &value)));
}

/// Spans from this id on, each of which says its id twice.
fn work(first: u64, name: &str) {
    for id in first..first + SPANS {
        let mut span = start(id, name);
        set(&mut span, "id", id);
        span.end(5_000 + id);
    }
}

/// Runs `f` in a child, and `beside` meanwhile.
fn cloned(f: impl FnOnce(), beside: impl FnOnce()) {
    // SAFETY: the call takes no pointers that are not null; what the child may do is what it may do after `fork`, and no
    // other thread of this program holds a lock for long.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        let is_well = catch_unwind(AssertUnwindSafe(f)).is_ok();
        // SAFETY: it takes any number, and does not return.
        unsafe { libc::_exit(i32::from(!is_well)) };
    }
    assert!(child > 0, "{}", std::io::Error::last_os_error());
    // What it has captured is left to the child.
    std::mem::forget(f);
    beside();
    let mut status = 0;
    // SAFETY: `status` lives until the call returns.
    let waited = unsafe { libc::waitpid(child as i32, &raw mut status, 0) };
    assert_eq!((i64::from(waited), status), (child, 0), "the child ends well");
}

fn inherit(inherited: &mut OpenSpan) {
    let fields = inherited.fields().to_vec();
    set(inherited, "lost", 1);
    assert_eq!(inherited.fields(), fields, "it is the parent's");
}

/// The program that is cloned; where it is not that, it has nothing to do.
#[test]
fn program() {
    let Some(root) = std::env::var_os(PROGRAM) else { return };
    let root = Root::open(root).expect("it can be made");
    let spool = Recorder::install(common::settings(Some(root), None, Limits::default(), 0)).expect("the first one");
    work(10_000, "before");
    let mut inherited = start(1, "inherited");
    set(&mut inherited, "id", 1);
    let ended_in_child = start(2, "ended in the child");
    let child = || {
        inherit(&mut inherited);
        // It is the parent's, where it stays open.
        ended_in_child.end(9_000);
        assert!(throughline_spool::is_on());
        let fork_number = throughline_spool::fork_number();
        assert!(!std::ptr::eq(Recorder::current().expect("tracing is on"), spool));
        let mut childs = start(3, "inherited");
        set(&mut childs, "id", 3);
        // The grandchild first asks for a span; nothing has told it that it is one.
        let grandchild = || {
            work(40_000, "in the grandchild");
            assert_ne!(throughline_spool::fork_number(), fork_number);
            inherit(&mut childs);
        };
        cloned(grandchild, || work(30_000, "in the child"));
        childs.end(9_000);
    };
    cloned(child, || work(20_000, "in the parent"));
    set(&mut inherited, "kept", 1);
    inherited.end(9_000);
    // SAFETY: it takes any number, and does not return. One span is left open, as by a crash.
    unsafe { libc::_exit(0) };
}

#[test]
fn spans_of_parent_child_and_grandchild_are_not_mixed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("spool");
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "program", "--nocapture", "--test-threads=1"])
        .env(PROGRAM, &root)
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let contents = Reader::new(&root).read();
    assert_eq!(contents.problems, [""; 0]);
    assert_eq!(contents.processes.len(), 3, "a directory each");
    for process in &contents.processes {
        assert_eq!((process.torn, process.dropped.iter().sum::<u64>()), (0, 0));
    }
    let pids: HashSet<_> = contents.processes.iter().map(|process| process.owner.pid).collect();
    assert_eq!(pids.len(), 3);

    let mut seen = HashSet::new();
    let mut writers = HashSet::new();
    for span in &contents.spans {
        let view = SpanView::new(&span.body);
        let id = u64::from_be_bytes(view.span_id().expect("an id").to_bytes());
        assert!(seen.insert(id), "span {id} is there twice");
        let (writer, name) = match id {
            1 => ("parent", "inherited"),
            2 => ("parent", "ended in the child"),
            3 => ("child", "inherited"),
            10_000..20_000 => ("parent", "before"),
            20_000..30_000 => ("parent", "in the parent"),
            30_000..40_000 => ("child", "in the child"),
            _ => ("grandchild", "in the grandchild"),
        };
        writers.insert((writer, span.process));
        let state = if id == 2 { State::Unfinished } else { State::Finished };
        assert_eq!((view.name(), span.state), (name, state), "span {id}");
        assert!(view.attribute("lost").is_none());
        assert_eq!(view.attribute("kept").is_some(), id == 1);
        let said = view.attribute("id").and_then(|said| said.as_i64());
        assert_eq!(said, (id != 2).then_some(id as i64));
    }
    assert_eq!(seen.len() as u64, 3 + 4 * SPANS, "nothing is lost");
    assert_eq!(writers.len(), 3, "each process has its own spans: {writers:?}");
}
