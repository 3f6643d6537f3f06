//! Ten of ten spans arrive, once, whatever runtime the program has or has not; nothing that delivery does is traced; and
//! receivers that others wrote take them.

use std::collections::HashSet;
use std::time::Duration;

use throughline_testkit::otlp::trace::v1::Span;
use throughline_testkit::prost::Message;
use throughline_testkit::{Collector, Jaeger, Program, ReceivedSpan, Receiver, Spool, require_tool};

const PATIENCE: Duration = Duration::from_secs(20);

fn program(example: &str, spool: &Spool, endpoint: &str) -> Program {
    Program::example(example, spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
}

fn distinct(spans: &[ReceivedSpan]) -> usize {
    spans.iter().map(ReceivedSpan::span_id).collect::<HashSet<_>>().len()
}

#[test]
fn ten_of_ten_spans_arrive_whatever_the_runtime() {
    for runtime in ["none", "current_thread", "1", "4", "dropped"] {
        for flushes in [true, false] {
            let spool = Spool::new().expect("a private directory");
            let receiver = Receiver::start().expect("loopback has a free port");
            let endpoint = receiver.endpoint();
            let finished = program("e2_runtimes", &spool, &endpoint)
                .args([runtime, if flushes { "flush" } else { "leave" }])
                .run()
                .expect("it runs")
                .expect_success();
            let expected = if flushes {
                format!("5 spans delivered to {endpoint}/v1/traces\n")
            } else {
                String::new()
            };
            assert_eq!(finished.stdout, expected, "{runtime}");
            assert_eq!(finished.stderr, "", "{runtime}");
            // The program is gone: what is not here now does not come any more.
            let spans = receiver.spans();
            assert_eq!((spans.len(), distinct(&spans)), (10, 10), "{runtime} {flushes}");
            assert!(spans.iter().all(|span| span.service() == Some("runtimes")));
        }
    }
}

#[test]
fn one_span_makes_one_request_and_no_more() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let running = program("e2_steps", &spool, &receiver.endpoint())
        .env("OTEL_BSP_SCHEDULE_DELAY", "20")
        .args(["spans=1", "flush=5000", "park"])
        .spawn()
        .expect("it runs");
    running
        .wait_for_stdout("1 span delivered")
        .expect("it delivers what it has");
    // Three looks of an idle program, and a hundred times the delay. A span that came of this delivery would come too.
    let more = receiver.wait_for_requests(2, Duration::from_millis(3200));
    assert!(more.is_err(), "delivering a span makes no other");
    assert_eq!(receiver.spans().len(), 1);
    running.kill9().expect("it can be killed");
}

#[test]
fn a_collector_passes_on_what_the_first_program_of_the_readme_sends() {
    let Some(collector) = require_tool(Collector::start()) else {
        return;
    };
    let spool = Spool::new().expect("a private directory");
    let finished = program("orders", &spool, &collector.endpoint()).run().expect("it runs");
    assert_eq!(finished.expect_success().stderr, "");
    let spans = collector.wait_for(3, PATIENCE).expect("all arrive");
    assert_eq!((spans.len(), distinct(&spans)), (3, 3));
    let order = spans
        .iter()
        .find(|span| span.name == "handle order")
        .expect("the parent");
    let charges: Vec<_> = spans.iter().filter(|span| span.name == "charge card").collect();
    assert_eq!(charges.len(), 2);
    assert!(charges.iter().all(|charge| charge.parent_span_id == order.span_id));
    assert!(charges.iter().all(|charge| charge.trace_id == order.trace_id));
    assert_eq!(order.service(), Some("orders"));
}

#[test]
fn jaeger_shows_what_the_first_program_of_the_readme_sends() {
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    let spool = Spool::new().expect("a private directory");
    let finished = program("orders", &spool, &jaeger.endpoint()).run().expect("it runs");
    assert_eq!(finished.expect_success().stderr, "");
    let contents = throughline_spool::Reader::new(spool.path()).read();
    let body = &contents.spans.first().expect("its history").body;
    let span = Span::decode(&**body).expect("an OTLP span");
    let id: String = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    // A slow Jaeger may have taken it after the program had left: then the next start brings it.
    let trace = jaeger.trace(&id).or_else(|_| {
        let running = program("e2_steps", &spool, &jaeger.endpoint()).arg("park").spawn()?;
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            match jaeger.trace(&id) {
                Err(_) if std::time::Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
                answer => break answer.inspect(|_| drop(running)),
            }
        }
    });
    let trace = trace.expect("Jaeger has the trace");
    let spans = trace["spans"].as_array().expect("a list");
    let mut names: Vec<_> = spans.iter().filter_map(|span| span["operationName"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["charge card", "charge card", "handle order"]);
}
