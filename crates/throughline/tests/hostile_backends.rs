//! A backend that means no good, over every transport: a flush ends by its deadline, memory stays small, and every span is delivered,
//! pending or counted; what was not refused arrives when the backend is well again.

use std::collections::HashSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use throughline_testkit::{Answer, Finished, Program, Receiver, Request, Spool};

const SPANS: u64 = 700;
const MORE: u64 = 10;
/// What a request and a flush may take where an answer that can be used never comes, in milliseconds.
const SHORT: [&str; 2] = ["300", "1000"];
/// The same where one comes, if after much else.
const LONG: [&str; 2] = ["10000", "20000"];
/// Far more than that, for a machine that is busy; far less than a flush without an end.
const PATIENCE: Duration = Duration::from_secs(30);
/// A program of this kind has a fifth of it.
const MEMORY_KIB: u64 = 64 << 10;
const GIB: u64 = 1 << 30;

struct Case {
    what: &'static str,
    answer: fn(&Request) -> Answer,
    /// Whether the spans are refused for good, which is counted.
    refuses: bool,
}

const fn waits(what: &'static str, answer: fn(&Request) -> Answer) -> Case {
    Case {
        what,
        answer,
        refuses: false,
    }
}

const fn refuses(what: &'static str, answer: fn(&Request) -> Answer) -> Case {
    Case {
        what,
        answer,
        refuses: true,
    }
}

const OF_ALL: &[Case] = &[
    waits("it hangs", |_| Answer::hang()),
    waits("it resets", |_| Answer::reset()),
    waits("it takes the spans and resets", |_| Answer::reset().taken()),
    waits("it is down", |_| Answer::status(503)),
    waits("it sends elsewhere", |request| {
        let host = request.header("host").unwrap_or("127.0.0.1:1");
        Answer::redirect(&format!("http://{host}/elsewhere"))
    }),
];

const OF_HTTP: &[Case] = &[
    waits("it throttles without an end", |_| {
        Answer::status(429).retry_after(Duration::from_secs(u32::MAX.into()))
    }),
    waits("it says nonsense about when to come again", |_| {
        Answer::status(503).header("retry-after", "soon, or -1")
    }),
    waits("its answer is cut short", |_| Answer::cut_short()),
    waits("it sends a page", |_| {
        Answer::status(200)
            .header("content-type", "text/html")
            .body("<html>log in</html>")
    }),
    refuses("it answers with a gibibyte", |_| Answer::huge(GIB)),
    refuses("it refuses all", |_| Answer::status(400).message("no")),
];

const OF_GRPC: &[Case] = &[
    waits("it throttles without an end", |_| {
        // A `google.rpc.Status` whose `RetryInfo` says 2^32 - 1 seconds.
        let details = "CAgaNAoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIICgYI/////w8=";
        Answer::rpc(8, "less")
            .trailer("grpc-status-details-bin", details)
            .trailers_only()
    }),
    waits("it is unavailable", |_| Answer::rpc(14, "soon")),
    waits("it does not know the key", |_| Answer::rpc(16, "who are you")),
    waits("it has no status", |_| {
        Answer::status(200).header("content-type", "application/grpc")
    }),
    waits("it is something else", |_| {
        Answer::status(200)
            .header("content-type", "text/html")
            .body("<html>log in</html>")
    }),
    refuses("its message is a gibibyte", |_| Answer::rpc(0, "").padding(GIB)),
    refuses("it refuses all", |_| Answer::rpc(3, "no")),
    refuses("its status is no number", |_| {
        Answer::rpc(0, "").trailer("grpc-status", "fine")
    }),
];

fn program(spool: &Spool, endpoint: &str, protocol: &str, request: &str) -> Program {
    Program::example("program_steps", spool)
        .expect("Cargo builds the examples of this package")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("OTEL_EXPORTER_OTLP_TIMEOUT", request)
}

/// Number `name` in the only line that begins with `line`.
fn number(finished: &Finished, line: &str, name: &str) -> u64 {
    let line = finished.stdout.lines().find(|text| text.starts_with(line));
    let words = line.into_iter().flat_map(|line| line.split([' ', ':']));
    let number = words
        .filter_map(|word| word.split_once('='))
        .find(|(word, _)| *word == name)
        .and_then(|(_, number)| number.parse().ok());
    number.unwrap_or_else(|| panic!("no {name}: {finished}"))
}

/// Makes spans while the backend is hostile; returns how many were delivered, are pending and were dropped.
fn meet(spool: &Spool, endpoint: &str, protocol: &str, [request, flush]: [&str; 2], context: &str) -> [u64; 3] {
    let begun = Instant::now();
    let finished = program(spool, endpoint, protocol, request)
        .arg(format!("spans={SPANS}"))
        .args([&format!("flush={flush}"), "account", "memory"])
        .run()
        .expect("it runs")
        .expect_success();
    assert!(begun.elapsed() < PATIENCE, "{context}: {:?}", begun.elapsed());
    let account = |name| number(&finished, "account", name);
    let parts = ["delivered", "pending", "dropped"].map(account);
    assert_eq!(parts.iter().sum::<u64>(), SPANS, "{context}: {finished}");
    assert_eq!(
        (account("started"), account("live")),
        (SPANS, 0),
        "{context}: {finished}"
    );
    let memory = number(&finished, "memory", "kib");
    assert!(0 < memory && memory < MEMORY_KIB, "{context}: {memory} KiB");
    parts
}

