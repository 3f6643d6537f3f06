//! However a program ends, all its spans are in the spool, its exit code and signal are its own, and the next start sends
//! what this one could not. Its end is held up by no collector.

use std::fs;
use std::time::{Duration, Instant};

use throughline_spool::{Reader, State};
use throughline_testkit::otlp::trace::v1::Span;
use throughline_testkit::prost::Message;
use throughline_testkit::{Answer, Finished, Program, Receiver, Signal, Spool, say_skipped};

const PATIENCE: Duration = Duration::from_secs(20);

fn steps(spool: &Spool, receiver: &Receiver) -> Program {
    Program::example("program_steps", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
}

fn down() -> Receiver {
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    receiver
}

fn in_spool(spool: &Spool) -> Vec<(State, Span)> {
    let contents = Reader::new(spool.path()).read();
    assert_eq!(contents.problems, [""; 0]);
    let decode = |span: &throughline_spool::StoredSpan| (span.state, Span::decode(&*span.body).expect("an OTLP span"));
    contents.spans.iter().map(decode).collect()
}

#[test]
fn however_it_ends_all_is_in_the_spool_and_arrives_with_the_next_start() {
    // How it ends; its exit code; its signal; whether the open span is ended by Rust's own unwinding.
    for (step, signal, code, died_of, is_ended) in [
        ("say=return", None, Some(0), None, true),
        ("panic", None, Some(101), None, true),
        ("exit=7", None, Some(7), None, false),
        ("abort", None, None, Some(6), false),
        ("park", Some(Signal::TERM), None, Some(15), false),
        ("park", Some(Signal::INT), None, Some(2), false),
        ("park", Some(Signal::KILL), None, Some(9), false),
    ] {
        let what = format!("{step} {signal:?}");
        if signal == Some(Signal::INT) && ignores(Signal::INT) {
            say_skipped(&what, "whoever runs the tests ignores it, and so do their children");
            continue;
        }
        let spool = Spool::new().expect("a private directory");
        let mut receiver = down();
        let program = steps(&spool, &receiver).args(["spans=3", "open", "say=ready", step]);
        let running = program.spawn().expect("it runs");
        if let Some(signal) = signal {
            running.wait_for_stdout("ready").expect("it comes so far");
            running.signal(signal).expect("it can be signalled");
        }
        let Finished {
            code: exit,
            signal,
            timed_out,
            ..
        } = running.wait().expect("it ends");
        assert_eq!((exit, signal, timed_out), (code, died_of, false), "{what}");

        let spans = in_spool(&spool);
        let open: Vec<_> = spans.iter().filter(|(_, span)| span.name == "open").collect();
        let expected = if is_ended { State::Finished } else { State::Unfinished };
        assert_eq!(
            open.iter().map(|(state, _)| *state).collect::<Vec<_>>(),
            [expected],
            "{what}"
        );
        assert_eq!(spans.len(), 4, "{what}");

        receiver.restart().expect("the port is still free");
        let _next = steps(&spool, &receiver).arg("park").spawn().expect("it runs");
        let received = receiver
            .wait_for(4, PATIENCE)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let mut ids: Vec<_> = received.iter().map(|span| span.span.span_id.clone()).collect();
        let mut expected: Vec<_> = spans.into_iter().map(|(_, span)| span.span_id).collect();
        ids.sort();
        expected.sort();
        assert_eq!(ids, expected, "{what}");
    }
}

/// Whether this process ignores a signal, as those do that a shell without job control runs in the background.
fn ignores(signal: Signal) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw() - 1) & 1 == 1)
}

#[test]
fn collector_that_refuses_is_said_once_and_the_report_is_exact() {
    let receiver = down();
    let said = format!(
        "throughline: cannot deliver to {}/v1/traces: connection refused: nothing listens on this port; spans are kept in \
         the local spool\n",
        receiver.endpoint()
    );
    for flushes in [true, false] {
        let spool = Spool::new().expect("a private directory");
        let flush = ["flush=1000", "account"].into_iter().filter(|_| flushes);
        let program = steps(&spool, &receiver).arg("spans=3").args(flush);
        let finished = program.run().expect("it runs").expect_success();
        assert_eq!(finished.stderr, said);
        for line in [
            "report delivered=0 pending=3 dropped=0 complete=false",
            "account started=3 live=0 delivered=0 pending=3 dropped=0",
        ] {
            assert_eq!(finished.stdout.contains(line), flushes, "{finished}");
        }
        assert_eq!(in_spool(&spool).len(), 3);
    }
}

