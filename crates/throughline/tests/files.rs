//! Files of spans are whole, whoever writes them at the same time, and whatever happens meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use throughline::{Destination, find_trace_files, span};
use throughline_testkit::otlp::collector::trace::v1::ExportTraceServiceRequest;
use throughline_testkit::prost::Message;
use throughline_testkit::{Program, Receiver, Spool, say_skipped};
use throughline_wire::json;

fn program(spool: &Spool, directory: &Path) -> Program {
    Program::example("program_files", spool)
        .expect("Cargo builds the examples of this package")
        .arg(directory)
}

/// The ids of the spans in all whole lines of a directory, each of which has to be right.
fn ids(directory: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut ids = Vec::new();
    let Ok(entries) = fs::read_dir(directory) else {
        return ids;
    };
    for entry in entries {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            ids.extend(self::ids(&path));
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let value: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
            assert!(value["resourceSpans"].is_array(), "{line}");
            let body = json::read_request(line.as_bytes()).expect("each line is OTLP/JSON");
            let request = ExportTraceServiceRequest::decode(&*body).expect("and so protobuf");
            let scopes = request.resource_spans.into_iter().flat_map(|part| part.scope_spans);
            let spans = scopes.flat_map(|scope| scope.spans);
            ids.extend(spans.map(|span| (span.trace_id, span.span_id)));
        }
    }
    ids
}

#[test]
fn several_processes_append_to_the_same_files() {
    const EACH: usize = 5000;
    let spool = Spool::new().expect("a private directory");
    let home = tempfile::tempdir().expect("a temporary directory");
    let directory = home.path().join("traces");
    let running = || {
        let program = program(&spool, &directory).args([format!("spans={EACH}"), "flush".to_owned()]);
        program.spawn().expect("it runs")
    };
    let writers = [running(), running(), running()];
    let mut seen = 0;
    while seen < 3 * EACH && writers.iter().any(|writer| !writer.stdout().contains("delivered")) {
        let now = ids(&directory).len();
        assert!(now >= seen, "what was there has gone: {now} after {seen}");
        seen = now;
    }
    for writer in writers {
        let finished = writer.wait().expect("it ends").expect_success();
        assert_eq!(finished.stdout, format!("delivered {EACH} pending 0\n"));
    }
    let all = ids(&directory);
    assert_eq!(all.len(), 3 * EACH);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 3 * EACH);
    let found = find_trace_files(&directory, "0000000000000000000000000000001").expect("it can be read");
    let expected: Vec<_> = (0x10..=0x14).map(|trace| format!("{trace:032x}")).collect();
    let traces: BTreeSet<_> = found.iter().map(|file| file.trace_id.to_string()).collect();
    assert_eq!(traces.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn files_are_complete_beside_a_backend_that_is_down() {
    let spool = Spool::new().expect("a private directory");
    let directory = spool.path().with_extension("traces");
    let mut down = Receiver::start().expect("loopback has a free port");
    down.stop();
    let tracing = throughline::builder("files")
        .spool_dir(spool.path())
        .destination(Destination::files(&directory))
        .destination(Destination::otlp(down.endpoint()))
        .init();
    (0..2000).for_each(|n| span!("work", n).end());
    let report = tracing.flush(Duration::from_secs(2)).wait();
    let each: Vec<_> = report
        .destinations()
        .map(|to| (to.delivered(), to.pending(), to.dropped(), to.is_complete()))
        .collect();
    assert_eq!(each, [(2000, 0, 0, true), (0, 2000, 0, false)], "{report}");
    assert_eq!((report.started(), report.live()), (2000, 0));
    let names: Vec<_> = report.destinations().map(|to| to.name().to_owned()).collect();
    assert_eq!(names[0], format!("files {}", directory.display()));
    assert_eq!(ids(&directory).into_iter().collect::<BTreeSet<_>>().len(), 2000);
    fs::remove_dir_all(directory).expect("it is there");
}

#[test]
fn full_disk_keeps_spans_pending_until_there_is_room() {
    let spool = Spool::new().expect("a private directory");
    let home = tempfile::tempdir().expect("a temporary directory");
    let unshare = ["--user", "--map-root-user", "--mount"];
    let mount = format!("mount -t tmpfs -o size=256k throughline {}", home.path().display());
    let can_mount = Command::new("unshare")
        .args(unshare)
        .args(["sh", "-c", &mount])
        .output();
    if !can_mount.is_ok_and(|tried| tried.status.success()) {
        return say_skipped("full disk", "no file system can be mounted here");
    }
    let built = std::env::current_exe().expect("a test has a file");
    let built = built
        .ancestors()
        .nth(2)
        .expect("Cargo's directory")
        .join("examples/program_files");
    let filler = home.path().join("filler");
    let steps = ["fill", "remove"].map(|verb| format!("{verb}={}", filler.display()));
    let script = format!("{mount} && exec \"$@\"");
    let finished = Program::at("unshare", &spool)
        .args(unshare)
        .args(["sh", "-c", &script, "sh"])
        .arg(built)
        .arg(home.path().join("traces"))
        .args([
            "spans=1",
            "flush",
            &steps[0],
            "spans=100",
            "flush=500",
            &steps[1],
            "flush",
        ])
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!(
        finished.stdout,
        "delivered 1 pending 0\ndelivered 1 pending 100\ndelivered 101 pending 0\n"
    );
    assert_eq!(
        finished.stderr.matches("No space left on device").count(),
        1,
        "{}",
        finished.stderr
    );
}
