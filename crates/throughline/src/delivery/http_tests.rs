use std::io::{Read, Write};
use std::net::TcpListener;

use throughline_testkit::{Answer, Collector, Jaeger, Receiver, require_tool, sample};

use super::super::otlp::Client;
use super::super::otlp::testing::{SECOND, body, failure_of, raw_server, run};
use super::*;
use crate::config::{Certificates, Endpoint};

fn client(url: &str, timeout: Option<Duration>) -> Client {
    Client::new(Otlp::new(Endpoint::from_base(url).unwrap(), HeaderMap::new(), timeout))
}

/// One for every way in which a body is encoded.
fn encoding_clients(url: &str) -> [Client; 4] {
    [
        (Protocol::HttpProtobuf, Compression::None),
        (Protocol::HttpProtobuf, Compression::Gzip),
        (Protocol::HttpJson, Compression::None),
        (Protocol::HttpJson, Compression::Gzip),
    ]
    .map(|(protocol, compression)| encoding_client(url, protocol, compression))
}

fn encoding_client(url: &str, protocol: Protocol, compression: Compression) -> Client {
    let endpoint = Endpoint::from_base(url).unwrap();
    Client::new(Otlp {
        protocol,
        compression,
        ..Otlp::new(endpoint, HeaderMap::new(), Some(10 * SECOND))
    })
}

/// A client for `receiver` that trusts the authority of `other`, and shows the certificate that is for clients of `shown`.
fn tls_client(receiver: &Receiver, other: &Receiver, shown: Option<&Receiver>) -> Client {
    let client = shown.and_then(Receiver::client_pem);
    let certificates = Certificates {
        authorities: other.ca_pem().map(Into::into),
        client: client.map(|(certificate, key)| (certificate, key).into()),
    };
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    Client::new(Otlp {
        certificates,
        ..Otlp::new(endpoint, HeaderMap::new(), Some(5 * SECOND))
    })
}

/// What one request to `receiver` comes to, with a limit of a second.
fn outcome(receiver: &Receiver) -> Outcome {
    run(client(&receiver.endpoint(), Some(SECOND)).send(body()))
}

/// Answers after the first bytes of a request, reads no more, and keeps the connection.
fn half_deaf_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
            kept.push(stream);
        }
    });
    url
}

#[test]
fn refusal_stands_however_slow_its_body_is() {
    for (answer, code, retry_after) in [
        (
            &b"HTTP/1.1 503 Busy\r\nretry-after: 300\r\ncontent-length: 10\r\n\r\nabc"[..],
            503,
            Some(300 * SECOND),
        ),
        (b"HTTP/1.1 400 Bad\r\ncontent-length: 10\r\n\r\nabc", 400, None),
    ] {
        let outcome = run(client(&half_deaf_server(answer), Some(20 * SECOND)).send(body()));
        let expected = Outcome::Status {
            code,
            retry_after,
            message: String::new(),
        };
        assert_eq!(outcome, expected);
    }
}

#[test]
fn connection_that_is_still_busy_is_not_waited_for() {
    let mut client = client(
        &half_deaf_server(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"),
        Some(20 * SECOND),
    );
    let large = Bytes::from(vec![b'x'; 16 << 20]);
    run(async {
        for _ in 0..3 {
            let outcome = client.send(large.clone()).await;
            assert!(matches!(outcome, Outcome::Status { code: 503, .. }), "{outcome:?}");
        }
    });
}

#[test]
fn request_is_what_the_protocol_says() {
    let receiver = Receiver::start().unwrap();
    let headers = [("x-key", "abc"), ("user-agent", "mine")];
    let headers = headers.map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_static(v)));
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    let plain = Otlp::new(endpoint.clone(), HeaderMap::new(), None);
    let dressed = Otlp::new(endpoint, HeaderMap::from_iter(headers), None);
    assert_eq!(run(Client::new(plain).send(body())), Outcome::success());
    assert_eq!(run(Client::new(dressed).send(body())), Outcome::success());
    assert_eq!(receiver.spans().len(), 2);
    let requests = receiver.requests();
    assert_eq!(requests[0].path, "/v1/traces");
    assert_eq!(requests[0].body, body());
    for (name, value) in [
        ("content-type", "application/x-protobuf"),
        ("content-length", &body().len().to_string()),
        ("host", &receiver.address().to_string()),
        (
            "user-agent",
            concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(requests[0].header(name), Some(value));
    }
    assert_eq!(requests[1].header("x-key"), Some("abc"));
    assert_eq!(requests[1].header("user-agent"), Some("mine"));
}

