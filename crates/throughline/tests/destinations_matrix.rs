//! Every protocol, compression and kind of TLS, to one destination and to three at once: a real Collector, a real Jaeger and files get
//! each span once, with all that was recorded.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use throughline_spool::Reader;
use throughline_testkit::otlp::collector::trace::v1::ExportTraceServiceRequest;
use throughline_testkit::otlp::trace::v1::Span;
use throughline_testkit::prost::Message as _;
use throughline_testkit::{Collector, Jaeger, Program, ReceivedSpan, Spool, require_tool};
use throughline_wire::json;

const PATIENCE: Duration = Duration::from_secs(20);
const RICH: usize = 20;
/// Each of them has a child, and links one of its own.
const SPANS: usize = 3 * RICH;

type Spans = BTreeMap<Vec<u8>, Span>;

/// By id. An id that comes twice is a mistake.
fn by_id(spans: impl IntoIterator<Item = Span>, context: &str) -> Spans {
    let mut all = Spans::new();
    for mut span in spans {
        // An empty message, and none, mean the same.
        span.status.get_or_insert_default();
        let before = all.insert(span.span_id.clone(), span);
        assert_eq!(before, None, "{context}: it comes twice");
    }
    assert_eq!(all.len(), SPANS, "{context}");
    all
}

#[track_caller]
fn assert_same(found: &Spans, recorded: &Spans, context: &str) {
    assert!(found.keys().eq(recorded.keys()), "{context}: the ids are others");
    for (id, span) in recorded {
        assert_eq!(&found[id], span, "{context}");
    }
}

/// What the spool holds, which is what was recorded.
fn recorded(spool: &Spool, context: &str) -> Spans {
    let contents = Reader::new(spool.path()).read();
    let decoded = contents.spans.iter().map(|span| Span::decode(&*span.body));
    by_id(decoded.map(|span| span.expect("it is a span")), context)
}

fn in_files(directory: &Path, context: &str) -> Spans {
    let entries = fs::read_dir(directory).expect("it was made");
    let texts =
        entries.map(|entry| fs::read_to_string(entry.expect("it can be listed").path()).expect("it can be read"));
    let mut spans = Vec::new();
    for line in texts.collect::<String>().lines() {
        let body = json::read_request(line.as_bytes()).expect("each line is a request");
        let request = ExportTraceServiceRequest::decode(&*body).expect("and so protobuf");
        let groups = request.resource_spans.into_iter().flat_map(|group| group.scope_spans);
        spans.extend(groups.flat_map(|group| group.spans));
    }
    by_id(spans, context)
}

/// That Jaeger has each span once. Its own form of them is no matter here.
fn check_jaeger(jaeger: &Jaeger, recorded: &Spans, context: &str) {
    let mut traces: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for span in recorded.values() {
        traces.entry(hex(&span.trace_id)).or_default().push(hex(&span.span_id));
    }
    for (trace, mut ids) in traces {
        let told = jaeger
            .trace(&trace)
            .unwrap_or_else(|error| panic!("{context}: {error}"));
        let spans = told["spans"].as_array().expect("a list");
        let mut found: Vec<_> = spans
            .iter()
            .map(|span| span["spanID"].as_str().unwrap_or_default().to_owned())
            .collect();
        ids.sort();
        found.sort();
        assert_eq!(found, ids, "{context}");
    }
}

fn of_run(spans: Vec<ReceivedSpan>, recorded: &Spans, context: &str) -> Spans {
    let ours = spans.into_iter().map(|received| received.span);
    by_id(ours.filter(|span| recorded.contains_key(&span.span_id)), context)
}

/// A Collector, and the variables that make it reached.
fn variables(collector: &Collector) -> Vec<(&'static str, &Path)> {
    let client = collector.client_pem();
    let files = [
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", collector.ca_pem()),
        (
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            client.map(|(certificate, _)| certificate),
        ),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", client.map(|(_, key)| key)),
    ];
    files
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?)))
        .collect()
}

#[test]
fn every_way_to_a_backend_brings_each_span_once_and_as_it_was_recorded() {
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    let collectors = [
        Collector::start(),
        Collector::start_tls(),
        Collector::start_mutual_tls(),
    ];
    let mut taken = 0;
    for (collector, security) in collectors.into_iter().zip(["plain", "TLS", "mutual TLS"]) {
        let Some(collector) = require_tool(collector) else {
            return;
        };
        taken = 0;
        for protocol in ["grpc", "http/protobuf", "http/json"] {
            for compression in ["none", "gzip"] {
                for destinations in [1, 3] {
                    let context = format!("{security}, {protocol}, {compression}, {destinations}");
                    let (to_collector, to_jaeger) = match protocol {
                        "grpc" => (collector.grpc_endpoint(), jaeger.grpc_endpoint()),
                        _ => (collector.endpoint(), jaeger.endpoint()),
                    };
                    let spool = Spool::new().expect("a private directory");
                    let files = spool.home().join("files");
                    let mut program = Program::example("program_steps", &spool)
                        .expect("Cargo builds the examples of this package")
                        .args([&format!("rich={RICH}"), "flush=20000"])
                        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
                        .env("OTEL_EXPORTER_OTLP_COMPRESSION", compression);
                    for (name, path) in variables(&collector) {
                        program = program.env(name, path);
                    }
                    program = match destinations {
                        1 => program.env("OTEL_EXPORTER_OTLP_ENDPOINT", &to_collector),
                        _ => program.env(
                            "STEPS_DESTINATIONS",
                            format!("{to_collector} {to_jaeger} files:{}", files.display()),
                        ),
                    };
                    let finished = program.run().expect("it runs").expect_success();
                    assert_eq!(finished.stderr, "", "{context}");
                    let recorded = recorded(&spool, &context);
                    taken += SPANS;
                    let arrived = collector.wait_for(taken, PATIENCE).expect("they arrive");
                    assert_eq!(arrived.len(), taken, "{context}");
                    assert_same(&of_run(arrived, &recorded, &context), &recorded, &context);
                    if destinations == 3 {
                        check_jaeger(&jaeger, &recorded, &context);
                        assert_same(&in_files(&files, &context), &recorded, &context);
                    }
                }
            }
        }
    }
    assert_eq!(taken, 12 * SPANS);
}
