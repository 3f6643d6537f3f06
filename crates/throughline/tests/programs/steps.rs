//! Does what its arguments say, one after the other; what a test wants to know is on stdout.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use throughline::{Compression, Context, Destination, OtlpDestination, Protocol, Span, Tracing, event, link, span};
use throughline_spool::Recorder;

fn main() {
    let early = std::env::var("STEPS_EARLY").ok().and_then(|early| early.parse().ok());
    (0..early.unwrap_or(0)).for_each(|_| span!("early").end());
    let mut builder = throughline::builder("steps");
    // A quota without history, for tests that fill it.
    if let Some(bytes) = std::env::var("STEPS_SPOOL_BYTES")
        .ok()
        .and_then(|bytes| bytes.parse().ok())
    {
        builder = builder.spool_bytes(bytes).history_bytes(0);
    }
    // Instead of what the variables name: directories of files, and backends, which get all else from the variables.
    for destination in std::env::var("STEPS_DESTINATIONS")
        .unwrap_or_default()
        .split_whitespace()
    {
        builder = match destination.strip_prefix("files:") {
            Some(directory) => builder.destination(Destination::files(directory)),
            None => builder.destination(backend(destination)),
        };
    }
    let mut tracing = Some(builder.init());
    // Spans that are open when `main` returns end then, before tracing is flushed.
    let mut open: Vec<Span> = Vec::new();
    for step in std::env::args().skip(1) {
        let (verb, argument) = step.split_once('=').unwrap_or((&step, ""));
        let number = argument.parse().unwrap_or(0);
        match verb {
            // So many spans, ended.
            "spans" => (0..number).for_each(|n| span!(parent: &Context::root(), "ended", number = n).end()),
            // So many, each with everything that a span may have.
            "rich" => (0..number).for_each(rich),
            // So many, each of a kilobyte.
            "large" => (0..number).for_each(|n| {
                let mut span = span!(parent: &Context::root(), "large", number = n);
                span.set("text", "x".repeat(1000));
            }),
            // From now on some thousand spans per second.
            "busy" => drop(std::thread::spawn(|| {
                loop {
                    (0..20).for_each(|_| span!(parent: &Context::root(), "busy").end());
                    std::thread::sleep(Duration::from_millis(5));
                }
            })),
            "open" => open.push(span!(parent: &Context::root(), "open")),
            "flush" => flush(tracing.as_ref(), number),
            "shutdown" => {
                let ending = tracing
                    .take()
                    .map(|tracing| tracing.shutdown(Duration::from_millis(number)));
                ending.into_iter().for_each(|ending| drop(ending.wait()));
            }
            "account" => account(),
            "memory" => memory(),
            "init" => drop(throughline::init("another")),
            "forget" => drop(tracing.take()),
            "say" => say(argument),
            // Until the file is there.
            "until" => {
                while !Path::new(argument).exists() {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            "park" => std::thread::park_timeout(Duration::from_secs(60)),
            "exit" => std::process::exit(number as i32),
            "abort" => std::process::abort(),
            "panic" => panic!("as the test wants it"),
            unknown => panic!("there is no step {unknown}"),
        }
    }
}

fn backend(endpoint: &str) -> OtlpDestination {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|set| set == value);
    let mut backend = Destination::otlp(endpoint);
    for (name, protocol) in [
        ("grpc", Protocol::Grpc),
        ("http/json", Protocol::HttpJson),
        ("http/protobuf", Protocol::HttpProtobuf),
    ] {
        if is("OTEL_EXPORTER_OTLP_PROTOCOL", name) {
            backend = backend.protocol(protocol);
        }
    }
    if is("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip") {
        backend = backend.compression(Compression::Gzip);
    }
    if endpoint.starts_with("https") {
        if let Ok(authority) = std::env::var("OTEL_EXPORTER_OTLP_CERTIFICATE") {
            backend = backend.certificate(authority);
        }
        let certificate = std::env::var("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE");
        if let (Ok(certificate), Ok(key)) = (certificate, std::env::var("OTEL_EXPORTER_OTLP_CLIENT_KEY")) {
            backend = backend.client_certificate(certificate, key);
        }
    }
    backend
}

fn rich(number: u64) {
    let mut span = span!(parent: &Context::root(), kind: Producer, "rich \u{20ac}", number);
    span.set("text", "\u{1F600} \"quoted\" \\ \n");
    span.set("most", i64::MIN);
    span.set("share", 0.1);
    span.set("is", true);
    span.set("bytes", &[0_u8, 0xff][..]);
    span.set("list", &["a", "b"][..]);
    event!(span: span, "event", attempt = number, after = 1.5);
    let other = span!(parent: &Context::root(), "linked").context();
    link!(span: span, &other, reason = "retry");
    span.status_error("it failed: \u{20ac}");
    let child = span!(parent: &span, "child");
    child.end();
}

fn flush(tracing: Option<&Tracing>, milliseconds: u64) {
    if let Some(tracing) = tracing {
        let report = tracing.flush(Duration::from_millis(milliseconds)).wait();
        say(&format!(
            "report delivered={} pending={} dropped={} complete={}: {report}",
            report.delivered(),
            report.pending(),
            report.dropped(),
            report.is_complete()
        ));
    }
}

fn account() {
    if let Some(spool) = Recorder::current() {
        let account = spool.account(0);
        say(&format!(
            "account started={} live={} delivered={} pending={} dropped={}",
            account.started,
            account.live,
            account.delivered,
            account.pending,
            account.dropped.iter().sum::<u64>()
        ));
    }
}

/// The most memory that was resident at once.
fn memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next());
    say(&format!("memory kib={}", kib.unwrap_or_default()));
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
