use std::collections::HashSet;
use std::time::Duration;

use throughline_testkit::{Program, Receiver, Spool};

const THREADS: usize = 10_000;
const MOST_KIB: u64 = 64 * 1024;

/// Resident memory and the spool's files, in KiB, while all spans are open.
fn run(endpoint: &str, is_off: bool) -> (u64, u64) {
    let spool = Spool::new().expect("a private directory");
    let finished = Program::example("program_threads", &spool)
        .expect("Cargo builds the examples of this package")
        .arg(THREADS.to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_SDK_DISABLED", is_off.to_string())
        .timeout(Duration::from_secs(120))
        .run()
        .expect("it runs")
        .expect_success();
    let mut numbers = finished
        .stdout
        .split_whitespace()
        .map(|number| number.parse().expect("a number"));
    (numbers.next().expect("memory"), numbers.next().expect("files"))
}

#[test]
fn none_of_their_spans_is_lost_and_they_take_64_mebibytes_at_most() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let (memory, files) = run(&receiver.endpoint(), false);
    let (memory_without, files_without) = run(&receiver.endpoint(), true);
    assert_eq!(files_without, 0);
    assert!(memory_without > 0 && files > 0);
    let growth = memory.saturating_sub(memory_without);
    assert!(growth <= MOST_KIB, "{memory} KiB beside {memory_without} KiB");
    assert!(files <= MOST_KIB, "{files} KiB of files");
    println!("10,000 threads: {growth} KiB of memory, {files} KiB of files");

    let spans = receiver.wait_for(THREADS, Duration::from_secs(30)).expect("all come");
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!((spans.len(), ids.len()), (THREADS, THREADS));
    assert!(spans.iter().all(|span| span.attributes.len() == 2));
}
