//! Trace context and baggage into and out of whatever carries text: headers, maps, lists.
//!
//! Reading takes anything that yields names and values, writing anything that implements the small
//! [`Carrier`] trait. Environment variables have [rules of their own](crate::environment).
//!
//! ```
//! use std::collections::HashMap;
//! use throughline_wire::propagation::{extract, inject};
//!
//! let incoming = [("TraceParent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
//! let extracted = extract(&incoming);
//!
//! let mut outgoing = HashMap::new();
//! inject(&mut outgoing, extracted.span.as_ref(), "", "plan=pro");
//! assert_eq!(outgoing["traceparent"], incoming[0].1);
//! assert_eq!(outgoing["baggage"], "plan=pro");
//! ```

//!
//! The formats of others have a module each: [`b3`], [`jaeger`], [`ot_trace`], [`xray`]. Each has a `Reader` that takes header by header,
//! so that several formats read one pass over the headers, and functions that write.

pub mod b3;
mod carrier;
pub mod jaeger;
pub mod ot_trace;
mod remote;
pub mod w3c;
pub mod xray;

pub use carrier::Carrier;
pub use remote::{Remote, Sampling};

use crate::{Baggage, SpanContext, TraceState};

/// The name of the header with trace id, span id and flags.
pub const TRACEPARENT: &str = "traceparent";
/// The name of the header with vendors' own data.
pub const TRACESTATE: &str = "tracestate";
/// The name of the header with the program's own data.
pub const BAGGAGE: &str = "baggage";

/// A name and a value that came in. Implemented for tuples of anything that has bytes, so that
/// maps, header maps and lists of pairs can be read as they are.
pub trait Pair {
    /// The name, of any case.
    fn name(&self) -> &[u8];
    /// The value.
    fn value(&self) -> &[u8];

    /// Whether it is this header, whose name is given in lower case.
    fn is_named(&self, header: &str) -> bool {
        self.name().eq_ignore_ascii_case(header.as_bytes())
    }

