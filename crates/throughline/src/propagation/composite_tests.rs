use std::collections::BTreeMap;

use super::super::propagator::Propagator::{self, B3, B3Multi, Baggage, Jaeger, OtTrace, TraceContext, XRay};
use super::*;

const TRACEPARENT: (&str, &str) = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
const SINGLE: (&str, &str) = ("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0");
const UBER: (&str, &str) = ("uber-trace-id", "4bf92f3577b34da6:f067aa0ba902b7:0:1");
const AMZN: (&str, &str) = (
    "X-Amzn-Trace-Id",
    "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1",
);
const OT: [(&str, &str); 3] = [
    ("ot-tracer-traceid", "a9c7c989f97918e1"),
    ("ot-tracer-spanid", "00000000000000cc"),
    ("ot-tracer-sampled", "true"),
];

fn read(propagators: &[Propagator], headers: &[(&str, &str)]) -> Context {
    extract(&propagators.iter().cloned().collect(), headers)
}

fn written(propagators: &[Propagator], context: &Context, stale: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut carrier = stale
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect();
    inject(&propagators.iter().cloned().collect(), context, &mut carrier);
    carrier
}

fn owned(headers: &[(&str, &str)]) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn last_format_that_finds_a_span_wins() {
    let all = [TRACEPARENT, SINGLE, UBER, AMZN, OT[0], OT[1], OT[2]];
    for (propagators, headers, expected) in [
        (&[TraceContext, B3][..], &all[..], "e457b5a2e4d86bd1"),
        (&[B3, TraceContext], &all, "b7ad6b7169203331"),
        (&[B3Multi, XRay], &all, "53995c3f42cd8ad8"),
        (&[XRay, OtTrace, Jaeger], &all, "00f067aa0ba902b7"),
        (&[Jaeger, OtTrace], &all, "00000000000000cc"),
        // What is not valid replaces nothing.
        (&[TraceContext, B3], &[TRACEPARENT, ("b3", "bad")], "b7ad6b7169203331"),
        (
            &[TraceContext, B3, Jaeger],
            &[SINGLE, ("uber-trace-id", "0:0:0:0"), ("traceparent", "x")],
            "e457b5a2e4d86bd1",
        ),
        // What is off is not read.
        (&[Baggage], &all, ""),
        (&[], &all, ""),
    ] {
        let context = read(propagators, headers);
        let span_id = context.span_id().map_or(String::new(), |id| id.to_string());
        assert_eq!(span_id, expected, "{propagators:?}");
        assert!(context.span_context().is_none_or(|span| span.is_remote()));
    }
}

#[test]
fn tracestate_belongs_to_the_span_of_its_format() {
    let headers = [TRACEPARENT, ("tracestate", "a=1"), SINGLE];
    assert_eq!(read(&[B3, TraceContext], &headers).trace_state(), "a=1");
    assert_eq!(read(&[TraceContext, B3], &headers).trace_state(), "");
}

#[test]
fn baggage_of_all_formats_is_one() {
    let headers = [
        ("baggage", "a=1;p,b=2"),
        ("uberctx-b", "3"),
        UBER,
        OT[0],
        OT[1],
        ("ot-baggage-c", "4"),
    ];
    let baggage = read(&[Baggage, Jaeger, OtTrace], &headers);
    assert_eq!(baggage.baggage_header(), "a=1;p,b=3,c=4");
    assert_eq!(read(&[Jaeger, Baggage], &headers).baggage_header(), "a=1;p,b=2");
    assert_eq!(read(&[TraceContext], &headers).baggage_header(), "");
    assert_eq!(
        read(&[Jaeger], &[("uberctx-b", "3")]).baggage_header(),
        "b=3",
        "it needs no trace"
    );
}

#[test]
fn each_format_is_written_as_it_was_read() {
    for (propagators, headers) in [
        (
            &[B3][..],
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d")][..],
        ),
        (&[B3], &[SINGLE]),
        (
            &[B3Multi],
            &[
                ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
                ("x-b3-spanid", "e457b5a2e4d86bd1"),
                ("x-b3-flags", "1"),
            ],
        ),
        (
            &[B3Multi],
            &[
                ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
                ("x-b3-spanid", "e457b5a2e4d86bd1"),
                ("x-b3-sampled", "0"),
            ],
        ),
        (
            &[Jaeger],
            &[
                ("uber-trace-id", "80f198ee56343ba864fe8b2a57d3eff7:e457b5a2e4d86bd1:0:3"),
                ("uberctx-plan", "a%20b%2cc"),
            ],
        ),
        (&[OtTrace], &[OT[0], OT[1], OT[2], ("ot-baggage-plan", "pro")]),
        (&[XRay], &[("x-amzn-trace-id", AMZN.1)]),
        (&[TraceContext], &[TRACEPARENT, ("tracestate", "a=1")]),
    ] {
        assert_eq!(written(propagators, &read(propagators, headers), &[]), owned(headers));
    }
}

