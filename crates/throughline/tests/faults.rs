//! Whatever the backend, the disk or other processes do, every span is delivered, pending or counted as dropped, and the
//! program goes on.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use throughline_spool::Reader;
use throughline_testkit::otlp::collector::trace::v1::ExportTraceServiceRequest;
use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::prost::Message;
use throughline_testkit::{Answer, Finished, Program, Receiver, Request, Spool};

const PATIENCE: Duration = Duration::from_secs(20);

fn steps(spool: &Spool, receiver: &Receiver) -> Program {
    Program::example("program_steps", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
}

fn distinct(receiver: &Receiver) -> usize {
    let ids: HashSet<_> = receiver.spans().iter().map(|span| span.span_id()).collect();
    ids.len()
}

fn spans_in(request: &Request) -> usize {
    request.export().map_or(0, |export| count(&export))
}

fn has_number_9(request: &Request) -> bool {
    let export = request.export().unwrap_or_default();
    let scopes = export.resource_spans.iter().flat_map(|group| &group.scope_spans);
    let mut attributes = scopes.flat_map(|group| &group.spans).flat_map(|span| &span.attributes);
    let value = Some(Value::IntValue(9));
    attributes.any(|attribute| attribute.value.as_ref().is_some_and(|any| any.value == value))
}

fn count(export: &ExportTraceServiceRequest) -> usize {
    let scopes = export.resource_spans.iter().flat_map(|group| &group.scope_spans);
    scopes.map(|group| group.spans.len()).sum()
}

/// Number `name` in the last line that begins with `line`.
fn number(finished: &Finished, line: &str, name: &str) -> u64 {
    let line = finished.stdout.lines().rfind(|text| text.starts_with(line));
    let word = line.and_then(|line| {
        line.split([' ', ':'])
            .find_map(|word| word.strip_prefix(&format!("{name}=")))
    });
    let number = word.and_then(|word| word.parse().ok());
    number.unwrap_or_else(|| panic!("no {name} of {line:?}: {finished}"))
}

/// `started - live = delivered + pending + dropped`, and the report says the same as the account.
fn check_account(finished: &Finished) {
    let account = |name| number(finished, "account", name);
    assert_eq!(
        account("started") - account("live"),
        account("delivered") + account("pending") + account("dropped"),
        "{finished}"
    );
    for name in ["delivered", "pending", "dropped"] {
        assert_eq!(account(name), number(finished, "report", name), "{finished}");
    }
}

#[test]
fn each_answer_has_its_consequence_and_the_account_is_exact() {
    struct Case {
        what: &'static str,
        answer: fn(&Request) -> Answer,
        spans: u64,
        /// Of these; the others are delivered.
        dropped: u64,
        /// How often a span may be received, at most.
        times: usize,
        /// Lines on stderr.
        said: usize,
        /// How long it takes at least.
        lasts: Duration,
    }
    // Longer than what is waited of one's own accord after one failure, and after two: 3 s at most.
    const ASKED: Duration = Duration::from_secs(2);
    let cases = [
        Case {
            what: "all is well",
            answer: Answer::to,
            spans: 2000,
            dropped: 0,
            times: 1,
            said: 0,
            lasts: Duration::ZERO,
        },
        Case {
            what: "503 twice, with Retry-After",
            answer: |request| match request.number {
                1 | 2 => Answer::status(503).retry_after(ASKED),
                _ => Answer::to(request),
            },
            spans: 700,
            dropped: 0,
            times: 1,
            // Down, and well again.
            said: 2,
            lasts: 2 * ASKED,
        },
        Case {
            what: "connections are reset three times",
            answer: |request| match request.number {
                1..=3 => Answer::reset(),
                _ => Answer::to(request),
            },
            spans: 10,
            dropped: 0,
            times: 1,
            said: 2,
            lasts: Duration::ZERO,
        },
        Case {
            what: "the answer is lost after the spans were taken",
            answer: |request| match request.number {
                1 => Answer::reset().taken(),
                _ => Answer::to(request),
            },
            spans: 10,
            dropped: 0,
            // Nothing is lost; that some are there twice nobody can prevent.
            times: 2,
            said: 2,
            lasts: Duration::ZERO,
        },
        Case {
            what: "partial success",
            answer: |request| match has_number_9(request) {
                true => Answer::partial(1, "the last one is too old"),
                false => Answer::to(request),
            },
            spans: 10,
            dropped: 1,
            times: 1,
            said: 1,
            lasts: Duration::ZERO,
        },
        Case {
            what: "413 above a hundred spans",
            answer: |request| match spans_in(request) {
                101.. => Answer::status(413),
                _ => Answer::to(request),
            },
            spans: 512,
            dropped: 0,
            times: 1,
            said: 0,
            lasts: Duration::ZERO,
        },
        Case {
            what: "400",
            answer: |_| Answer::status(400).message("bad ids"),
            spans: 2000,
            dropped: 2000,
            times: 0,
            // That spans are refused, and where they are kept; not once a batch.
            said: 2,
            lasts: Duration::ZERO,
        },
    ];
    for case in cases {
        let what = case.what;
        let spool = Spool::new().expect("a private directory");
        let receiver = Receiver::with(case.answer).expect("loopback has a free port");
        let started = Instant::now();
        let finished = steps(&spool, &receiver)
            .args([&format!("spans={}", case.spans), "flush=20000", "account"])
            .run()
            .expect("it runs")
            .expect_success();
        assert!(started.elapsed() >= case.lasts, "{what}: after {:?}", started.elapsed());
        check_account(&finished);
        let report = ["delivered", "pending", "dropped"].map(|name| number(&finished, "report", name));
        let delivered = case.spans - case.dropped;
        assert_eq!(report, [delivered, 0, case.dropped], "{what}: {finished}");
        assert_eq!(distinct(&receiver) as u64, delivered, "{what}");
        assert!(receiver.spans().len() as u64 <= delivered * case.times as u64, "{what}");
        assert_eq!(finished.stderr.lines().count(), case.said, "{what}: {finished}");
        let kept: usize = rejected(&spool.path()).iter().map(count).sum();
        let refused = receiver.spans().is_empty();
        assert_eq!(kept as u64, if refused { case.spans } else { 0 }, "{what}");
    }
}

/// The payloads that are kept as refused for good, each with the reason beside it.
fn rejected(root: &Path) -> Vec<ExportTraceServiceRequest> {
    let Ok(entries) = fs::read_dir(root.join("rejected")) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let payloads = paths.filter(|path| path.extension().is_some_and(|extension| extension == "pb"));
    payloads
        .map(|path| {
            let reason = fs::read_to_string(path.with_extension("txt")).expect("the reason is kept too");
            assert!(reason.contains("400") && reason.contains("bad ids"), "{reason}");
            let bytes = fs::read(path).expect("it can be read");
            ExportTraceServiceRequest::decode(&*bytes).expect("it is a whole request")
        })
        .collect()
}

#[test]
fn what_a_receiver_that_was_down_missed_arrives_when_it_is_up() {
    let spool = Spool::new().expect("a private directory");
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    let up = spool.home().join("up");
    let running = steps(&spool, &receiver)
        .args(["spans=1000", "flush=100", "account", "say=down"])
        .arg(format!("until={}", up.display()))
        .args(["spans=10", "flush=20000", "account"])
        .spawn()
        .expect("it runs");
    running.wait_for_stdout("down").expect("it goes on without a receiver");
    assert!(
        running
            .stdout()
            .contains("account started=1000 live=0 delivered=0 pending=1000 dropped=0")
    );
    receiver.restart().expect("the port is still free");
    fs::write(up, "").expect("there is room");
    let finished = running.wait().expect("it ends").expect_success();
    check_account(&finished);
    assert_eq!(number(&finished, "report", "delivered"), 1010);
    assert_eq!((distinct(&receiver), receiver.spans().len()), (1010, 1010));
    assert_eq!(finished.stderr.lines().count(), 2, "down, and well again: {finished}");
}

#[test]
fn processes_that_share_a_spool_send_their_own_spans_once() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let start = spool.home().join("start");
    let program = |_| {
        let program = steps(&spool, &receiver).arg(format!("until={}", start.display()));
        let program = program.args(["spans=700", "flush=20000", "account"]);
        program.spawn().expect("it runs")
    };
    let running: Vec<_> = (0..4).map(program).collect();
    fs::write(&start, "").expect("there is room");
    for running in running {
        let finished = running.wait().expect("it ends").expect_success();
        check_account(&finished);
        assert_eq!(number(&finished, "report", "delivered"), 700, "{finished}");
    }
    assert_eq!((distinct(&receiver), receiver.spans().len()), (2800, 2800));
}