#[test]
fn answers_are_read() {
    let status = |code, message: &str| Outcome::Status {
        code,
        retry_after: None,
        message: message.to_owned(),
    };
    let throttled = |code, seconds| Outcome::Status {
        code,
        retry_after: Some(Duration::from_secs(seconds)),
        message: String::new(),
    };
    let accepted = |rejected, message: &str| Outcome::Accepted {
        rejected,
        message: message.to_owned(),
    };
    let html = |answer: Answer| answer.header("content-type", "text/html; charset=utf-8");
    let long_ago = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (answer, expected) in [
        (Answer::accept(), Outcome::success()),
        (Answer::status(200), Outcome::success()),
        (Answer::status(202).body("OK"), Outcome::success()),
        (Answer::status(204), Outcome::success()),
        (Answer::accept().body("\u{1}nonsense"), Outcome::success()),
        (Answer::partial(3, "late"), accepted(3, "late")),
        (Answer::partial(0, "old"), accepted(0, "old")),
        (
            html(Answer::status(200).body("<p>")),
            Outcome::failed(Failure::NotOtlp, ""),
        ),
        (Answer::huge(100 << 20), Outcome::failed(Failure::HugeAnswer, "")),
        (Answer::status(400).message("bad ids"), status(400, "bad ids")),
        (Answer::status(401).body("no key\r\nmore"), status(401, "no key")),
        (html(Answer::status(404).body("<html>")), status(404, "")),
        (Answer::redirect("http://127.0.0.1:1/"), status(307, "")),
        (Answer::status(500), status(500, "")),
        (Answer::status(429).retry_after(7 * SECOND), throttled(429, 7)),
        (Answer::status(503).header("retry-after", long_ago), throttled(503, 0)),
        (Answer::status(503).header("retry-after", "soon"), status(503, "")),
        (Answer::status(503).header("retry-after", "-1"), status(503, "")),
    ] {
        let shown = format!("{answer:?}");
        let receiver = Receiver::with(move |_| answer.clone()).unwrap();
        assert_eq!(outcome(&receiver), expected, "{shown}");
        assert_eq!(receiver.requests().len(), 1, "{shown}");
    }
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = httpdate::parse_http_date("Fri, 20 Nov 2026 10:00:00 GMT").unwrap();
    for (value, expected) in [
        ("0", Some(0)),
        (" 120 ", Some(120)),
        ("99999999999999999999999", Some(u64::MAX)),
        ("Fri, 20 Nov 2026 10:01:00 GMT", Some(60)),
        ("Friday, 20-Nov-26 10:00:05 GMT", Some(5)),
        ("Fri, 20 Nov 2026 09:00:00 GMT", Some(0)),
        ("1.5", None),
        ("+5", None),
        ("", None),
        ("tomorrow", None),
    ] {
        assert_eq!(delay(value, now), expected.map(Duration::from_secs), "{value:?}");
    }
}

