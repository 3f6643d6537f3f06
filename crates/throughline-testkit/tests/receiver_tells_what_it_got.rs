//! A receiver decodes what was sent, remembers requests as they came, and can come back.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use throughline_testkit::otlp::common::v1::any_value::Value;
use throughline_testkit::sample::{SPAN_ID, TRACE_ID, request};
use throughline_testkit::{Answer, Receiver, client};
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};

type Headers<'a> = &'a [(&'a str, &'a str)];

const SOON: Duration = Duration::from_secs(10);

#[test]
fn span_comes_out_with_all_that_surrounded_it() {
    let receiver = Receiver::start().unwrap();
    let headers = [
        ("content-type", "application/x-protobuf"),
        ("authorization", "Bearer x"),
    ];
    let url = format!("{}/v1/traces", receiver.endpoint());
    let response = client::send("POST", &url, &headers, &request(&["GET /orders"]), SOON).unwrap();
    assert_eq!(
        (response.status, response.header("content-type")),
        (200, Some("application/x-protobuf"))
    );

    let spans = receiver.wait_for(1, SOON).unwrap();
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.trace_id().as_str(), span.span_id().as_str()), (TRACE_ID, SPAN_ID));
    assert_eq!(
        (span.name.as_str(), span.kind, span.parent_span_id().as_str()),
        ("GET /orders", 2, "")
    );
    assert_eq!(span.attribute("order.items"), Some(&Value::IntValue(3)));
    assert_eq!((span.service(), span.scope.name.as_str()), (Some("orders"), "by hand"));
    assert_eq!(span.headers["authorization"], "Bearer x");
}

#[test]
fn requests_are_kept_as_they_came_and_only_right_ones_are_taken() {
    let body = request(&["one"]);
    let protobuf = ("content-type", "application/x-protobuf");
    #[rustfmt::skip]
    let cases: [(&str, &str, Headers<'_>, &[u8], u16); 8] = [
        ("POST", "/v1/traces", &[protobuf], &body, 200),
        ("POST", "/v1/trace", &[protobuf], &body, 404),
        ("GET", "/v1/traces", &[protobuf], b"", 405),
        ("POST", "/v1/traces", &[("content-type", "application/json")], b"{}", 200),
        ("POST", "/v1/traces", &[("content-type", "application/xml")], b"{}", 415),
        ("POST", "/v1/traces", &[protobuf, ("content-encoding", "zstd")], &body, 415),
        ("POST", "/v1/traces", &[protobuf, ("content-encoding", "gzip")], &body, 400),
        ("POST", "/v1/traces", &[protobuf], b"\x0a\xff", 400),
    ];
    let receiver = Receiver::start().unwrap();
    for (number, (method, path, headers, body, status)) in (1..).zip(cases) {
        let response = client::send(method, &format!("{}{path}", receiver.endpoint()), headers, body, SOON).unwrap();
        assert_eq!(response.status, status, "{method} {path} {headers:?}");
        let requests = receiver.requests();
        let last = requests.last().unwrap();
        assert_eq!(
            (last.number, last.method.as_str(), last.path.as_str()),
            (number, method, path)
        );
        assert_eq!(&last.body[..], body);
    }
    assert_eq!(receiver.requests().len(), cases.len());
    assert_eq!(receiver.spans().len(), 1);
}

#[test]
fn waiting_ends_when_the_spans_come_and_not_later_than_said() {
    let receiver = Receiver::start().unwrap();
    let late = receiver.wait_for(1, Duration::from_millis(20)).unwrap_err();
    assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    assert!(late.to_string().ends_with("for 1 spans, got 0"), "{late}");

    let url = format!("{}/v1/traces", receiver.endpoint());
    let spans = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| receiver.wait_for(2, SOON));
        client::post(&url, &request(&["one"])).unwrap();
        client::post(&url, &request(&["two"])).unwrap();
        waiting.join().unwrap().unwrap()
    });
    assert_eq!(
        spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(),
        ["one", "two"]
    );
}

#[test]
fn stopped_receiver_refuses_and_comes_back_on_its_port_remembering() {
    let mut receiver = Receiver::start().unwrap();
    let url = format!("{}/v1/traces", receiver.endpoint());
    for round in 1..=5 {
        client::post(&url, &request(&["again"])).unwrap();
        receiver.stop();
        assert_eq!(
            client::post(&url, b"").unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        receiver.restart().unwrap();
        assert_eq!(receiver.spans().len(), round);
    }
}

#[test]
fn stopping_does_not_wait_for_a_request_that_hangs() {
    let mut receiver = Receiver::with(|_| Answer::hang()).unwrap();
    let url = format!("{}/v1/traces", receiver.endpoint());
    std::thread::scope(|scope| {
        let hanging = scope.spawn(|| client::post(&url, b""));
        receiver.wait_for_requests(1, SOON).unwrap();
        receiver.stop();
        assert!(hanging.join().unwrap().is_err());
    });
}

#[test]
fn over_tls_only_its_own_authority_vouches_for_it() {
    let receiver = Receiver::start_tls().unwrap();
    assert!(receiver.endpoint().starts_with("https://127.0.0.1:"));
    let trusting = |of: &Receiver| {
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(of.ca_pem().unwrap()).unwrap())
            .unwrap();
        let ring = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(ring)
            .with_safe_default_protocol_versions()
            .unwrap();
        Arc::new(config.with_root_certificates(roots).with_no_client_auth())
    };
    let post = |config, host: &'static str| -> io::Result<String> {
        let name = ServerName::try_from(host).unwrap();
        let mut session = rustls::ClientConnection::new(config, name).unwrap();
        let mut socket = TcpStream::connect(receiver.address())?;
        let mut stream = rustls::Stream::new(&mut session, &mut socket);
        let body = request(&["secret"]);
        let length = body.len();
        write!(
            stream,
            "POST /v1/traces HTTP/1.0\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
        )?;
        stream.write_all(&body)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    for host in ["127.0.0.1", "localhost"] {
        let answer = post(trusting(&receiver), host).unwrap();
        assert!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    }
    assert_eq!(receiver.spans().len(), 2);

    let stranger = Receiver::start_tls().unwrap();
    let refused = post(trusting(&stranger), "127.0.0.1").unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    assert_eq!(receiver.spans().len(), 2);
}
