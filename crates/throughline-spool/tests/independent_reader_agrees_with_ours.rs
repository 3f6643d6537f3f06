//! `read_spool.py` was written from `docs/spool-format.md` alone, without a look at this crate. On a real spool, of a living
//! process, a dead one and one that is archived, it has to show what ours does.

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{settings, span};
use throughline_spool::{Archive, Limits, Moment, OpenSpan, Place, Reader, Recorder, Root, Start, State};
use throughline_wire::SpanView;

/// Where the child finds its spool; set for it alone.
const CHILD: &str = "THROUGHLINE_TEST_CHILD_SPOOL";

fn record(root: &Path, first: u64, destinations: u8) -> OpenSpan {
    let root = Root::open(root).expect("it can be made");
    let recorder =
        Recorder::install(settings(Some(root), None, Limits::default(), destinations)).expect("the first one");
    (first..first + 300).for_each(|n| span(n, n as usize % 700));
    if let Some(mut consumer) = recorder.store().consumer(0) {
        let batch = consumer
            .next(100, usize::MAX)
            .expect("it can be read")
            .expect("there are spans");
        consumer.settle(batch, 0);
    }
    let start = Start {
        trace_id: [2; 16],
        span_id: (first + 1).to_be_bytes(),
        parent_span_id: [0; 8],
        flags: 1,
        kind: 1,
        start_unix_nano: 77,
        source: throughline_spool::scope(b"\x0a\x05scope", ""),
    };
    OpenSpan::start(&start, "still open").expect("tracing is on")
}

/// The processes that the test looks at; where it is not one of them, it has nothing to do.
#[test]
fn child() {
    if let Some(root) = std::env::var_os(CHILD) {
        let _open = record(root.as_ref(), 1_000 * u64::from(std::process::id()), 2);
        std::process::abort();
    }
}

fn run_child(root: &Path) {
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child"])
        .env(CHILD, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .expect("it starts");
    assert!(!child.success(), "it is killed");
}

fn ours(root: &Path) -> BTreeSet<String> {
    let contents = Reader::new(root).read();
    assert_eq!(contents.problems, Vec::<String>::new());
    let spans = contents.spans.iter().map(|span| {
        let view = SpanView::new(&span.body);
        let state = match span.state {
            State::Open => "open",
            State::Finished => "finished",
            State::Unfinished => "unfinished",
        };
        let place = match span.place {
            Place::Local => "local",
            Place::Pending => "pending",
            Place::Delivered => "delivered",
        };
        let ids = view.trace_id().zip(view.span_id()).expect("it has ids");
        format!("{} {} {} {state} {place}", ids.0, ids.1, view.name())
    });
    spans.collect()
}

/// `None`: there is no Python.
fn theirs(root: &Path) -> Option<BTreeSet<String>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_spool.py");
    let output = Command::new("python3").arg(script).arg(root).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
    let text = String::from_utf8(output.stdout).expect("JSON is text");
    let value = |line: &str, key: &str| {
        let start = line.find(&format!("\"{key}\": \"")).map(|at| at + key.len() + 5)?;
        let len = line[start..].find('"')?;
        Some(line[start..start + len].to_owned())
    };
    let spans = text.lines().filter_map(|line| {
        let [trace, id, name, state, place] =
            ["traceId", "spanId", "name", "state", "place"].map(|key| value(line, key).unwrap_or_default());
        (!trace.is_empty()).then(|| format!("{trace} {id} {name} {state} {place}"))
    });
    Some(spans.collect())
}

#[test]
fn independent_reader_agrees_with_ours() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("spool");
    run_child(&path);
    let root = Root::open(&path).expect("it is ours");
    let mut archive = Archive::new(&root, Limits::default());
    let done = archive.step(Moment::now(), 10).expect("it can be written");
    assert_eq!((done.processes, done.problems), (1, Vec::new()), "one is archived");
    run_child(&path);
    let open = record(&path, 7, 0);

    let ours = ours(&path);
    assert_eq!(ours.len(), 3 * 301);
    assert_eq!(
        ours.iter().filter(|span| span.ends_with("delivered")).count(),
        0,
        "the second destination got none"
    );
    match theirs(&path) {
        Some(theirs) => assert_eq!(
            theirs.symmetric_difference(&ours).collect::<Vec<_>>(),
            Vec::<&String>::new()
        ),
        None => {
            assert!(std::env::var_os("CI").is_none(), "CI has Python");
            // Not eprintln!, which the test harness keeps to itself when a test passes.
            let _ = std::io::stderr().write_all(b"skipped: independent_reader_agrees_with_ours (Python is missing)\n");
        }
    }
    drop(open);
}
