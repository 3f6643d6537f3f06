//! A real Collector and a real Jaeger accept a request made by hand, and give it back.

use std::time::Duration;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::sample::{SPAN_ID, TRACE_ID, request};
use throughline_testkit::{Collector, Jaeger, ToolError, client, require_tool};

#[test]
fn collector_gives_back_what_it_accepted() {
    let Some(collector) = require_tool(Collector::start()) else {
        return;
    };
    let response = client::post(
        &format!("{}/v1/traces", collector.endpoint()),
        &request(&["GET /orders"]),
    )
    .unwrap();
    assert_eq!(response.status, 200, "{}", collector.log());

    let spans = collector.wait_for(1, Duration::from_secs(10)).unwrap();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.trace_id().as_str(), span.span_id().as_str()), (TRACE_ID, SPAN_ID));
    assert_eq!(
        (span.name.as_str(), span.scope.name.as_str(), span.service()),
        ("GET /orders", "by hand", Some("orders"))
    );
    assert_eq!(span.attribute("order.items"), Some(&Value::IntValue(3)));
    assert!(
        span.headers["user-agent"].to_str().unwrap().contains("0.157.0"),
        "it came by way of the Collector"
    );
}

#[test]
fn jaeger_gives_back_what_it_accepted() {
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    let unknown = jaeger.trace(TRACE_ID).unwrap_err();
    assert_eq!(unknown.kind(), std::io::ErrorKind::NotFound, "{unknown}");
    let response = client::post(&format!("{}/v1/traces", jaeger.endpoint()), &request(&["GET /orders"])).unwrap();
    assert_eq!(response.status, 200, "{}", jaeger.log());

    let trace = jaeger.trace(TRACE_ID).unwrap();
    let text = |pointer| {
        trace
            .pointer(pointer)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    assert_eq!(trace["spans"].as_array().map(Vec::len), Some(1), "{trace}");
    assert_eq!((text("/traceID"), text("/spans/0/spanID")), (TRACE_ID, SPAN_ID));
    assert_eq!(text("/spans/0/operationName"), "GET /orders");
    assert_eq!(text("/processes/p1/serviceName"), "orders");
    assert_eq!(trace["spans"][0]["duration"], 250_000); // microseconds
}

#[test]
fn several_run_side_by_side() {
    let Some(first) = require_tool(Collector::start()) else {
        return;
    };
    let second = Collector::start().unwrap();
    assert_ne!(first.endpoint(), second.endpoint());
    client::post(&format!("{}/v1/traces", second.endpoint()), &request(&["second"])).unwrap();
    assert_eq!((first.spans().len(), second.spans().len()), (0, 1));
}

#[test]
#[should_panic(expected = "no such port")]
fn tool_that_is_built_and_fails_is_not_skipped() {
    require_tool::<()>(Err(ToolError::Failed(std::io::Error::other("no such port"))));
}
