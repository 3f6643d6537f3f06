//! Spans arrive in every protocol and compression that the variables can choose, and on every way to a backend.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use throughline_testkit::{Collector, Jaeger, Program, ReceivedSpan, Receiver, Spool, require_tool};

const PATIENCE: Duration = Duration::from_secs(20);

/// A program that ends 2,000 small spans and 20 large ones, with these variables.
fn program(spool: &Spool, variables: &[(&str, String)]) -> Program {
    let program = Program::example("program_steps", spool).expect("Cargo builds the examples of this package");
    let program = program.args(["spans=2000", "large=20", "flush=10000"]);
    variables
        .iter()
        .fold(program, |program, (name, value)| program.env(name, value))
}

fn run(variables: &[(&str, String)]) {
    let spool = Spool::new().expect("a private directory");
    let finished = program(&spool, variables).run().expect("it runs");
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{finished}");
}

/// Each span once, with all it was given.
fn assert_all_arrived(mut spans: Vec<ReceivedSpan>) {
    assert_eq!(spans.len(), 2020, "each comes once");
    spans.sort_by_key(|span| (span.name.clone(), span.span_id()));
    spans.dedup_by_key(|span| span.span_id());
    assert_eq!(spans.len(), 2020, "none comes twice");
    let large = spans.iter().filter(|span| span.name == "large");
    assert!(
        large
            .clone()
            .all(|span| format!("{:?}", span.attribute("text")).len() > 1000)
    );
    assert_eq!(large.count(), 20);
    assert!(
        spans
            .iter()
            .all(|span| span.attribute("number").is_some() && span.service() == Some("steps"))
    );
}

#[test]
fn protocols_and_compressions_that_variables_choose_are_used() {
    for (protocol, content_type) in [
        ("http/protobuf", "application/x-protobuf"),
        ("http/json", "application/json"),
        ("grpc", "application/grpc"),
    ] {
        for compression in ["none", "gzip"] {
            let is_grpc = protocol == "grpc";
            let receiver = if is_grpc {
                Receiver::start_grpc()
            } else {
                Receiver::start()
            };
            let receiver = receiver.expect("loopback has a free port");
            run(&[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint()),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", compression.to_owned()),
            ]);
            assert_all_arrived(receiver.wait_for(2020, PATIENCE).expect("they are sent"));
            for request in receiver.requests() {
                assert_eq!(request.header("content-type"), Some(content_type));
                let encoding = (compression != "none").then_some(compression);
                let name = if is_grpc { "grpc-encoding" } else { "content-encoding" };
                assert_eq!(request.header(name), encoding);
            }
        }
    }
}

#[test]
fn grpc_with_mutual_tls_is_chosen_by_variables() {
    let receiver = Receiver::start_grpc_mutual_tls().expect("loopback has a free port");
    let path = |path: &std::path::Path| path.to_str().expect("a plain path").to_owned();
    let (certificate, key) = receiver.client_pem().expect("it asks for one");
    run(&[
        // Without a scheme: TLS, unless OTEL_EXPORTER_OTLP_INSECURE says otherwise.
        ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.address().to_string()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            path(receiver.ca_pem().expect("it has one")),
        ),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", path(certificate)),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", path(key)),
    ]);
    assert_all_arrived(receiver.wait_for(2020, PATIENCE).expect("they are sent"));
}

#[test]
fn real_backends_take_all_protocols_and_compressions() {
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    for (protocol, is_grpc) in [("grpc", true), ("http/protobuf", false), ("http/json", false)] {
        for compression in ["none", "gzip"] {
            let Some(collector) = require_tool(Collector::start()) else {
                return;
            };
            let endpoints = match is_grpc {
                true => [collector.grpc_endpoint(), jaeger.grpc_endpoint()],
                false => [collector.endpoint(), jaeger.endpoint()],
            };
            for endpoint in endpoints {
                run(&[
                    ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                    ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
                    ("OTEL_EXPORTER_OTLP_COMPRESSION", compression.to_owned()),
                ]);
            }
            assert_all_arrived(collector.wait_for(2020, PATIENCE).expect("they are sent"));
        }
    }
}

#[test]
fn bytes_go_through_a_socket_file() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let directory = tempfile::tempdir().expect("a private directory");
    let path = directory.path().join("otel.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a path that is free");
    let backend = receiver.address();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let backend = TcpStream::connect(backend).expect("it listens");
            let (mut to, mut from) = (backend.try_clone().expect("a copy"), backend);
            let (mut requests, mut answers) = (client.try_clone().expect("a copy"), client);
            thread::spawn(move || std::io::copy(&mut requests, &mut to));
            thread::spawn(move || std::io::copy(&mut from, &mut answers));
        }
    });
    run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", format!("unix:{}", path.display()))]);
    assert_all_arrived(receiver.wait_for(2020, PATIENCE).expect("they are sent"));
    assert_eq!(receiver.requests()[0].path, "/v1/traces");
}

/// A proxy that lets `CONNECT` through to one backend, whatever name is asked for, and notes what it was asked.
fn proxy(backend: std::net::SocketAddr, asked: Arc<Mutex<Vec<String>>>) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read_exact(&mut byte).is_ok() {
                head.push(byte[0]);
            }
            asked
                .lock()
                .expect("nobody panics")
                .push(String::from_utf8_lossy(&head).into_owned());
            client
                .write_all(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
                .expect("it listens");
            let backend = TcpStream::connect(backend).expect("it listens");
            let (mut to, mut from) = (backend.try_clone().expect("a copy"), backend);
            let (mut requests, mut answers) = (client.try_clone().expect("a copy"), client);
            thread::spawn(move || std::io::copy(&mut requests, &mut to));
            thread::spawn(move || std::io::copy(&mut from, &mut answers));
        }
    });
    address
}

#[test]
fn requests_go_through_the_proxy_that_variables_name() {
    for is_grpc in [false, true] {
        let receiver = if is_grpc {
            Receiver::start_grpc()
        } else {
            Receiver::start()
        };
        let receiver = receiver.expect("loopback has a free port");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let proxy = proxy(receiver.address(), asked.clone());
        run(&[
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "http://collector.invalid:4318".to_owned(),
            ),
            (
                "OTEL_EXPORTER_OTLP_PROTOCOL",
                if is_grpc { "grpc" } else { "http/protobuf" }.to_owned(),
            ),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret".to_owned()),
            ("HTTP_PROXY", format!("http://user:pass%20word@{proxy}")),
        ]);
        assert_all_arrived(receiver.wait_for(2020, PATIENCE).expect("they are sent"));
        let asked = asked.lock().expect("nobody panics");
        assert_eq!(
            asked[0],
            "CONNECT collector.invalid:4318 HTTP/1.1\r\nHost: collector.invalid:4318\r\n\
             Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=\r\n\r\n"
        );
    }
}

#[test]
fn proxy_that_refuses_is_named_without_its_password() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        }
    });
    let spool = Spool::new().expect("a private directory");
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "http://collector.invalid:4318".to_owned(),
        ),
        ("HTTP_PROXY", format!("http://user:s3cret@{address}")),
    ];
    let finished = program(&spool, &variables).run().expect("it runs");
    let said = &*finished.stderr;
    assert!(said.contains("407") && said.contains(&address.to_string()), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}