fn check(case: &Case, protocol: &str) {
    let context = format!("{protocol}: {}", case.what);
    let is_well = Arc::new(AtomicBool::new(false));
    let answers = {
        let (is_well, hostile) = (is_well.clone(), case.answer);
        move |request: &Request| match is_well.load(Ordering::Acquire) {
            true => Answer::to(request),
            false => hostile(request),
        }
    };
    let receiver = match protocol {
        "grpc" => Receiver::with_grpc(answers),
        _ => Receiver::with(answers),
    };
    let receiver = receiver.expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    let spool = Spool::new().expect("a private directory");
    let (limits, expected) = match case.refuses {
        true => (LONG, [0, 0, SPANS]),
        false => (SHORT, [0, SPANS, 0]),
    };
    let parts = meet(&spool, &endpoint, protocol, limits, &context);
    assert_eq!(parts, expected, "{context}");
    let ids = || -> HashSet<_> { receiver.spans().iter().map(|span| span.span_id()).collect() };
    // What a backend took and then disowned cannot be told from the rest.
    let all = MORE + if case.refuses { ids().len() as u64 } else { SPANS };
    // The next program delivers what this one has left.
    is_well.store(true, Ordering::Release);
    let seen = spool.home().join("seen");
    let running = program(&spool, &endpoint, protocol, LONG[0])
        .arg(format!("spans={MORE}"))
        .args(["flush=20000", &format!("until={}", seen.display())])
        .spawn()
        .expect("it runs");
    let begun = Instant::now();
    while (ids().len() as u64) < all {
        assert!(begun.elapsed() < PATIENCE, "{context}: {} of {all}", ids().len());
        std::thread::sleep(Duration::from_millis(10));
    }
    fs::write(seen, "").expect("there is room");
    running.wait().expect("it ends").expect_success();
    assert_eq!(ids().len() as u64, all, "{context}");
}

#[test]
fn hostile_backend_over_http_costs_no_span_no_memory_and_no_deadline() {
    for protocol in ["http/protobuf", "http/json"] {
        for case in OF_ALL.iter().chain(OF_HTTP) {
            check(case, protocol);
        }
    }
}

#[test]
fn hostile_backend_over_grpc_costs_no_span_no_memory_and_no_deadline() {
    for case in OF_ALL.iter().chain(OF_GRPC) {
        check(case, "grpc");
    }
}

/// Sends `head`, and then `more` again and again for as long as anybody takes it.
fn server_without_an_end(head: &'static [u8], more: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            std::thread::spawn(move || {
                let more = more.repeat(1 + (16 << 10) / more.len());
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(head);
                while stream.write_all(&more).is_ok() {}
            });
        }
    });
    endpoint
}

#[test]
fn answer_without_an_end_costs_no_span_no_memory_and_no_deadline() {
    // SETTINGS with nothing set, as each server's first frame has to be.
    const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
    let cases: &[(&str, &str, &'static [u8], &'static [u8])] = &[
        (
            "headers",
            "http/protobuf",
            b"HTTP/1.1 200 OK\r\n",
            b"x-more: aaaaaaaaaaaaaaaa\r\n",
        ),
        (
            "one header",
            "http/protobuf",
            b"HTTP/1.1 200 OK\r\nx: ",
            b"aaaaaaaaaaaaaaaa",
        ),
        (
            "interim answers",
            "http/protobuf",
            b"",
            b"HTTP/1.1 103 Early Hints\r\nx: a\r\n\r\n",
        ),
        (
            "chunks",
            "http/json",
            b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
        ),
        ("SETTINGS", "grpc", SETTINGS, SETTINGS),
        ("PING", "grpc", SETTINGS, b"\0\0\x08\x06\0\0\0\0\0pingping"),
        // HEADERS that do not end, on the first stream, and what continues them.
        (
            "CONTINUATION",
            "grpc",
            b"\0\0\0\x04\0\0\0\0\0\0\0\0\x01\0\0\0\0\x01",
            b"\0\0\x04\x09\0\0\0\0\x01\0\x01a\0",
        ),
        ("nonsense", "grpc", SETTINGS, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    ];
    for (what, protocol, head, more) in cases {
        let context = format!("{protocol}: endless {what}");
        let spool = Spool::new().expect("a private directory");
        let endpoint = server_without_an_end(head, more);
        let parts = meet(&spool, &endpoint, protocol, SHORT, &context);
        assert_eq!(parts, [0, SPANS, 0], "{context}");
    }
}