    /// What comes behind `prefix`, which is given in lower case, in the name of a header that begins with it.
    fn name_behind(&self, prefix: &str) -> Option<&[u8]> {
        let (start, rest) = self.name().split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Pair for (K, V) {
    fn name(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn value(&self) -> &[u8] {
        self.1.as_ref()
    }
}

impl<K: AsRef<[u8]>, V: AsRef<[u8]>> Pair for &(K, V) {
    fn name(&self) -> &[u8] {
        self.0.as_ref()
    }

    fn value(&self) -> &[u8] {
        self.1.as_ref()
    }
}

/// What came in with a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The caller's span, [remote](SpanContext::is_remote); `None` if there is no valid one.
    pub span: Option<SpanContext>,
    /// The tracestate of that span; `None` without a span, and if it is missing, empty or not
    /// valid.
    pub trace_state: Option<TraceState>,
    /// The baggage; `None` if nothing of it is there or valid.
    pub baggage: Option<Baggage>,
}

/// Reads trace context and baggage. Never fails: what is not valid is not there.
///
/// Names may have any case and values white space around them. A repeated `traceparent` is not
/// valid; several `tracestate` or `baggage` headers are one list together.
pub fn extract<I, P>(pairs: I) -> Extracted
where
    I: IntoIterator<Item = P>,
    P: Pair,
{
    let mut reader = w3c::Reader::default();
    pairs.into_iter().for_each(|pair| reader.header(&pair));
    reader.finish()
}

/// Writes trace context and baggage, in lower-case names.
///
/// Afterwards the carrier says what was given here and nothing else: older values go, under any
/// case of their names, also where there is no new one. Without a span there is no `traceparent`
/// and no `tracestate`. Only if there is nothing to write at all, neither span nor baggage, is the
/// carrier left as it was.
///
/// `trace_state` and `baggage` are header values as [`TraceState::as_str`] and
/// [`Baggage::to_header`] give them, or empty. One with a control character in it, other than a tab, is not
/// written.
pub fn inject<C: Carrier + ?Sized>(carrier: &mut C, span: Option<&SpanContext>, trace_state: &str, baggage: &str) {
    if span.is_none() && baggage.is_empty() {
        return;
    }
    for name in [TRACEPARENT, TRACESTATE, BAGGAGE] {
        carrier.remove(name);
    }
    if let Some(span) = span {
        w3c::write_trace_context(carrier, span, trace_state);
    }
    w3c::write_baggage(carrier, baggage);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traceparent;
    use std::collections::{BTreeMap, HashMap};

    type Pairs<'a> = &'a [(&'a str, &'a str)];

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    #[test]
    fn every_container_can_be_read() {
        let owned = vec![(TRACEPARENT.to_owned(), PARENT.to_owned())];
        let map: HashMap<String, String> = owned.iter().cloned().collect();
        let tree: BTreeMap<&str, &[u8]> = [(TRACEPARENT, PARENT.as_bytes())].into();
        let slices: &[(&str, &[u8])] = &[(TRACEPARENT, PARENT.as_bytes())];
        let read = [extract(&owned), extract(&map), extract(&tree), extract(slices)];
        for extracted in read.into_iter().chain([extract(owned), extract(map)]) {
            assert_eq!(extracted.span, traceparent::parse(PARENT.as_bytes()));
        }
    }

    #[test]
    fn header_map_can_be_read_with_all_its_repeated_names() {
        let mut headers = http::HeaderMap::new();
        headers.insert("Traceparent", PARENT.parse().unwrap());
        headers.append("tracestate", "a=1".parse().unwrap());
        headers.append("tracestate", "b=2".parse().unwrap());
        let extracted = extract(&headers);
        assert_eq!(extracted.span, traceparent::parse(PARENT.as_bytes()));
        assert_eq!(extracted.trace_state.unwrap().as_str(), "a=1,b=2");
        headers.append("traceparent", PARENT.parse().unwrap());
        assert_eq!(extract(&headers).span, None);
    }

    /// Cases of the W3C harness (`test/test.py`) about headers rather than about their values.
    #[test]
    fn w3c_harness_agrees() {
        #[rustfmt::skip]
        let cases: [(&str, Pairs<'_>, bool, Option<&str>); 15] = [
            ("both missing", &[], false, None),
            ("tracestate without traceparent", &[("tracestate", "foo=1")], false, None),
            ("duplicated", &[("traceparent", PARENT), ("traceparent", OTHER)], false, None),
            ("duplicated", &[("traceparent", PARENT), ("TraceParent", PARENT)], false, None),
            ("duplicated", &[("traceparent", "bad"), ("traceparent", PARENT)], false, None),
            ("header name", &[("trace-parent", PARENT)], false, None),
            ("header name", &[("trace.parent", PARENT)], false, None),
            ("name casing", &[("TraceParent", PARENT)], true, None),
            ("name casing", &[("TRACEPARENT", PARENT)], true, None),
            ("ows", &[("traceparent", " \t00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 \t")], true, None),
            ("tracestate name", &[("traceparent", PARENT), ("trace-state", "foo=1")], true, None),
            ("tracestate casing", &[("traceparent", PARENT), ("TraceState", "foo=1")], true, Some("foo=1")),
            ("bad tracestate", &[("traceparent", PARENT), ("tracestate", "foo=1,@bar=2")], true, None),
            ("several", &[("tracestate", "foo=1"), ("traceparent", PARENT), ("tracestate", "bar=2")], true, Some("foo=1,bar=2")),
            ("bad traceparent", &[("traceparent", "00-"), ("tracestate", "foo=1")], false, None),
        ];
        for (name, headers, valid, trace_state) in cases {
            let extracted = extract(headers);
            assert_eq!(extracted.span.is_some(), valid, "{name}");
            let found = extracted.trace_state.as_ref().map(TraceState::as_str);
            assert_eq!(found, trace_state, "{name}");
        }
    }

    #[test]
    fn baggage_needs_no_trace() {
        let headers = [("Baggage", "a=1"), ("traceparent", "bad"), ("baggage", " b=2")];
        let extracted = extract(headers);
        assert_eq!(extracted.span, None);
        assert_eq!(extracted.baggage.unwrap().to_header(), "a=1,b=2");
        assert_eq!(extract([("baggage", ",,")]).baggage, None);
    }

    fn stale() -> Vec<(String, String)> {
        [
            ("accept", "*/*"),
            ("TraceParent", OTHER),
            ("traceparent", OTHER),
            ("TRACESTATE", "old=1"),
            ("Baggage", "old=1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    #[test]
    fn after_inject_nothing_stale_is_left() {
        let span = traceparent::parse(PARENT.as_bytes());
        #[rustfmt::skip]
        let cases: [(_, &str, &str, Pairs<'_>); 6] = [
            (span, "a=1", "b=2", &[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "b=2")]),
            (span, "", "", &[("traceparent", PARENT)]),
            (span, "a=1\r\nx: y", "b=\0", &[("traceparent", PARENT)]),
            (None, "a=1", "b=2", &[("baggage", "b=2")]),
            (None, "a=1", "", &[("TraceParent", OTHER), ("traceparent", OTHER), ("TRACESTATE", "old=1"), ("Baggage", "old=1")]),
            (None, "", "", &[("TraceParent", OTHER), ("traceparent", OTHER), ("TRACESTATE", "old=1"), ("Baggage", "old=1")]),
        ];
        for (span, trace_state, baggage, expected) in cases {
            let expected: Vec<_> = [("accept", "*/*")].iter().chain(expected).copied().collect();
            let mut list = stale();
            inject(&mut list, span.as_ref(), trace_state, baggage);
            let found: Vec<_> = list.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
            assert_eq!(found, expected);

            let mut map: HashMap<String, String> = stale().into_iter().collect();
            inject(&mut map, span.as_ref(), trace_state, baggage);
            let mut tree: BTreeMap<String, String> = stale().into_iter().collect();
            inject(&mut tree as &mut dyn Carrier, span.as_ref(), trace_state, baggage);
            let expected: BTreeMap<_, _> = expected.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
            assert_eq!(map.into_iter().collect::<BTreeMap<_, _>>(), expected);
            assert_eq!(tree, expected);
        }
    }
}
