//! Follows one span beside `ARCHITECTURE.md`, and checks that each of its steps is where the page says.

use std::fs;
use std::path::Path;
use std::time::Duration;

use throughline_spool::{Place, Reader, State, StoredSpan};
use throughline_testkit::{Receiver, Spool};
use throughline_wire::SpanView;

/// The steps of the table: number, file, function.
fn steps() -> Vec<(usize, String, String)> {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page is there");
    page.lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let number = cells.next()?.parse().ok()?;
            let place = cells.last()?.trim_end_matches(" |");
            let (file, function) = place.split_once(": ")?;
            Some((
                number,
                file.trim_matches('`').to_owned(),
                function.trim_matches('`').to_owned(),
            ))
        })
        .collect()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

#[test]
fn every_step_is_where_the_page_says_and_there_are_at_most_eight_files() {
    let steps = steps();
    let numbers: Vec<_> = steps.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    for (number, file, function) in &steps {
        let source =
            fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("step {number}, {file}: {error}"));
        let is_there = [
            format!("fn {function}("),
            format!("macro_rules! {function} "),
            format!("fn {function}<"),
        ];
        assert!(
            is_there.iter().any(|text| source.contains(text)),
            "step {number}: {file} has no {function}"
        );
    }
    let mut files: Vec<_> = steps.iter().map(|(_, file, _)| file).collect();
    files.dedup();
    assert!(files.len() <= 8, "a newcomer follows one span in at most eight files");
}

#[test]
fn span_is_open_then_committed_then_delivered() {
    let (spool, receiver) = (
        Spool::new().expect("a directory can be made"),
        Receiver::start().expect("a port is free"),
    );
    let tracing = throughline::builder("walk")
        .spool_dir(spool.path())
        .endpoint(receiver.endpoint())
        .init();
    let seen = || -> StoredSpan {
        let contents = Reader::new(spool.path()).read();
        assert_eq!(contents.problems, Vec::<String>::new());
        contents.spans.into_iter().next().expect("one span is in the spool")
    };

    // Steps 1 to 4: it is visible while it is open, with what was set so far.
    let mut span = throughline::span!("charge", order.id = 7);
    span.set("card", "visa");
    let open = seen();
    let view = SpanView::new(&open.body);
    assert_eq!(
        (open.state, view.name(), view.end_time_unix_nano()),
        (State::Open, "charge", 0)
    );
    assert_eq!(view.attribute("order.id").and_then(|value| value.as_i64()), Some(7));
    assert_eq!(view.attribute("card").and_then(|value| value.as_str()), Some("visa"));

    // Steps 5 and 6: it is committed.
    span.end();
    let ended = seen();
    let view = SpanView::new(&ended.body);
    assert_eq!((ended.state, view.name()), (State::Finished, "charge"));
    assert!(view.end_time_unix_nano() >= view.start_time_unix_nano());

    // Steps 7 and 8: it is delivered, and the cursor says so.
    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert!(report.is_complete(), "{report}");
    let received = receiver.spans();
    assert_eq!(received.len(), 1);
    assert_eq!(
        (received[0].name.as_str(), received[0].service()),
        ("charge", Some("walk"))
    );
    assert_eq!(seen().place, Place::Delivered);
}
