//! Spans for an RPC of one's own: calls that are awaited, streams, drops and panics.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::borrow::Cow;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::{FutureExt as _, StreamExt as _, stream};
use throughline::{SpanKind, span, testing};
use throughline_http::Trust;
use throughline_http::rpc::{self, Call, Failure, Named, Outcome, Side};

struct CallersFault;

impl Outcome for CallersFault {
    fn status_code(&self) -> Option<Cow<'_, str>> {
        Some("NO_SUCH_ORDER".into())
    }

    fn is_error(&self, side: Side) -> bool {
        side == Side::Client
    }

    fn description(&self) -> Option<Cow<'_, str>> {
        Some("order 7 is not there".into())
    }
}

const PLACE: &str = "Orders/Place";

fn client() -> rpc::RpcSpan {
    rpc::client(&Named::new("shoprpc", PLACE), HashMap::new())
}

fn server() -> rpc::RpcSpan {
    rpc::server(&Named::new("shoprpc", PLACE), None, Trust::Trust)
}

#[test]
fn outcome_decides_by_its_side() {
    let capture = testing::capture();
    client().finish(&Ok::<(), CallersFault>(()));
    client().finish(&CallersFault);
    server().finish(&Err::<(), _>(CallersFault));
    server().finish(&Failure("DISK_FULL"));
    drop((client(), server()));
    let spans = capture.spans();
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            let text = |key| {
                span.attribute(key)
                    .and_then(|value| value.as_str().map(str::to_owned))
                    .unwrap_or_default()
            };
            format!(
                "{:?} {} {} {} {}",
                span.kind(),
                text("rpc.status_code"),
                text("error.type"),
                span.is_error(),
                span.status().1
            )
        })
        .collect();
    let expected = [
        "Client   false ",
        "Client NO_SUCH_ORDER NO_SUCH_ORDER true order 7 is not there",
        "Server NO_SUCH_ORDER  false ",
        "Server DISK_FULL DISK_FULL true ",
    ];
    assert_eq!(shown[..4], expected);
    let mut dropped = shown[4..].to_vec();
    dropped.sort();
    assert_eq!(
        dropped,
        ["Client CANCELLED CANCELLED true ", "Server CANCELLED  false "]
    );
}

#[test]
fn future_is_run_as_its_call() {
    let capture = testing::capture();
    let placed = async {
        span!("reserve").end();
        Ok::<u32, Failure>(7)
    };
    assert_eq!(client().around(placed).now_or_never().unwrap(), Ok(7));
    let waits = async { std::future::pending::<Result<(), Failure>>().await };
    let mut waits = Box::pin(client().around(waits));
    assert!((&mut waits).now_or_never().is_none());
    drop(waits);
    capture.assert_tree("Orders/Place\n  reserve\nOrders/Place !");
}

#[test]
fn stream_is_a_call_until_it_ends_or_fails() {
    let capture = testing::capture();
    for items in [vec![Ok(1), Ok(2)], vec![Ok(1), Err(Failure("BROKEN")), Ok(3)]] {
        let items = stream::iter(items).inspect(|_| span!("item").end());
        let _all: Vec<_> = client().around(items).collect::<Vec<_>>().now_or_never().unwrap();
    }
    let endless = stream::repeat(Ok::<_, Failure>(1)).inspect(|_| span!("item").end());
    drop(client().around(endless).take(1).collect::<Vec<_>>().now_or_never());
    capture.assert_tree(
        "Orders/Place\n  item\n  item\nOrders/Place ! {error.type=BROKEN, ..}\n  item\n  item\n  item\n\
         Orders/Place ! {rpc.status_code=CANCELLED, ..}\n  item",
    );
}

#[test]
fn panic_is_a_failure_and_goes_on() {
    let capture = testing::capture();
    let mut call = server();
    let panicked = catch_unwind(AssertUnwindSafe(|| call.in_scope(|| panic!("handler broke"))));
    assert!(panicked.is_err());
    drop(call);
    capture.assert_tree("Orders/Place ! {error.type=panic, rpc.system.name=shoprpc, rpc.method=Orders/Place}");
    assert_eq!(capture.span(PLACE).status().1, "panicked: handler broke");
}

#[test]
fn context_crosses_as_far_as_it_is_trusted() {
    struct Elsewhere;
    impl Call for Elsewhere {
        fn system(&self) -> &str {
            "shoprpc"
        }
        fn method(&self) -> Option<&str> {
            None
        }
        fn original_method(&self) -> Option<&str> {
            Some("Orders/Burn")
        }
        fn server(&self) -> Option<(&str, Option<u16>)> {
            Some(("/run/shop.sock", None))
        }
    }
    for (trust, expected) in [
        (
            Trust::Trust,
            "shoprpc {rpc.method=_OTHER, rpc.method_original=Orders/Burn, server.address=/run/shop.sock, ..}\n  Orders/Place",
        ),
        (Trust::Link, "shoprpc\nOrders/Place"),
        (Trust::Ignore, "shoprpc\nOrders/Place"),
    ] {
        let capture = testing::capture();
        let mut metadata = HashMap::from([("TraceParent".to_owned(), "stale".to_owned())]);
        let call = rpc::client(&Elsewhere, &mut metadata);
        let served = rpc::server(&Named::new("shoprpc", PLACE), throughline::extract(&metadata), trust);
        served.finish(&Ok::<(), Failure>(()));
        call.finish(&Ok::<(), Failure>(()));
        capture.assert_tree(expected);
        let served = capture.span(PLACE);
        assert_eq!(
            (served.kind(), served.links().count()),
            (SpanKind::Server, usize::from(trust == Trust::Link))
        );
        assert_eq!(metadata.len(), 1);
    }
}
