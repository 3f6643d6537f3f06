//! Whatever the headers of other formats say, what is read can be sent on and is read again as the same. Headers are separated by
//! line breaks, name and value by the first space.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::propagation::{Sampling, b3, jaeger, ot_trace, xray};

macro_rules! read {
    ($format:ident, $headers:expr) => {{
        let mut reader = $format::Reader::default();
        $headers.iter().for_each(|header| reader.header(header));
        reader.finish()
    }};
}

fuzz_target!(|bytes: &[u8]| {
    let headers: Vec<(&[u8], &[u8])> = bytes
        .split(|&byte| byte == b'\n')
        .filter_map(|line| line.split_once_at(b' '))
        .collect();
    if let Some(b3::Extracted::Span(read)) = read!(b3, headers) {
        let mut sent: Vec<(String, String)> = Vec::new();
        b3::write_single(&mut sent, &read.span_context(|| true), read.sampling == Sampling::Debug);
        let Some(b3::Extracted::Span(again)) = read!(b3, sent) else {
            panic!("what is sent is valid");
        };
        assert_eq!((again.trace_id, again.span_id), (read.trace_id, read.span_id));
    }
    let (span, baggage) = read!(jaeger, headers);
    let mut sent: Vec<(String, String)> = Vec::new();
    if let Some(span) = span {
        jaeger::write_span(&mut sent, &span.span_context(|| true), false);
    }
    jaeger::write_baggage(&mut sent, &baggage);
    let (span_again, baggage_again) = read!(jaeger, sent);
    assert_eq!(span_again.map(|span| span.span_id), span.map(|span| span.span_id));
    assert!(baggage.to_header().len() <= 8192 && baggage_again.to_header().len() <= 8192);

    let (span, baggage) = read!(ot_trace, headers);
    assert!(span.is_some() || baggage.is_empty());
    if let Some((span, fields)) = read!(xray, headers) {
        assert!(fields.len() <= xray::MAX_FIELDS);
        let mut sent: Vec<(String, String)> = Vec::new();
        xray::write(&mut sent, &span.span_context(|| true), &fields);
        let (again, fields_again) = read!(xray, sent).expect("what is sent is valid");
        assert_eq!((again.span_id, fields_again), (span.span_id, fields));
    }
});

trait SplitOnceAt {
    fn split_once_at(&self, byte: u8) -> Option<(&[u8], &[u8])>;
}

impl SplitOnceAt for [u8] {
    fn split_once_at(&self, byte: u8) -> Option<(&[u8], &[u8])> {
        let at = self.iter().position(|&found| found == byte)?;
        Some((&self[..at], &self[at + 1..]))
    }
}