#[test]
fn stale_headers_of_formats_that_are_on_go() {
    let stale = [
        TRACEPARENT,
        ("X-B3-Flags", "1"),
        ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"),
        ("Uberctx-old", "1"),
        ("OT-Baggage-old", "1"),
        ("X-AMZN-Trace-Id", "Root=1"),
        ("accept", "*/*"),
    ];
    let context = read(&[B3], &[SINGLE]);
    let expected = owned(&[
        SINGLE,
        TRACEPARENT,
        stale[4],
        stale[5],
        stale[6],
        ("uber-trace-id", "80f198ee56343ba864fe8b2a57d3eff7:e457b5a2e4d86bd1:0:0"),
    ]);
    assert_eq!(written(&[B3, Jaeger], &context, &stale), expected);
    let x_ray = (
        "x-amzn-trace-id",
        "Root=1-80f198ee-56343ba864fe8b2a57d3eff7;Parent=e457b5a2e4d86bd1;Sampled=0",
    );
    let expected = owned(&[
        TRACEPARENT,
        stale[1],
        stale[2],
        stale[3],
        stale[6],
        x_ray,
        ("ot-tracer-traceid", "64fe8b2a57d3eff7"),
        ("ot-tracer-spanid", "e457b5a2e4d86bd1"),
        ("ot-tracer-sampled", "false"),
    ]);
    assert_eq!(written(&[XRay, OtTrace], &context, &stale), expected);
    // Nothing to say: it stays as it is.
    assert_eq!(
        written(&[B3, Jaeger, XRay, OtTrace, TraceContext], &Context::root(), &stale),
        owned(&stale)
    );
    assert_eq!(written(&[Baggage], &context, &stale), owned(&stale));
    assert_eq!(written(&[], &context, &stale), owned(&stale));
}

#[test]
fn decision_without_a_trace_holds_for_what_begins_here() {
    let denied = read(&[B3], &[("b3", "0")]);
    let span = denied.span_context().expect("the trace that nobody records");
    assert!(!span.is_sampled() && span.is_remote());
    assert!(
        read(&[B3], &[("b3", "1")]).is_empty(),
        "it is for this side to begin one"
    );
    let debug = read(&[B3Multi], &[("x-b3-flags", "1")]);
    assert!(debug.span_context().is_none() && debug.value(DEBUG).is_some());
}

#[test]
fn debug_is_said_in_each_format_that_can() {
    let headers = [("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d")];
    let context = read(&[B3], &headers);
    assert!(context.span_context().is_some_and(|span| span.is_sampled()));
    assert_eq!(
        written(&[Jaeger], &context, &[])["uber-trace-id"],
        "80f198ee56343ba864fe8b2a57d3eff7:e457b5a2e4d86bd1:0:3"
    );
    let replaced = read(&[B3, TraceContext], &[headers[0], TRACEPARENT]);
    assert_eq!(replaced.value(DEBUG), None, "it was said of another trace");
}

/// Reads and writes `x-legacy`; panics where it is told to.
struct Legacy;

impl TextMapPropagator for Legacy {
    fn fields(&self) -> &[&'static str] {
        &["x-legacy"]
    }

    fn extract(&self, fields: &Fields<'_>, context: Context) -> Context {
        assert_eq!(fields.get("traceparent"), None, "it has not asked for it");
        match fields.get("x-legacy") {
            Some("panic") => panic!("as the test wants"),
            Some(id) => context.with_value("legacy", Some(id)),
            None => context,
        }
    }

    fn inject(&self, context: &Context, carrier: &mut dyn Carrier) {
        if let Some(id) = context.value("legacy") {
            assert_ne!(id, "panic at inject");
            carrier.set("x-legacy", id);
        }
    }
}

#[test]
fn custom_format_is_one_of_several() {
    let propagators = [TraceContext, Propagator::custom(Legacy), Baggage];
    for (value, kept) in [
        ("id-7", Some("id-7")),
        ("panic", None),
        ("panic at inject", Some("panic at inject")),
    ] {
        let headers = [TRACEPARENT, ("X-Legacy", value), ("baggage", "k=v")];
        let context = read(&propagators, &headers);
        assert_eq!(context.value("legacy"), kept);
        assert_eq!((context.baggage_header(), context.span_id().is_some()), ("k=v", true));
        let mut expected = owned(&[TRACEPARENT, ("baggage", "k=v")]);
        expected.extend((value == "id-7").then(|| ("x-legacy".to_owned(), value.to_owned())));
        assert_eq!(written(&propagators, &context, &[("X-LEGACY", "stale")]), expected);
    }
    let twice = [("x-legacy", "1"), ("x-legacy", "2")];
    assert_eq!(read(&propagators, &twice).value("legacy"), None);
    let long = "x".repeat(9000);
    assert_eq!(read(&propagators, &[("x-legacy", &long)]).value("legacy"), None);
}
