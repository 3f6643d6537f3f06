use std::io::Write as _;
use std::net::TcpListener;

use throughline_testkit::{Answer, Collector, Jaeger, Receiver, require_tool, sample};

use super::super::otlp::Client;
use super::super::otlp::testing::{SECOND, body, failure_of, raw_server, run};
use super::*;
use crate::config::{Certificates, Endpoint};
use crate::destination::Protocol;

fn destination(url: &str) -> Otlp {
    Otlp {
        protocol: Protocol::Grpc,
        ..Otlp::new(
            Endpoint::of_grpc(url, true).unwrap(),
            HeaderMap::new(),
            Some(5 * SECOND),
        )
    }
}

fn rpc(status: RpcStatus, message: &str) -> Outcome {
    Outcome::Rpc {
        status,
        retry_after: None,
        message: message.to_owned(),
    }
}

/// What one call to a server that answers so comes to.
fn outcome(answer: Answer) -> Outcome {
    let receiver = Receiver::with_grpc(move |_| answer.clone()).unwrap();
    run(Client::new(destination(&receiver.endpoint())).send(body()))
}

#[test]
fn call_is_what_the_protocol_says() {
    let receiver = Receiver::start_grpc().unwrap();
    let mut to = destination(&receiver.endpoint());
    to.headers.insert("x-key", HeaderValue::from_static("abc"));
    let mut client = Client::new(to);
    let outcomes = run(async { [client.send(body()).await, client.send(body()).await] });
    assert_eq!(outcomes, [Outcome::success(), Outcome::success()]);
    assert_eq!(receiver.spans().len(), 2);
    let request = &receiver.requests()[0];
    assert_eq!(request.path, PATH);
    for (name, value) in [
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("grpc-timeout", "5000m"),
        ("x-key", "abc"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    assert_eq!(request.body[..PREFIX], [0, 0, 0, 0, body().len() as u8]);
}

#[test]
fn large_batch_arrives_whole_compressed_or_not() {
    let names: Vec<String> = (0..20_000).map(|n| format!("span {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let body = Bytes::from(sample::request(&names));
    assert!(body.len() > 1 << 20);
    for compression in [Compression::None, Compression::Gzip] {
        let receiver = Receiver::start_grpc().unwrap();
        let mut client = Client::new(Otlp {
            compression,
            ..destination(&receiver.endpoint())
        });
        assert_eq!(run(client.send(body.clone())), Outcome::success());
        assert_eq!(receiver.spans().len(), names.len());
        let request = &receiver.requests()[0];
        assert_eq!(
            request.header("grpc-encoding"),
            (compression == Compression::Gzip).then_some("gzip")
        );
    }
}

#[test]
fn statuses_are_read_from_trailers_and_from_headers() {
    let throttled = "CAgaMgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIGCgQIARAA";
    for (answer, expected) in [
        (
            Answer::rpc(3, "bad%20ids %E2%82%AC"),
            rpc(RpcStatus(3), "bad ids \u{20ac}"),
        ),
        (Answer::rpc(3, "100%").trailers_only(), rpc(RpcStatus(3), "100%")),
        (Answer::rpc(14, ""), rpc(RpcStatus::UNAVAILABLE, "")),
        (
            Answer::rpc(16, "no such key").trailers_only(),
            rpc(RpcStatus::UNAUTHENTICATED, "no such key"),
        ),
        (Answer::rpc(99, ""), rpc(RpcStatus(99), "")),
        (Answer::rpc(8, "").trailer("grpc-status", "x"), rpc(RpcStatus(2), "")),
        (
            Answer::rpc(8, "").trailer("grpc-status-details-bin", throttled),
            Outcome::Rpc {
                status: RpcStatus::RESOURCE_EXHAUSTED,
                retry_after: Some(SECOND),
                message: String::new(),
            },
        ),
        (
            Answer::rpc_partial(1, "too old"),
            Outcome::Accepted {
                rejected: 1,
                message: "too old".to_owned(),
            },
        ),
        (
            Answer::status(502),
            Outcome::Status {
                code: 502,
                retry_after: None,
                message: String::new(),
            },
        ),
    ] {
        assert_eq!(outcome(answer), expected);
    }
}

#[test]
fn hostile_answers_are_failures_and_bounded() {
    for (answer, expected) in [
        (Answer::reset(), Failure::Disconnected),
        (Answer::status(200), Failure::NotGrpc),
        (
            Answer::status(200).header("content-type", "text/html"),
            Failure::NotGrpc,
        ),
        (
            Answer::status(200).header("content-type", "application/grpc"),
            Failure::NotGrpc,
        ),
        (
            Answer::huge(1 << 40).header("content-type", "application/grpc"),
            Failure::HugeAnswer,
        ),
    ] {
        let shown = format!("{answer:?}");
        let outcome = outcome(answer);
        // The receiver says `application/x-protobuf` first in some of them: then it is no gRPC.
        let found = failure_of(&outcome);
        assert!(
            found == Some(expected) || found == Some(Failure::NotGrpc),
            "{shown} {outcome:?}"
        );
    }
    let receiver = Receiver::with_grpc(|_| Answer::hang()).unwrap();
    let mut client = Client::new(Otlp {
        timeout: Some(SECOND / 4),
        ..destination(&receiver.endpoint())
    });
    assert_eq!(failure_of(&run(client.send(body()))), Some(Failure::TimedOut));
    // Lies about the length of its message: success is said by the status.
    let lying = Answer::rpc(0, "").body(&b"\0\xff\xff\xff\xff"[..]);
    assert_eq!(outcome(lying), Outcome::success());
}

/// A server whose answer begins before it has read the request, with this status of HTTP and this one of gRPC in its head.
fn early_server(code: u16, status: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        run(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                tokio::spawn(async move {
                    let head = http::Response::builder().status(code).header(CONTENT_TYPE, GRPC);
                    if let Some(status) = status {
                        let head = head.header(STATUS, status).body(()).unwrap();
                        respond.send_response(head, true).unwrap();
                        return;
                    }
                    let mut answer = respond.send_response(head.body(()).unwrap(), false).unwrap();
                    let mut body = request.into_body();
                    while let Some(Ok(part)) = body.data().await {
                        let _ = body.flow_control().release_capacity(part.len());
                    }
                    answer.send_data(Bytes::from_static(&[0; PREFIX]), false).unwrap();
                    let ok = HeaderMap::from_iter([(STATUS.parse().unwrap(), HeaderValue::from_static("0"))]);
                    answer.send_trailers(ok).unwrap();
                });
            }
        });
    });
    url
}

