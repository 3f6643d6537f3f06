//! A span can be seen while it lasts, and when its process is killed it arrives as unfinished, once.

use std::time::Duration;

use throughline_spool::{Reader, State, StoredSpan};
use throughline_testkit::otlp::trace::v1::Span;
use throughline_testkit::otlp::trace::v1::status::StatusCode;
use throughline_testkit::prost::Message;
use throughline_testkit::{Program, Receiver, Spool};

fn decoded(spool: &Spool) -> Vec<(State, Span)> {
    let contents = Reader::new(spool.path()).read();
    assert_eq!(contents.problems, [""; 0]);
    let decode = |span: &StoredSpan| (span.state, Span::decode(&*span.body).expect("an OTLP span"));
    let mut spans: Vec<_> = contents.spans.iter().map(decode).collect();
    spans.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
    spans
}

fn keys(span: &Span) -> Vec<&str> {
    span.attributes.iter().map(|attribute| attribute.key.as_str()).collect()
}

#[test]
fn it_is_seen_at_once_and_after_a_kill_it_arrives_as_unfinished() {
    let spool = Spool::new().expect("a private directory");
    let mut receiver = Receiver::start().expect("loopback has a free port");
    receiver.stop();
    let endpoint = receiver.endpoint();
    let program = |example: &str| {
        Program::example(example, &spool)
            .expect("Cargo builds the examples of this package")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)
    };
    let running = program("program_open").spawn().expect("it runs");
    running.wait_for_stdout("all open").expect("it says so");

    let seen = decoded(&spool);
    let names: Vec<_> = seen.iter().map(|(state, span)| (*state, span.name.as_str())).collect();
    let expected = [
        (State::Finished, "ended"),
        (State::Open, "large"),
        (State::Open, "small, renamed"),
    ];
    assert_eq!(names, expected);
    let small = &seen[2].1;
    assert_eq!(keys(small), ["a", "b"]);
    assert_eq!(small.events.len(), 1);
    assert_eq!(small.parent_span_id, seen[1].1.span_id);
    assert_eq!(
        keys(&seen[1].1)[0],
        "size",
        "what was set before it outgrew its slot is seen"
    );

    running.kill9().expect("it can be killed");
    let _ = running.wait();
    let seen = decoded(&spool);
    let states: Vec<_> = seen.iter().map(|(state, _)| *state).collect();
    assert_eq!(states, [State::Finished, State::Unfinished, State::Unfinished]);

    receiver.restart().expect("the port is still free");
    // One that lives on: a short program does not wait for what it has taken over.
    let next = program("program_open").spawn().expect("it runs");
    let mut spans = receiver
        .wait_for(4, Duration::from_secs(20))
        .expect("3 spans, and the next one's own");
    spans.retain(|span| span.trace_id == small.trace_id);
    spans.sort_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["ended", "large", "small, renamed"]);
    assert_eq!(spans[0].status, None);
    for span in &spans[1..] {
        let status = span.status.clone().unwrap_or_default();
        assert_eq!(status.code(), StatusCode::Error, "{}", span.name);
        assert!(!status.message.is_empty());
        assert!(keys(&span.span).contains(&"throughline.unfinished"), "{}", span.name);
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    let unfinished = decoded(&spool)
        .into_iter()
        .filter(|(state, _)| *state == State::Unfinished);
    assert_eq!(unfinished.count(), 2, "each is kept once");
    drop(next);
}
