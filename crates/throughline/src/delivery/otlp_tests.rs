use throughline_testkit::{Answer, Receiver, Request as Received, sample};

use super::testing::{SECOND, body, run};
use super::*;
use crate::config::Endpoint;
use crate::destination::Compression;

fn client(receiver: &Receiver, timeout: Option<Duration>) -> Client {
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    Client::new(Otlp::new(endpoint, HeaderMap::new(), timeout))
}

#[test]
fn request_is_compressed_once_however_often_it_is_sent() {
    let answers = |request: &Received| match request.number {
        1 => Answer::status(503),
        _ => Answer::to(request),
    };
    let receiver = Receiver::with(answers).unwrap();
    let endpoint = Endpoint::from_base(&receiver.endpoint()).unwrap();
    let mut client = Client::new(Otlp {
        compression: Compression::Gzip,
        ..Otlp::new(endpoint, HeaderMap::new(), Some(10 * SECOND))
    });
    let compressed = |client: &Client| client.encoder.last().map(|sent| sent.as_ptr());
    run(async {
        let one = body();
        let refused = client.send(one.clone()).await;
        assert!(matches!(refused, Outcome::Status { code: 503, .. }), "{refused}");
        let first = compressed(&client).expect("it is kept");
        // As it is read from the spool again.
        let again = Bytes::copy_from_slice(&one);
        assert_eq!(client.encoder.encode(again.clone()).unwrap().as_ptr(), first);
        assert_eq!(client.send(again).await, Outcome::success());
        // It is kept for no longer than it may be needed.
        assert_eq!(compressed(&client), None);
        let other: Bytes = sample::request(&["another"]).into();
        assert_eq!(client.send(other).await, Outcome::success());
    });
    let names: Vec<_> = receiver.spans().iter().map(|span| span.name.clone()).collect();
    assert_eq!(names, ["one", "another"]);
    for request in receiver.requests() {
        assert_eq!(request.header("content-encoding"), Some("gzip"));
        assert_eq!(request.body[..2], [0x1f, 0x8b], "RFC 1952, section 2.3.1");
    }
}

#[test]
fn connection_whose_answer_was_not_read_to_its_end_is_not_used_again() {
    let answers = |request: &Received| match request.number {
        1 => Answer::status(503).body(vec![b'x'; 1 << 20]),
        _ => Answer::to(request),
    };
    let receiver = Receiver::with(answers).unwrap();
    let mut client = client(&receiver, Some(SECOND));
    run(async {
        assert!(matches!(client.send(body()).await, Outcome::Status { code: 503, .. }));
        assert!(!client.is_connected());
        assert_eq!(client.send(body()).await, Outcome::success());
    });
}

#[test]
fn request_that_is_dropped_closes_its_connection() {
    let receiver = Receiver::with(|_| Answer::hang()).unwrap();
    let mut client = client(&receiver, None);
    run(async {
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, client.send(body())).await.is_err());
        assert!(!client.is_connected());
    });
}