#[test]
fn answer_that_begins_early_does_not_stop_what_is_being_sent() {
    let names: Vec<String> = (0..20_000).map(|n| format!("span {n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let large = Bytes::from(sample::request(&names));
    let outcome = run(Client::new(destination(&early_server(200, None))).send(large));
    assert_eq!(outcome, Outcome::success());
}

#[test]
fn status_of_grpc_says_more_than_that_of_http() {
    let outcome = run(Client::new(destination(&early_server(400, Some("14")))).send(body()));
    assert_eq!(outcome, rpc(RpcStatus::UNAVAILABLE, ""));
}

#[test]
fn connection_whose_peer_reads_no_more_ends_with_its_request() {
    // SETTINGS with the largest window, and a WINDOW_UPDATE of the connection: all of the body may be sent.
    const OPEN: &[u8] = b"\0\0\x06\x04\0\0\0\0\0\0\x04\x7f\xff\xff\xff\0\0\x04\x08\0\0\0\0\0\x40\0\0\0";
    const LEN: usize = 32 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (given_up, until_given_up) = std::sync::mpsc::channel::<()>();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(OPEN).unwrap();
        until_given_up.recv().unwrap();
        // Only now it reads on: what was on its way comes, and then nothing.
        std::io::copy(&mut stream, &mut std::io::sink()).unwrap_or_default()
    });
    let received = run(async {
        let mut client = Client::new(Otlp {
            timeout: Some(SECOND / 2),
            ..destination(&url)
        });
        let outcome = client.send(Bytes::from(vec![b'x'; LEN])).await;
        assert_eq!(failure_of(&outcome), Some(Failure::TimedOut));
        given_up.send(()).unwrap();
        // The client is there still, and its runtime runs.
        let joined = tokio::task::spawn_blocking(|| server.join().unwrap()).await.unwrap();
        drop(client);
        joined
    });
    assert!(received < LEN as u64, "{received}");
}

