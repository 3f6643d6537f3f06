use std::collections::{BTreeMap, HashMap};

use throughline::{Carrier, Context, extract, inject};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STALE: &str = "00-11111111111111111111111111111111-2222222222222222-00";

fn http(pairs: &[(&str, &str)]) -> http::HeaderMap {
    let mut map = http::HeaderMap::new();
    for (name, value) in pairs {
        let name: http::HeaderName = name.parse().expect("a header's name");
        map.append(name, value.parse().expect("a header's value"));
    }
    map
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn every_container_is_read_in_any_case() {
    for names in [
        ["traceparent", "tracestate", "baggage"],
        ["Traceparent", "Tracestate", "Baggage"],
        ["TRACEPARENT", "TraceState", "bAGGAGE"],
    ] {
        let pairs = [
            (names[0], PARENT),
            (names[1], "a=1,b=2"),
            (names[2], "k=v;p, x=%20y"),
            ("other", "z"),
        ];
        let list = owned(&pairs);
        let map: HashMap<String, String> = list.iter().cloned().collect();
        let tree: BTreeMap<String, String> = list.iter().cloned().collect();
        let found = [
            extract(pairs),
            extract(&pairs),
            extract(&list),
            extract(list.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))),
            extract(&map),
            extract(&tree),
            extract(&http(&pairs)),
        ];
        for (at, context) in found.into_iter().enumerate() {
            let context = context.unwrap_or_else(|| panic!("container {at} of {names:?}"));
            assert_eq!(context.trace_id().unwrap().to_string(), &PARENT[3..35], "{at}");
            assert_eq!(context.span_id().unwrap().to_string(), &PARENT[36..52], "{at}");
            assert_eq!(context.trace_state(), "a=1,b=2", "{at}");
            assert_eq!(context.baggage_header(), "k=v;p, x=%20y", "{at}");
            assert!(context.span_context().unwrap().is_remote(), "{at}");
        }
    }
}

#[test]
fn what_is_not_valid_is_nothing_and_baggage_stands_alone() {
    let none: [&[(&str, &str)]; 7] = [
        &[],
        &[("traceparent", "")],
        &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        &[("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01")],
        &[("traceparent", "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01")],
        &[("traceparent", PARENT), ("Traceparent", STALE)],
        &[("tracestate", "a=1")],
    ];
    for headers in none {
        assert_eq!(extract(headers), None, "{headers:?}");
    }
    let baggage = extract([("traceparent", "nonsense"), ("tracestate", "a=1"), ("baggage", "k=v")]).expect("baggage");
    assert_eq!((baggage.trace_id(), baggage.trace_state()), (None, ""));
    assert_eq!(baggage.baggage_header(), "k=v");
}

#[test]
fn every_container_is_written_and_rid_of_what_it_had() {
    let context = extract([("traceparent", PARENT), ("baggage", "k=v")]).expect("a valid traceparent");
    let before = owned(&[
        ("accept", "*/*"),
        ("TraceParent", STALE),
        ("traceparent", STALE),
        ("TRACESTATE", "old=1"),
        ("Baggage", "old=1"),
    ]);
    let expected = owned(&[("accept", "*/*"), ("baggage", "k=v"), ("traceparent", PARENT)]);

    let mut list = context.inject(before.clone());
    list.sort();
    assert_eq!(list, expected);
    let map: HashMap<String, String> = context.inject(before.iter().cloned().collect());
    assert_eq!(map, expected.iter().cloned().collect());
    let tree: BTreeMap<String, String> = context.inject(before.iter().cloned().collect());
    assert_eq!(tree, expected.iter().cloned().collect());

    let mut headers = http::HeaderMap::new();
    for (name, value) in &before {
        let name = http::HeaderName::try_from(name.as_str()).expect("a header's name");
        headers.append(name, value.parse().expect("a header's value"));
    }
    let headers = context.inject(headers);
    let mut list: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
        .collect();
    list.sort_unstable();
    assert!(
        list.into_iter()
            .eq(expected.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    );

    // Nothing to say: nothing is touched.
    assert!(Context::current().is_empty());
    assert_eq!(inject(before.clone()), before);
    assert_eq!(Context::root().inject(before.clone()), before);
}

/// A header map as a server of old would have it: it takes anything.
struct Lines(String);

impl Carrier for Lines {
    fn set(&mut self, name: &'static str, value: &str) {
        self.0.push_str(&format!("{name}: {value}\r\n"));
    }

    fn remove(&mut self, _: &str) {}
}

#[test]
fn no_line_break_gets_from_one_request_into_the_next() {
    for evil in ["a=1\r\nx-evil: 1", "a=1\nb", "a=1\r", "a=\u{0}1"] {
        let headers = [("traceparent", PARENT), ("tracestate", evil), ("baggage", evil)];
        let Lines(lines) = extract(headers)
            .expect("a valid traceparent")
            .inject(Lines(String::new()));
        assert!(!lines.contains("evil") && !lines.contains('\u{0}'), "{lines:?}");
        assert_eq!(
            lines.matches(['\r', '\n']).count(),
            2 * lines.lines().count(),
            "{lines:?}"
        );
    }
    let mut baggage = throughline::Baggage::default();
    baggage.insert("key", "a\r\nx-evil: 1").expect("a token as key");
    let Lines(lines) = Context::root().with_baggage(&baggage).inject(Lines(String::new()));
    assert_eq!(lines, "baggage: key=a%0d%0ax-evil:%201\r\n");
}

#[test]
fn container_that_is_lent_is_written_in_place() {
    let parent =
        extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]).expect("it is valid");
    let mut headers = HashMap::from([("a".to_owned(), "b".to_owned())]);
    parent.in_scope(|| {
        inject(&mut headers);
    });
    assert_eq!((headers.len(), headers.contains_key("traceparent")), (2, true));
    let mut any: Vec<(String, String)> = Vec::new();
    let carrier: &mut dyn Carrier = &mut any;
    parent.inject(carrier);
    assert_eq!(any.len(), 1);
}