/// What the segments of the processes of a spool take, in bytes.
fn segment_bytes(spool: &Path) -> u64 {
    let processes = fs::read_dir(spool).expect("it is there").flatten();
    let files = processes
        .filter_map(|process| fs::read_dir(process.path()).ok())
        .flatten()
        .flatten();
    let segments = files.filter(|file| file.file_name().to_string_lossy().starts_with("segments-"));
    segments
        .filter_map(|file| file.metadata().ok())
        .map(|seen| seen.len())
        .sum()
}

#[test]
fn full_disk_keeps_spans_in_memory_says_so_and_files_are_used_again() {
    let spool = Spool::new().expect("a private directory");
    let at = spool.path();
    let Some(mount) = Mount::new(&at, "size=10m") else {
        return;
    };
    let filler = spool.path().join("filler");
    fs::write(&filler, vec![1; 9 << 20]).expect("there is room for nine MiB");
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    let room = spool.home().join("room");
    let running = steps(&spool, &receiver)
        .args(["large=4000", "flush=100", "account", "say=full"])
        .arg(format!("until={}", room.display()))
        .args(["large=100", "spans=400", "flush=100", "account"])
        .spawn()
        .expect("it runs");
    running.wait_for_stdout("full").expect("it goes on");
    let before = running.stdout();
    let bytes = segment_bytes(&at);
    fs::remove_file(&filler).expect("it is there");
    // The maintenance thread tries again a second later.
    while segment_bytes(&at) <= bytes {
        std::thread::sleep(Duration::from_millis(1));
    }
    fs::write(room, "").expect("there is room");
    let finished = running.wait().expect("it ends").expect_success();
    check_account(&finished);
    let account = |name| number(&finished, "account", name);
    assert_eq!(account("started"), 4500, "{finished}");
    let contents = Reader::new(spool.path()).read();
    assert_eq!(contents.problems, [""; 0]);
    // What came while the disk was full is in memory, and would have been delivered from there.
    assert_eq!((account("pending"), account("dropped")), (4500, 0), "{finished}");
    assert!(
        (contents.spans.len() as u64) < account("pending"),
        "4 MB do not fit into one: {finished}"
    );
    assert!(before.contains("started=4000 live=0"), "{before}");
    let said = finished
        .stderr
        .lines()
        .filter(|line| line.contains("the spool cannot grow: "));
    assert_eq!(said.count(), 1, "{finished}");
    let lost = finished
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("throughline: spans in memory only, which end with this process: "));
    let lost: u64 = lost
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("it says how many end with it: {finished}"));
    assert_eq!(lost + contents.spans.len() as u64, 4500, "{finished}");
    let small = contents.spans.iter().filter(|span| span.body.len() < 500).count();
    let large = contents.spans.len() - small;
    assert!(
        small + large > 900 && small > 300,
        "{large} and {small}; before: {before}; {finished}"
    );
    drop(mount);
}