#[test]
fn server_that_does_not_speak_http2_is_named() {
    for (answer, expected) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Failure::NotHttp2),
        (b"\x15\x03\x01\x00\x02\x02\x46", Failure::PlainToTls),
        (b"", Failure::Disconnected),
        // A storm: each connection is given up at once (SETTINGS, then GOAWAY).
        (
            b"\0\0\0\x04\0\0\0\0\0\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b",
            Failure::Disconnected,
        ),
    ] {
        let outcome = run(Client::new(destination(&raw_server(answer))).send(body()));
        assert_eq!(failure_of(&outcome), Some(expected), "{outcome:?}");
    }
    let silent = run(Client::new(destination(&raw_server(b""))).send(body()));
    assert!(silent.to_string().contains("does this port speak gRPC"), "{silent}");
    // And HTTP/1.1 at a port of gRPC.
    let receiver = Receiver::start_grpc().unwrap();
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    let mut client = Client::new(Otlp::new(endpoint, HeaderMap::new(), Some(SECOND)));
    assert_eq!(failure_of(&run(client.send(body()))), Some(Failure::NotHttp));
}

#[test]
fn mutual_tls_works_and_its_failures_are_named() {
    let receiver = Receiver::start_grpc_mutual_tls().unwrap();
    let with = |certificates| {
        let mut client = Client::new(Otlp {
            certificates,
            ..destination(&receiver.endpoint())
        });
        run(client.send(body()))
    };
    let authorities = receiver.ca_pem().map(Into::into);
    let client = receiver
        .client_pem()
        .map(|(certificate, key)| (certificate, key).into());
    assert_eq!(with(Certificates { authorities, client }), Outcome::success());
    let without = with(Certificates {
        authorities: receiver.ca_pem().map(Into::into),
        client: None,
    });
    assert_eq!(failure_of(&without), Some(Failure::Tls), "{without:?}");
    assert_eq!(failure_of(&with(Certificates::default())), Some(Failure::Tls));
}

#[test]
fn connection_is_kept_and_made_anew_when_the_backend_has_closed_it() {
    let mut receiver = Receiver::start_grpc().unwrap();
    let mut client = Client::new(destination(&receiver.endpoint()));
    run(async {
        assert_eq!(client.send(body()).await, Outcome::success());
        assert!(client.is_connected());
        receiver.restart().unwrap();
        assert_eq!(client.send(body()).await, Outcome::success());
        receiver.stop();
        let refused = client.send(body()).await;
        assert_eq!(failure_of(&refused), Some(Failure::Refused), "{refused:?}");
        receiver.restart().unwrap();
        assert_eq!(client.send(body()).await, Outcome::success());
    });
    assert_eq!(receiver.spans().len(), 3);
}

#[test]
fn real_backends_take_what_is_sent_by_grpc() {
    let Some(collector) = require_tool(Collector::start()) else {
        return;
    };
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    for compression in [Compression::None, Compression::Gzip] {
        for endpoint in [collector.grpc_endpoint(), jaeger.grpc_endpoint()] {
            let mut client = Client::new(Otlp {
                compression,
                ..destination(&endpoint)
            });
            let outcomes = run(async { [client.send(body()).await, client.send(body()).await] });
            assert_eq!(
                outcomes,
                [Outcome::success(), Outcome::success()],
                "{endpoint} {compression:?}"
            );
        }
    }
    assert_eq!(collector.spans().len(), 4);
    // What it cannot read it refuses.
    let broken = run(Client::new(destination(&collector.grpc_endpoint())).send(Bytes::from_static(b"\x0a\xff")));
    assert!(matches!(broken, Outcome::Rpc { .. }), "{broken:?}");
}
