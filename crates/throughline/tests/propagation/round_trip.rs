use std::collections::HashMap;
use std::sync::OnceLock;

use proptest::prelude::*;
use throughline::{InSpanExt, extract, inject, span};
use throughline_testkit::Spool;

/// Tracing for this process, kept local.
fn trace() {
    static ON: OnceLock<throughline::Tracing> = OnceLock::new();
    ON.get_or_init(|| {
        let spool = Spool::new().expect("a private directory");
        // Its files are gone when the spool is dropped: this process keeps what it has mapped.
        throughline::builder("round trip").spool_dir(spool.path()).init()
    });
}

/// What comes out after three nested local spans, in a scope, behind a guard and in a future.
fn through_three_spans(headers: &[(String, String)]) -> HashMap<String, String> {
    let remote = extract(headers).expect("there is something to continue");
    let mut server = span!(parent: &remote, kind: Server, "server");
    server.in_scope(|| {
        let _middle = span!("middle").enter();
        let out = async { inject(HashMap::new()) }.in_span(span!(kind: Client, "client"));
        futures::executor::block_on(out)
    })
}

fn header(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn flags_state_and_baggage_come_out_as_they_went_in() {
    trace();
    let long = (0..60)
        .map(|n| format!("k{n}=v%20{n};p={n}"))
        .collect::<Vec<_>>()
        .join(" , ");
    for flags in ["00", "01", "02", "03"] {
        for state in ["", "a=1", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "t@v=!~"] {
            for baggage in ["", "k=v", "a=1;p;q = 2 , b=%C3%BC,c=,a=2", &long] {
                let parent = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
                let given = [
                    header("traceparent", &parent),
                    header("tracestate", state),
                    header("baggage", baggage),
                ];
                let out = through_three_spans(&given);
                let sent = &out["traceparent"];
                assert_eq!(sent[..36], parent[..36]);
                assert_ne!(sent[36..52], parent[36..52], "the local span is the parent now");
                assert_eq!(sent[53..], *flags, "sampling and randomness stay as they were decided");
                assert_eq!(out.get("tracestate").map_or("", String::as_str), state);
                assert_eq!(out.get("baggage").map_or("", String::as_str), baggage);
            }
        }
    }
}

#[test]
fn baggage_travels_without_a_caller_that_traces() {
    trace();
    let out = through_three_spans(&[header("baggage", "user=ada")]);
    assert_eq!(out["baggage"], "user=ada");
    assert!(out["traceparent"].ends_with("-03"), "a new trace: {out:?}");
}

fn entries(key: &'static str, value: &'static str) -> impl Strategy<Value = String> {
    proptest::collection::btree_map(key, value, 0..20).prop_map(|map| {
        map.iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(",")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn any_valid_headers_come_out_as_they_went_in(
        trace_id in 1_u128..,
        span_id in 1_u64..,
        sampled: bool,
        state in entries("[a-z][a-z0-9_*/-]{0,10}", "[!-+--<>-~]{1,20}"),
        baggage in entries("[A-Za-z0-9!#$%&'*+.^_`|~-]{1,10}", "[!#-+--:<-\\[\\]-~]{0,20}"),
    ) {
        trace();
        let flags = u8::from(sampled);
        let parent = format!("00-{trace_id:032x}-{span_id:016x}-{flags:02x}");
        let out = through_three_spans(&[header("Traceparent", &parent), header("Tracestate", &state), header("Baggage", &baggage)]);
        prop_assert_eq!(&out["traceparent"][..36], &parent[..36]);
        prop_assert_eq!(&out["traceparent"][52..], &parent[52..]);
        prop_assert_eq!(out.get("tracestate").map_or("", String::as_str), state);
        prop_assert_eq!(out.get("baggage").map_or("", String::as_str), baggage);
    }
}

#[test]
fn baggage_with_a_tab_travels_on() {
    trace();
    for given in ["a=1\t,b=2", "a=1 ,\tb=2\t;p\t", "a\t=\t1,b=2"] {
        let out = through_three_spans(&[header("baggage", given)]);
        let baggage = extract(&out).expect("it is sent on").baggage();
        let values = (baggage.get("a"), baggage.get("b"));
        assert_eq!(
            (values.0.as_deref(), values.1.as_deref()),
            (Some("1"), Some("2")),
            "{given:?}: {out:?}"
        );
    }
}