#[test]
fn collector_that_never_answers_lets_go_long_before_its_timeout() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::with(|_| Answer::hang()).expect("loopback has a free port");
    let began = Instant::now();
    let finished = steps(&spool, &receiver)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", "30000")
        .args(["spans=3", "flush=300"])
        .run()
        .expect("it runs")
        .expect_success();
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(5),
        "300 ms to flush and 200 ms to leave took {took:?}"
    );
    assert!(
        finished
            .stdout
            .contains("report delivered=0 pending=3 dropped=0 complete=false"),
        "{finished}"
    );
    assert_eq!(in_spool(&spool).len(), 3);
}

#[test]
fn guard_dropped_at_once_twice_or_made_twice_loses_nothing() {
    for (how, arguments, notices) in [
        ("let _ = init()", &["forget", "spans=3"][..], 0),
        ("dropped early", &["spans=2", "forget", "spans=1"], 0),
        ("init again", &["spans=1", "init", "spans=1", "init", "spans=1"], 1),
    ] {
        let spool = Spool::new().expect("a private directory");
        let receiver = Receiver::start().expect("loopback has a free port");
        let finished = steps(&spool, &receiver)
            .args(arguments)
            .args(["account"])
            .run()
            .expect("it runs")
            .expect_success();
        assert!(
            finished.stdout.contains("account started=3 live=0"),
            "{how}: {finished}"
        );
        assert_eq!(finished.stderr.lines().count(), notices, "{how}: {finished}");
        assert_eq!(in_spool(&spool).len(), 3, "{how}");
        // Another start brings what nobody waited for.
        let _next = steps(&spool, &receiver).arg("park").spawn().expect("it runs");
        let spans = receiver
            .wait_for(3, PATIENCE)
            .unwrap_or_else(|error| panic!("{how}: {error}"));
        assert!(spans.iter().all(|span| span.service() == Some("steps")), "{how}");
    }
}

#[test]
fn changed_address_or_key_leaves_spans_that_are_said_in_one_line() {
    // The old address and headers, the new ones, the service of the second process; what it says, or nothing.
    let cases = [
        (
            "/mistaken",
            "",
            "a=1",
            "a=1",
            "steps",
            Some("spans of this service for http://"),
        ),
        (
            "",
            "",
            "authorization=old",
            "authorization=new",
            "other",
            Some("spans of steps for http://"),
        ),
        ("", "", "authorization=old", "authorization=new", "steps", None),
        ("/mistaken", "", "a=1", "a=1", "other", None),
    ];
    for (old, new, old_headers, new_headers, service, expected) in cases {
        let spool = Spool::new().expect("a private directory");
        let mut receiver = down();
        let program = |path: &str, headers: &str| {
            steps(&spool, &receiver)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{}{path}", receiver.endpoint()))
                .env("OTEL_EXPORTER_OTLP_HEADERS", headers)
        };
        let (first, second) = (program(old, old_headers), program(new, new_headers));
        first.args(["spans=3", "abort"]).run().expect("it runs");
        receiver.restart().expect("the port is still free");
        let second = second
            .env("OTEL_SERVICE_NAME", service)
            .args(["spans=1", "park"])
            .spawn()
            .expect("it runs");
        match expected {
            Some(line) => {
                second.wait_for_stderr(line).expect("it says so");
                second.wait_for_stderr("recover --to").expect("and what to do");
            }
            // What is its own comes, and nobody is told of what is not.
            None => {
                let own = if service == "steps" { 4 } else { 1 };
                receiver.wait_for(own, PATIENCE).expect("they come");
            }
        }
        second.kill9().expect("it is still there");
        let finished = second.wait().expect("it has ended");
        assert_eq!(
            finished.stderr.contains("stay in the spool, since"),
            expected.is_some(),
            "{finished}"
        );
    }
}
