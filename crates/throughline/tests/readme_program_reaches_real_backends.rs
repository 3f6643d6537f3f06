//! The README's program, sent to receivers that others wrote.

use std::time::Duration;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::{Collector, Finished, Jaeger, Program, Spool, require_tool};

const PATIENCE: Duration = Duration::from_secs(30);

fn orders(endpoint: &str) -> (Spool, Finished) {
    let spool = Spool::new().expect("a directory can be made");
    let program = Program::example("orders", &spool).expect("cargo builds the examples of this package");
    let finished = program
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("", ""));
    (spool, finished)
}

#[test]
fn opentelemetry_collector_gets_the_whole_trace() {
    let Some(collector) = require_tool(Collector::start()) else {
        return;
    };
    let _ran = orders(&collector.endpoint());
    let spans = collector.wait_for(3, PATIENCE).expect("they arrive");
    let order = spans.iter().find(|span| span.name == "handle order").expect("the root");
    assert_eq!(order.service(), Some("orders"));
    assert_eq!(order.parent_span_id(), "");
    assert_eq!(order.attribute("order.id"), Some(&Value::IntValue(1234)));
    assert_eq!(order.attribute("order.lines"), Some(&Value::IntValue(3)));
    let charges: Vec<_> = spans.iter().filter(|span| span.name == "charge card").collect();
    let attempts: Vec<_> = charges.iter().map(|span| span.attribute("attempt")).collect();
    for attempt in 1..=2 {
        assert!(attempts.contains(&Some(&Value::IntValue(attempt))), "{attempts:?}");
    }
    assert_eq!(charges.len(), 2);
    for charge in charges {
        assert_eq!(
            (charge.trace_id(), charge.parent_span_id()),
            (order.trace_id(), order.span_id())
        );
        assert_eq!(charge.events[0].name, "exception");
        let status = charge.status.as_ref().expect("it failed");
        assert_eq!((status.code, status.message.as_str()), (2, "invalid float literal"));
    }
}

#[test]
fn jaeger_shows_the_whole_trace() {
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    let (spool, _) = orders(&jaeger.endpoint());
    let contents = throughline_spool::Reader::new(spool.path()).read();
    let view = throughline_wire::SpanView::new(&contents.spans[0].body);
    let trace = jaeger
        .trace(&view.trace_id().expect("an id").to_string())
        .expect("it is found");
    let spans = trace["spans"].as_array().expect("its spans");
    assert_eq!(spans.len(), 3, "{trace:#}");
    let named = |name: &str| {
        spans
            .iter()
            .filter(|span| span["operationName"] == name)
            .collect::<Vec<_>>()
    };
    let order = named("handle order")[0];
    let charges = named("charge card");
    assert_eq!(charges.len(), 2, "{trace:#}");
    for charge in charges {
        assert_eq!(charge["references"][0]["spanID"], order["spanID"]);
    }
    let processes = trace["processes"].as_object().expect("its services");
    assert!(processes.values().all(|process| process["serviceName"] == "orders"));
}
