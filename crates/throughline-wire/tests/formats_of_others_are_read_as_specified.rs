//! B3, Jaeger, OT Trace and X-Ray: what their specifications show is read, what is written is read again, and what is hostile is
//! ignored.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::collection::vec;
use proptest::prelude::*;
use throughline_wire::environment::pairs;
use throughline_wire::propagation::{Remote, Sampling, b3, jaeger, ot_trace, xray};
use throughline_wire::{Baggage, SpanContext, SpanId, TraceFlags, TraceId};

const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
const SPAN: &str = "e457b5a2e4d86bd1";

type Headers<'a> = &'a [(&'a str, &'a str)];

fn remote(trace: &str, span: &str, sampling: Sampling) -> Remote {
    Remote {
        trace_id: format!("{trace:0>32}").parse().unwrap(),
        span_id: format!("{span:0>16}").parse().unwrap(),
        sampling,
    }
}

macro_rules! read {
    ($format:ident, $headers:expr) => {{
        let mut reader = $format::Reader::default();
        $headers.into_iter().for_each(|header| reader.header(header));
        reader.finish()
    }};
}

#[test]
fn b3_is_read_as_specified() {
    use Sampling::{Accept, Debug, Deferred, Deny};
    let long = "0".repeat(10_000);
    let of = |sampling| Some(b3::Extracted::Span(remote(TRACE, SPAN, sampling)));
    let of_64 = |sampling| Some(b3::Extracted::Span(remote(&TRACE[16..], SPAN, sampling)));
    let decision = |sampling| Some(b3::Extracted::Decision(sampling));
    #[rustfmt::skip]
    let cases: [(Headers<'_>, _); 38] = [
        // Of the specification's README.
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90")], of(Accept)),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1")], of(Accept)),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1")], of(Deferred)),
        (&[("b3", "64fe8b2a57d3eff7-e457b5a2e4d86bd1-d")], of_64(Debug)),
        (&[("B3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0")], of(Deny)),
        (&[("b3", "0")], decision(Deny)),
        (&[("b3", "1")], decision(Accept)),
        (&[("b3", "d")], decision(Debug)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"), ("X-B3-Sampled", "1")], of(Accept)),
        (&[("X-B3-TraceId", &TRACE[16..]), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "0")], of_64(Deny)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)], of(Deferred)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Flags", "1")], of(Debug)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Flags", "1"), ("X-B3-Sampled", "0")], of(Debug)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Flags", "0"), ("X-B3-Sampled", "true")], of(Accept)),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "false")], of(Deny)),
        (&[("X-B3-Sampled", "0")], decision(Deny)),
        (&[("X-B3-Flags", "1")], decision(Debug)),
        // The one header first, and where it is not valid the several.
        (&[("b3", "0"), ("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)], decision(Deny)),
        (&[("b3", "bad"), ("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)], of(Deferred)),
        (&[("b3", "0"), ("b3", "0"), ("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)], of(Deferred)),
        // White space around a value is the header's.
        (&[("b3", " 0\t")], decision(Deny)),
        // Hostile, or not meant for us.
        (&[], None),
        (&[("b3", "")], None),
        (&[("b3", "2")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7")], None),
        (&[("b3", "80F198EE56343BA864FE8B2A57D3EFF7-e457b5a2e4d86bd1-1")], None),
        (&[("b3", "00000000000000000000000000000000-e457b5a2e4d86bd1-1")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-0000000000000000-1")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-2")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90-1")], None),
        (&[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-")], None),
        (&[("b3", &long)], None),
        (&[("X-B3-TraceId", TRACE)], None),
        (&[("X-B3-SpanId", SPAN)], None),
        (&[("X-B3-TraceId", TRACE), ("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN)], None),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", "+457b5a2e4d86bd1")], None),
        (&[("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-Sampled", "yes")], None),
    ];
    for (headers, expected) in cases {
        assert_eq!(read!(b3, headers), expected, "{headers:?}");
    }
}

#[test]
fn jaeger_is_read_as_specified() {
    use Sampling::{Accept, Debug, Deny};
    let long = format!("{}:1:0:1", "1".repeat(10_000));
    let of = |trace, span, sampling| Some(remote(trace, span, sampling));
    #[rustfmt::skip]
    let cases: [(&str, _); 20] = [
        ("80f198ee56343ba864fe8b2a57d3eff7:e457b5a2e4d86bd1:0:1", of(TRACE, SPAN, Accept)),
        ("80f198ee56343ba864fe8b2a57d3eff7:e457b5a2e4d86bd1:05e3ac9a4f6e3b90:0", of(TRACE, SPAN, Deny)),
        ("80f198ee56343ba864fe8b2a57d3eff7%3Ae457b5a2e4d86bd1%3A0%3a3", of(TRACE, SPAN, Debug)),
        // "Shorter values are 0-padded on the left. Receivers MUST accept hex-strings shorter than 32 characters".
        ("64fe8b2a57d3eff7:e457b5a2e4d86bd1:0:1", of(&TRACE[16..], SPAN, Accept)),
        ("1:2:0:01", of("1", "2", Accept)),
        ("A:B:0:1", of("a", "b", Accept)),
        // "Debug should only be set when the sampled flag is set"; 8 is "firehose".
        ("1:2:0:2", of("1", "2", Deny)),
        ("1:2:0:9", of("1", "2", Accept)),
        (" 1:2:0:1 ", of("1", "2", Accept)),
        ("", None),
        ("1:2:0", None),
        ("1:2:0:1:5", None),
        ("0:2:0:1", None),
        ("1:0:0:1", None),
        ("1:2::1", None),
        ("1:2:0:100", None),
        ("1:2:x:1", None),
        ("+1:2:0:1", None),
        ("1:00000000000000001:0:1", None),
        (&long, None),
    ];
    for (value, expected) in cases {
        assert_eq!(read!(jaeger, &[("Uber-Trace-Id", value)]).0, expected, "{value}");
    }
    let twice = [("uber-trace-id", "1:2:0:1"), ("uber-trace-id", "1:2:0:1")];
    assert_eq!(read!(jaeger, &twice).0, None);
}

#[test]
fn ot_trace_is_read_as_specified() {
    use Sampling::{Accept, Deferred, Deny};
    #[rustfmt::skip]
    let cases: [(Headers<'_>, _); 10] = [
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN), ("ot-tracer-sampled", "true")], Some((TRACE, Accept))),
        (&[("OT-Tracer-TraceId", &TRACE[16..]), ("ot-tracer-spanid", SPAN), ("ot-tracer-sampled", "false")], Some((&TRACE[16..], Deny))),
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN), ("ot-tracer-sampled", "1")], Some((TRACE, Accept))),
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN), ("ot-tracer-sampled", "0")], Some((TRACE, Deny))),
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN)], Some((TRACE, Deferred))),
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN), ("ot-tracer-sampled", "maybe")], None),
        (&[("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN), ("ot-tracer-spanid", SPAN)], None),
        (&[("ot-tracer-traceid", "0000000000000000"), ("ot-tracer-spanid", SPAN)], None),
        (&[("ot-tracer-traceid", TRACE)], None),
        (&[], None),
    ];
    for (headers, expected) in cases {
        let (found, _) = read!(ot_trace, headers);
        let expected = expected.map(|(trace, sampling)| remote(trace, SPAN, sampling));
        assert_eq!(found, expected, "{headers:?}");
    }
}

#[test]
fn xray_is_read_as_specified() {
    use Sampling::{Accept, Deferred, Deny};
    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272793";
    const PARENT: &str = "Parent=53995c3f42cd8ad8";
    let many = format!("{ROOT};{PARENT};{}", "k=v;".repeat(200));
    let kept = ["k=v"; 64].join(";");
    let endless = format!("{ROOT};{PARENT};{}", "k=v;".repeat(2000));
    let of = |sampling, fields| Some((sampling, fields));
    #[rustfmt::skip]
    let cases: [(String, _); 25] = [
        // Of AWS's documentation.
        (format!("{ROOT};{PARENT};Sampled=1"), of(Accept, "")),
        (format!("{ROOT};{PARENT};Sampled=0"), of(Deny, "")),
        (format!("{ROOT};{PARENT};Sampled=?"), of(Deferred, "")),
        (format!("{ROOT};{PARENT}"), of(Deferred, "")),
        (format!("Self=1-67891234-12456789abcdef012345678;{ROOT};{PARENT};Sampled=1"), of(Accept, "")),
        (format!("{ROOT};{PARENT};Sampled=1;Lineage=a87bd80c:1|68fd508a:5"), of(Accept, "Lineage=a87bd80c:1|68fd508a:5")),
        (format!("Sampled=1; {PARENT} ;{ROOT};"), of(Accept, "")),
        (format!("{ROOT};{PARENT};a=1;b=2"), of(Deferred, "a=1;b=2")),
        (format!("{ROOT};{PARENT};a=\u{e4}"), of(Deferred, "")),
        (many, of(Deferred, &*kept)),
        // What a load balancer writes: a trace, and no span of it.
        (ROOT.to_owned(), None),
        (String::new(), None),
        (PARENT.to_owned(), None),
        (format!("{ROOT};{PARENT};Sampled=2"), None),
        (format!("{ROOT};{PARENT};Sampled=1;Sampled=1"), None),
        (format!("{ROOT};{ROOT};{PARENT}"), None),
        (format!("{ROOT};{PARENT};junk"), None),
        (format!("root=1-5759e988-bd862e3fe1be46a994272793;{PARENT}"), None),
        (format!("Root=2-5759e988-bd862e3fe1be46a994272793;{PARENT}"), None),
        (format!("Root=1-5759e98-bd862e3fe1be46a9942727933;{PARENT}"), None),
        (format!("Root=1-5759e988bd862e3fe1be46a994272793;{PARENT}"), None),
        (format!("Root=1-5759E988-bd862e3fe1be46a994272793;{PARENT}"), None),
        (format!("Root=1-00000000-000000000000000000000000;{PARENT}"), None),
        (format!("{ROOT};Parent=0000000000000000"), None),
        (endless, None),
    ];
    for (value, expected) in cases {
        let found = read!(xray, &[("X-Amzn-Trace-Id", value.as_str())]);
        let expected = expected.map(|(sampling, fields)| {
            let span = remote("5759e988bd862e3fe1be46a994272793", "53995c3f42cd8ad8", sampling);
            (span, fields.to_owned())
        });
        assert_eq!(found, expected, "{value}");
    }
    let twice = [(xray::TRACE_HEADER, "Root=1"), (xray::TRACE_HEADER, "Root=1")];
    assert_eq!(read!(xray, &twice), None);
}

#[test]
fn baggage_of_other_formats_has_limits() {
    let many: Vec<(String, String)> = (0..100).map(|n| (format!("uberctx-k{n}"), n.to_string())).collect();
    assert_eq!(read!(jaeger, &many).1.iter().count(), 64);
    let huge = [("uberctx-a", "x".repeat(9000)), ("uberctx-b", "1".to_owned())];
    assert_eq!(read!(jaeger, &huge).1.to_header(), "b=1");
    let odd = [
        ("uberctx-", "1"),
        ("uberctx-k,k", "1"),
        ("uberctx-ok", "a%20b+c%2C"),
        ("uberctx-\u{e4}", "1"),
    ];
    let baggage = read!(jaeger, &odd).1;
    assert_eq!((baggage.iter().count(), &*baggage.get("ok").unwrap()), (1, "a b c,"));

    let ids = [("ot-tracer-traceid", TRACE), ("ot-tracer-spanid", SPAN)];
    let with_ids = |key, value| [ids[0], ids[1], (key, value)];
    let raw = read!(ot_trace, &with_ids("ot-baggage-plan", "a, b%20")).1;
    assert_eq!(raw.get("plan").unwrap(), "a, b%20", "nothing is encoded");
    assert!(
        read!(ot_trace, &[("ot-baggage-plan", "pro")]).1.is_empty(),
        "it belongs to a span"
    );
}

#[test]
fn environment_carries_other_formats_too() {
    let variables = [
        ("X_B3_TRACEID", TRACE),
        ("X_B3_SPANID", SPAN),
        ("x-b3-sampled", "0"),
        ("UBERCTX_plan", "not normalised"),
        ("UBERCTX_PLAN", "pro"),
    ];
    let expected = b3::Extracted::Span(remote(TRACE, SPAN, Sampling::Deferred));
    let read: Vec<_> = pairs(variables).collect();
    assert_eq!(read!(b3, &read), Some(expected));
    assert_eq!(read!(jaeger, &read).1.to_header(), "PLAN=pro");
}

fn span() -> impl Strategy<Value = (SpanContext, bool)> {
    (1..=u128::MAX, 1..=u64::MAX, any::<bool>(), any::<bool>()).prop_map(|(trace, span, sampled, debug)| {
        let flags = TraceFlags::NONE.with_sampled(sampled || debug);
        let trace = TraceId::from_bytes(trace.to_be_bytes()).unwrap();
        (
            SpanContext::new(trace, SpanId::from_bytes(span.to_be_bytes()).unwrap(), flags, true),
            debug,
        )
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again((span, is_debug) in span(), value in ".{0,40}", key in "[a-z!]{1,8}") {
        let sampling = match (is_debug, span.is_sampled()) {
            (true, _) => Sampling::Debug,
            (false, true) => Sampling::Accept,
            (false, false) => Sampling::Deny,
        };
        let expected = Remote { trace_id: span.trace_id(), span_id: span.span_id(), sampling };
        for write in [b3::write_single::<Vec<(String, String)>>, b3::write_multi] {
            let mut headers = Vec::new();
            write(&mut headers, &span, is_debug);
            prop_assert_eq!(read!(b3, &headers), Some(b3::Extracted::Span(expected)));
        }
        let mut baggage = Baggage::default();
        baggage.insert(&key, &value).unwrap();

        let mut headers = Vec::new();
        jaeger::write_span(&mut headers, &span, is_debug);
        jaeger::write_baggage(&mut headers, &baggage);
        let (read, read_baggage) = read!(jaeger, &headers);
        prop_assert_eq!(read, Some(expected));
        prop_assert_eq!(read_baggage.get(&key).unwrap(), &*value);

        let plain = if is_debug { Sampling::Accept } else { sampling };
        let mut headers: Vec<(String, String)> = Vec::new();
        xray::write(&mut headers, &span, "Lineage=1");
        prop_assert_eq!(read!(xray, &headers), Some((Remote { sampling: plain, ..expected }, "Lineage=1".to_owned())));

        let mut headers: Vec<(String, String)> = Vec::new();
        ot_trace::write_span(&mut headers, &span);
        ot_trace::write_baggage(&mut headers, &baggage);
        if let (Some(read), read_baggage) = read!(ot_trace, &headers) {
            prop_assert_eq!(&read.trace_id.to_bytes()[8..], &span.trace_id().to_bytes()[8..]);
            prop_assert_eq!((read.span_id, read.sampling), (span.span_id(), plain));
            if let Some(read) = read_baggage.get(&key) {
                prop_assert_eq!(read, value.trim_matches(' '));
            }
        }
    }

    #[test]
    fn any_bytes_are_harmless(headers in vec((0..12_usize, prop_oneof![
        vec(any::<u8>(), 0..100),
        "[0-9a-fd:;=?%-]{0,80}".prop_map(String::into_bytes),
    ]), 0..8)) {
        const NAMES: [&str; 12] = [
            b3::B3, b3::TRACE_ID, b3::SPAN_ID, b3::SAMPLED, b3::FLAGS, jaeger::TRACE_ID, "uberctx-k",
            ot_trace::TRACE_ID, ot_trace::SPAN_ID, ot_trace::SAMPLED, "ot-baggage-k", xray::TRACE_HEADER,
        ];
        let headers: Vec<_> = headers.into_iter().map(|(name, value)| (NAMES[name], value)).collect();
        let _ = (read!(b3, &headers), read!(ot_trace, &headers));
        prop_assert!(read!(jaeger, &headers).1.to_header().len() <= 8192);
        if let Some((_, fields)) = read!(xray, &headers) {
            prop_assert!(fields.len() <= xray::MAX_FIELDS);
        }
    }
}
