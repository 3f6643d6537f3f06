//! Each fault a test can order of a receiver does what it says.

use std::io;
use std::time::{Duration, Instant};

use throughline_testkit::otlp::collector::trace::v1::ExportTraceServiceResponse;
use throughline_testkit::prost::Message as _;
use throughline_testkit::sample::request;
use throughline_testkit::{Answer, Receiver, client};

/// Posts three spans to a receiver that always gives this answer.
fn post(answer: Answer) -> (io::Result<client::Response>, Receiver) {
    let receiver = Receiver::with(move |_| answer.clone()).expect("a free port and a thread");
    let response = client::post(&format!("{}/any/path", receiver.endpoint()), &request(&["a", "b", "c"]));
    assert_eq!(receiver.requests().len(), 1, "{response:?}");
    (response, receiver)
}

/// An answer; the status, a header and the body that come of it; how many of three spans it takes.
type Case = (Answer, u16, (&'static str, &'static str), &'static [u8], usize);

#[test]
fn statuses_headers_and_bodies_are_sent_as_given() {
    let minute = Duration::from_secs(60);
    #[rustfmt::skip]
    let cases: [Case; 7] = [
        (Answer::accept(), 200, ("content-type", "application/x-protobuf"), b"", 3),
        (Answer::status(202).body("ok"), 202, ("content-length", "2"), b"ok", 3),
        (Answer::status(503), 503, ("content-length", "0"), b"", 0),
        (Answer::status(429).retry_after(minute), 429, ("retry-after", "60"), b"", 0),
        (Answer::status(400).message("no"), 400, ("content-type", "application/x-protobuf"), b"\x12\x02no", 0),
        (Answer::status(500).header("x-odd", "1").body("<html>"), 500, ("x-odd", "1"), b"<html>", 0),
        (Answer::redirect("http://127.0.0.1:1/"), 307, ("location", "http://127.0.0.1:1/"), b"", 0),
    ];
    for (answer, status, (name, value), body, taken) in cases {
        let (response, receiver) = post(answer.clone());
        let response = response.unwrap();
        assert_eq!(
            (response.status, response.header(name)),
            (status, Some(value)),
            "{answer:?}"
        );
        assert_eq!(response.body, body, "{answer:?}");
        assert_eq!(receiver.spans().len(), taken, "{answer:?}");
    }
}

#[test]
fn partial_success_says_how_many_and_takes_the_others() {
    for (rejected, left) in [(0, 3), (1, 2), (3, 0), (9, 0)] {
        let (response, receiver) = post(Answer::partial(rejected, "too many"));
        let partial = ExportTraceServiceResponse::decode(response.unwrap().body.as_slice())
            .unwrap()
            .partial_success;
        let partial = partial.unwrap();
        assert_eq!(
            (partial.rejected_spans, partial.error_message.as_str()),
            (i64::from(rejected), "too many")
        );
        assert_eq!(receiver.spans().len(), left);
    }
}

#[test]
fn reset_connection_is_reset_and_not_just_closed() {
    let (response, receiver) = post(Answer::reset());
    assert_eq!(response.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(receiver.spans(), []);
}

#[test]
fn spans_can_be_taken_and_the_answer_lost() {
    let (response, receiver) = post(Answer::reset().taken());
    assert_eq!(response.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(receiver.spans().len(), 3);
}

#[test]
fn answer_cut_short_promises_more_than_it_gives() {
    let (response, receiver) = post(Answer::cut_short());
    assert_eq!(response.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(receiver.spans(), []);
}

#[test]
fn hanging_request_gets_no_answer() {
    let receiver = Receiver::with(|_| Answer::hang()).unwrap();
    let patience = Duration::from_millis(100);
    let error = client::send(
        "POST",
        &format!("{}/v1/traces", receiver.endpoint()),
        &[],
        b"",
        patience,
    )
    .unwrap_err();
    assert!(
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        "{error:?}"
    );
    receiver.wait_for_requests(1, Duration::from_secs(10)).unwrap();
}

#[test]
fn huge_body_is_as_long_as_ordered() {
    let (response, _receiver) = post(Answer::huge(100 << 20));
    let response = response.unwrap();
    assert_eq!((response.status, response.body.len()), (200, 100 << 20));
}

#[test]
fn delayed_answer_is_late_and_takes_nothing_from_a_client_that_gave_up() {
    let delay = Duration::from_millis(30);
    let start = Instant::now();
    let (response, receiver) = post(Answer::accept().delay(delay));
    assert_eq!(response.unwrap().status, 200);
    assert!(start.elapsed() >= delay);
    assert_eq!(receiver.spans().len(), 3);

    let receiver = Receiver::with(|request| match request.number {
        1 => Answer::accept().delay(Duration::from_millis(200)),
        _ => Answer::accept().delay(Duration::from_millis(400)),
    })
    .unwrap();
    let url = format!("{}/v1/traces", receiver.endpoint());
    client::send("POST", &url, &[], &request(&["gave up"]), Duration::from_millis(20)).unwrap_err();
    client::post(&url, &request(&["stayed"])).unwrap();
    assert_eq!(
        receiver
            .spans()
            .iter()
            .map(|span| span.name.as_str())
            .collect::<Vec<_>>(),
        ["stayed"]
    );
}

#[test]
fn answers_follow_the_number_of_the_request() {
    let receiver = Receiver::with(|request| {
        if request.number % 2 == 1 {
            Answer::status(503)
        } else {
            Answer::to(request)
        }
    })
    .unwrap();
    let url = format!("{}/v1/traces", receiver.endpoint());
    let statuses = [0; 4].map(|_| client::post(&url, &request(&["x"])).unwrap().status);
    assert_eq!(statuses, [503, 200, 503, 200]);
    assert_eq!(receiver.spans().len(), 2);
}