#[test]
fn every_fault_has_its_name() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tls = Receiver::start_tls().unwrap();
    let plain_to_tls = tls.endpoint().replace("https", "http");
    let plain = Receiver::start().unwrap();
    let tls_to_plain = plain.endpoint().replace("http", "https");
    // What Go's servers send to a client that does not begin with TLS.
    let go = raw_server(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n");
    // The first frame of a server that speaks HTTP/2 only.
    let grpc = raw_server(b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0");
    let half = raw_server(b"HTTP/1.1 20");
    for (url, expected) in [
        (format!("http://{closed}"), Failure::Refused),
        ("http://name.invalid".to_owned(), Failure::UnknownHost),
        (plain_to_tls, Failure::PlainToTls),
        (go, Failure::PlainToTls),
        (tls_to_plain, Failure::Tls),
        (tls.endpoint(), Failure::Tls),
        (grpc, Failure::NotHttp),
        (raw_server(b"SSH-2.0-OpenSSH_9.6\r\n"), Failure::NotHttp),
        (raw_server(b"HTTP/7.7 nonsense\r\n\r\n"), Failure::NotHttp),
        (raw_server(b""), Failure::Disconnected),
        (half, Failure::Disconnected),
    ] {
        let outcome = run(client(&url, Some(2 * SECOND)).send(body()));
        assert_eq!(failure_of(&outcome), Some(expected), "{url}: {outcome:?}");
    }
    for (answer, expected) in [
        (Answer::reset(), Failure::Disconnected),
        (Answer::cut_short(), Failure::Disconnected),
        (Answer::hang(), Failure::TimedOut),
        (Answer::accept().delay(9 * SECOND), Failure::TimedOut),
    ] {
        let shown = format!("{answer:?}");
        let receiver = Receiver::with(move |_| answer.clone()).unwrap();
        assert_eq!(failure_of(&outcome(&receiver)), Some(expected), "{shown}");
    }
}

#[test]
fn request_is_the_same_however_it_is_encoded() {
    let receiver = Receiver::start().unwrap();
    let body = body();
    for mut client in encoding_clients(&receiver.endpoint()) {
        assert_eq!(run(client.send(body.clone())), Outcome::success());
    }
    let requests = receiver.requests();
    let said: Vec<_> = requests
        .iter()
        .map(|request| {
            (
                request.header("content-type").unwrap(),
                request.header("content-encoding"),
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            ("application/x-protobuf", None),
            ("application/x-protobuf", Some("gzip")),
            ("application/json", None),
            ("application/json", Some("gzip")),
        ]
    );
    let exports: Vec<_> = requests.iter().map(|request| request.export().unwrap()).collect();
    assert!(exports.iter().all(|export| *export == exports[0]), "{exports:?}");
}

#[test]
fn answer_in_json_is_read() {
    let json = |status, body: &'static str| {
        let answer = Answer::status(status).header("content-type", "application/json");
        let answer = answer.body(body.as_bytes().to_vec());
        Receiver::with(move |_| answer.clone()).unwrap()
    };
    let partial = json(200, r#"{"partialSuccess":{"rejectedSpans":"1","errorMessage":"late"}}"#);
    let refused = json(400, r#"{"code":3,"message":"bad ids"}"#);
    let odd = json(200, r#"{"partialSuccess":"#);
    let own_form = json(401, "{\n  \"error\": \"invalid api key\"\n}");
    let upper_case = Answer::status(400).header("content-type", "Application/JSON");
    let upper_case = upper_case.body(br#"{"message":"bad ids"}"#.to_vec());
    let upper_case = Receiver::with(move |_| upper_case.clone()).unwrap();
    for (receiver, expected) in [
        (
            partial,
            Outcome::Accepted {
                rejected: 1,
                message: "late".to_owned(),
            },
        ),
        (
            refused,
            Outcome::Status {
                code: 400,
                retry_after: None,
                message: "bad ids".to_owned(),
            },
        ),
        (odd, Outcome::success()),
        (
            own_form,
            Outcome::Status {
                code: 401,
                retry_after: None,
                message: r#"{ "error": "invalid api key" }"#.to_owned(),
            },
        ),
        (
            upper_case,
            Outcome::Status {
                code: 400,
                retry_after: None,
                message: "bad ids".to_owned(),
            },
        ),
    ] {
        let mut client = encoding_client(&receiver.endpoint(), Protocol::HttpJson, Compression::None);
        assert_eq!(run(client.send(body())), expected);
    }
}

#[test]
fn certificate_is_trusted_only_with_its_authority() {
    let receiver = Receiver::start_tls().unwrap();
    let stranger = Receiver::start_tls().unwrap();
    let sent = |other: &Receiver| run(tls_client(&receiver, other, None).send(body()));
    assert_eq!(sent(&receiver), Outcome::success());
    assert_eq!(failure_of(&sent(&stranger)), Some(Failure::Tls));
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn certificate_is_shown_to_a_server_that_asks_for_one() {
    let receiver = Receiver::start_mutual_tls().unwrap();
    let stranger = Receiver::start_mutual_tls().unwrap();
    let sent = |shown: Option<&Receiver>| run(tls_client(&receiver, &receiver, shown).send(body()));
    assert_eq!(sent(Some(&receiver)), Outcome::success());
    for (shown, says) in [
        (None, "the server asks for a certificate"),
        (Some(&stranger), "refuses the certificate of this client"),
    ] {
        let outcome = sent(shown);
        assert_eq!(failure_of(&outcome), Some(Failure::Tls), "{outcome}");
        assert!(outcome.to_string().contains(says), "{outcome}");
    }
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn certificate_that_is_replaced_is_used_by_the_next_connection() {
    let receiver = Receiver::start_tls().unwrap();
    let stranger = Receiver::start_tls().unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    let mut client = Client::new(Otlp {
        certificates: Certificates {
            authorities: Some(file.path().to_owned()),
            client: None,
        },
        ..Otlp::new(endpoint, HeaderMap::new(), Some(5 * SECOND))
    });
    for (authority, expected) in [
        (None, Some(Failure::Tls)),
        (Some(&stranger), Some(Failure::Tls)),
        (Some(&receiver), None),
    ] {
        if let Some(authority) = authority {
            std::fs::copy(authority.ca_pem().unwrap(), file.path()).unwrap();
        }
        assert_eq!(failure_of(&run(client.send(body()))), expected);
    }
}

#[test]
fn one_connection_serves_many_requests_and_a_new_one_follows_when_it_was_closed() {
    let mut receiver = Receiver::start().unwrap();
    let mut client = client(&receiver.endpoint(), Some(SECOND));
    run(async {
        for _ in 0..3 {
            assert_eq!(client.send(body()).await, Outcome::success());
            assert!(client.is_connected());
        }
        receiver.restart().unwrap();
        assert_eq!(client.send(body()).await, Outcome::success());
    });
    assert_eq!(receiver.spans().len(), 4);
}

#[test]
fn host_is_found_by_its_name() {
    let receiver = Receiver::start().unwrap();
    let url = receiver.endpoint().replace("127.0.0.1", "localhost");
    assert_eq!(run(client(&url, Some(5 * SECOND)).send(body())), Outcome::success());
}

#[test]
fn real_collector_and_a_real_jaeger_take_what_is_sent() {
    if let Some(collector) = require_tool(Collector::start()) {
        let outcome = run(client(&collector.endpoint(), Some(10 * SECOND)).send(body()));
        assert_eq!(outcome, Outcome::success());
        assert_eq!(collector.wait_for(1, 10 * SECOND).unwrap()[0].name, "one");
        for (mut client, count) in encoding_clients(&collector.endpoint()).into_iter().zip(2..) {
            let outcome = run(client.send(sample::request(&["encoded"]).into()));
            assert_eq!(outcome, Outcome::success());
            let spans = collector.wait_for(count, 10 * SECOND).unwrap();
            assert_eq!(spans[count - 1].name, "encoded");
        }
        let wrong_path = format!("{}/nowhere", collector.endpoint());
        let outcome = run(client(&wrong_path, Some(10 * SECOND)).send(body()));
        assert!(matches!(outcome, Outcome::Status { code: 404, .. }), "{outcome:?}");
        let garbage = run(client(&collector.endpoint(), Some(10 * SECOND)).send("garbage".into()));
        assert!(
            matches!(&garbage, Outcome::Status { code: 400, message, .. } if !message.is_empty()),
            "{garbage:?}"
        );
    }
    if let Some(jaeger) = require_tool(Jaeger::start()) {
        let outcome = run(client(&jaeger.endpoint(), Some(10 * SECOND)).send(body()));
        assert_eq!(outcome, Outcome::success());
        for mut client in encoding_clients(&jaeger.endpoint()) {
            assert_eq!(run(client.send(body())), Outcome::success());
        }
        assert!(jaeger.trace(sample::TRACE_ID).is_ok());
    }
}