#[test]
fn full_spool_says_what_it_drops_and_counts_it_exactly() {
    let spool = Spool::new().expect("a private directory");
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    let finished = steps(&spool, &receiver)
        .env("STEPS_SPOOL_BYTES", "1000000")
        .args(["large=4000", "flush=100", "account"])
        .run()
        .expect("it runs")
        .expect_success();
    let account = |name| number(&finished, "account", name);
    assert_eq!(account("pending") + account("dropped"), 4000, "{finished}");
    let said = finished
        .stderr
        .lines()
        .filter(|line| line.contains("the spool is full ("));
    assert_eq!(said.count(), 1, "{finished}");
    let contents = Reader::new(spool.path()).read();
    let dropped: u64 = contents.processes.iter().flat_map(|process| process.dropped).sum();
    assert!(dropped > 2500, "{dropped} of 4,000 kilobytes are dropped: {finished}");
    assert_eq!(contents.spans.len() as u64 + dropped, 4000, "{finished}");
}

#[test]
fn spool_that_cannot_be_written_is_said_once_and_spans_are_delivered_from_memory() {
    let spool = Spool::new().expect("a private directory");
    let at = spool.path();
    let Some(mount) = Mount::new(&at, "ro,size=1m") else {
        return;
    };
    let receiver = Receiver::start().expect("loopback has a free port");
    let finished = steps(&spool, &receiver)
        .args(["spans=100", "flush=20000", "account"])
        .run()
        .expect("it runs")
        .expect_success();
    check_account(&finished);
    assert_eq!(number(&finished, "report", "delivered"), 100);
    assert_eq!(receiver.wait_for(100, PATIENCE).expect("all arrive").len(), 100);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
    assert!(finished.stderr.contains("in memory"), "{finished}");
    drop(mount);
}

/// A file system in memory, for who may mount one.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn new(at: &'a Path, options: &str) -> Option<Self> {
        let options = format!("mode=0700,{options}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "none"])
            .arg(at)
            .output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(at));
        }
        use std::io::Write;
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(
            std::io::stderr(),
            "skipped: {test} (it needs the right to mount a file system)"
        );
        None
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
