//! Bearer tokens that a program fetches: when they are fetched, and what becomes of requests meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use throughline::{BearerToken, Destination, span};
use throughline_testkit::{Answer, Receiver, Request, Spool};

const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn token_is_fetched_once_replaces_a_header_and_is_fetched_anew_when_it_is_refused() {
    // The first token is taken back after the second request.
    let answer = |request: &Request| match (request.header("authorization"), request.number) {
        (Some("Bearer token 1"), 1 | 2) => Answer::to(request),
        (Some("Bearer token 2"), _) => Answer::to(request),
        _ => Answer::status(401),
    };
    let receiver = Receiver::with(answer).expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let fetched = Arc::new(AtomicU32::new(0));
    let source = {
        let fetched = fetched.clone();
        move || {
            let fetched = fetched.clone();
            async move {
                // It may wait, on the runtime that runs it; and what it makes is not traced.
                tokio::time::sleep(Duration::from_millis(1)).await;
                span!("fetch a token").end();
                match fetched.fetch_add(1, Ordering::Relaxed) {
                    0 => Err(std::io::Error::other("not now")),
                    number => Ok(BearerToken::new(format!("token {number}"))),
                }
            }
        }
    };
    let destination = Destination::otlp(receiver.endpoint())
        .header("authorization", "Bearer old")
        .header("x-other", "1")
        .bearer_token(source);
    assert!(!format!("{destination:?}").contains("old"));
    let tracing = throughline::builder("tokens")
        .spool_dir(spool.path())
        .destination(destination)
        .schedule_delay(Duration::from_millis(10))
        .init();
    for number in 1..=4 {
        span!(parent: None, "work").end();
        receiver.wait_for(number, PATIENCE).expect("it is delivered in the end");
        let _report = tracing.flush(PATIENCE).wait();
    }
    let report = tracing.flush(PATIENCE).wait();
    assert_eq!((report.delivered(), report.pending()), (4, 0), "{report}");
    // One failed, one for the first two requests, one when that was refused.
    assert_eq!(fetched.load(Ordering::Relaxed), 3);
    let sent: Vec<_> = receiver
        .requests()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    let token = |number: u32| Some(format!("Bearer token {number}"));
    assert_eq!(sent, [token(1), token(1), token(1), token(2), token(2)]);
    assert!(
        receiver
            .requests()
            .iter()
            .all(|request| request.header("x-other") == Some("1"))
    );
}
