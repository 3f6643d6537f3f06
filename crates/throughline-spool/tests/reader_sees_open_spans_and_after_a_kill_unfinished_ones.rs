//! What a reader sees of a process that writes, and of one that was killed in the middle of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use throughline_spool::{
    Contents, Life, Manifest, OpenSpan, Place, Reader, Recorder, Root, Settings, Start, State, StoredSpan,
};
use throughline_wire::{SpanView, StatusCode, Value, encode};

/// Where the child finds its spool; set for it alone.
const CHILD: &str = "THROUGHLINE_TEST_CHILD_SPOOL";

fn start(span: u64, name: &str, scope: &[u8]) -> OpenSpan {
    let start = Start {
        trace_id: [7; 16],
        span_id: span.to_be_bytes(),
        parent_span_id: if span == 1 { [0; 8] } else { 1_u64.to_be_bytes() },
        flags: 1,
        kind: 1,
        start_unix_nano: 1_000 + span,
        source: throughline_spool::scope(scope, ""),
    };
    OpenSpan::start(&start, name).expect("tracing is on")
}

fn set(span: &mut OpenSpan, key: &str, value: &Value<'_>) {
    let len = encode::attribute_len(key, value);
    assert!(span.append(len, |out| encode::write_attribute(out, key, value)));
}

fn install(root: &Path) -> &'static Recorder {
    let manifest = Manifest {
        service: "tested".into(),
        ..Manifest::default()
    };
    let root = Root::open(root).expect("it can be made");
    let settings = Settings {
        resource: b"a resource".as_slice().into(),
        schema_url: "https://example.com/schema".into(),
        ..Settings::new(Some(root), manifest)
    };
    Recorder::install(settings).expect("it is the first")
}

/// The process that the tests look at; where it is not that, it has nothing to do.
#[test]
fn child() {
    let Some(root) = std::env::var_os(CHILD) else { return };
    install(root.as_ref());
    let mut root = start(1, "root", b"first");
    set(&mut root, "kept", &Value::Str("so far"));
    for n in 2..1_000 {
        start(n, "done", b"second").end(5_000 + n);
    }
    let long = start(1_000, &"n".repeat(5_000), b"second");
    println!("\nready");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("standard input is there");
    drop((root, long));
}

fn name(span: &StoredSpan) -> &str {
    SpanView::new(&span.body).name()
}

fn of_state(contents: &Contents, state: State) -> Vec<&StoredSpan> {
    contents.spans.iter().filter(|span| span.state == state).collect()
}

#[test]
fn spans_are_open_while_their_process_lives_and_unfinished_after_its_death() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root = directory.path().join("spool");
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, &root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let is_ready = output.lines().map_while(Result::ok).any(|line| line == "ready");
    assert!(is_ready, "the child comes so far");

    let living = Reader::new(&root).read();
    assert_eq!(living.problems, Vec::<String>::new());
    let report = &living.processes[0];
    assert_eq!(
        (report.life, report.open, report.service.as_str()),
        (Life::Living, 2, "tested")
    );
    assert_eq!(report.owner.pid, child.id());
    assert_eq!(of_state(&living, State::Finished).len(), 998);
    let open = of_state(&living, State::Open);
    let span = open.iter().find(|span| name(span) == "root").expect("the root is open");
    let view = SpanView::new(&span.body);
    assert_eq!((view.end_time_unix_nano(), view.parent_span_id()), (0, None));
    assert_eq!(
        (&*span.source.scope, &*span.source.resource),
        (&b"first"[..], &b"a resource"[..])
    );
    assert_eq!(
        (&*span.source.schema_url, span.place),
        ("https://example.com/schema", Place::Local)
    );

    child.kill().expect("it lives");
    child.wait().expect("it was killed");
    let dead = Reader::new(&root).read();
    assert_eq!(dead.problems, Vec::<String>::new());
    assert_eq!(dead.processes[0].life, Life::Dead);
    assert_eq!(of_state(&dead, State::Finished).len(), 998);
    let unfinished = of_state(&dead, State::Unfinished);
    assert_eq!(unfinished.len(), 2);
    for span in unfinished {
        let view = SpanView::new(&span.body);
        assert_eq!(
            view.status(),
            (StatusCode::Error, "the process ended before this span did")
        );
        assert_eq!(
            view.end_time_unix_nano(),
            5_999,
            "when the process is known to have been alive"
        );
        let mark = view.attribute("throughline.unfinished");
        assert_eq!(mark.and_then(|mark| mark.as_bool()), Some(true));
        let kept = view.attribute("kept").is_some();
        assert_eq!(kept, view.name() == "root");
    }
    let only = Reader::new(&root).read_where(|span| name(span) == "root");
    assert_eq!((only.spans.len(), only.processes[0].open), (1, 2));
}
