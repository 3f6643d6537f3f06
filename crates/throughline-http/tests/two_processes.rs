//! Each adapter between two processes: the examples, whose spans arrive at one receiver as one trace.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use throughline_testkit::{Program, ReceivedSpan, Receiver, Running, Spool};

const WITHIN: Duration = Duration::from_secs(30);

struct World {
    receiver: Receiver,
    spool: Spool,
}

impl World {
    fn new() -> Self {
        Self {
            receiver: Receiver::start().unwrap(),
            spool: Spool::new().unwrap(),
        }
    }

    fn program(&self, name: &str, arguments: &[&str]) -> Program {
        let program = Program::example(name, &self.spool).unwrap();
        program
            .args(arguments)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.endpoint())
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
    }

    /// Starts a server; the first line that it prints.
    fn serve(&self, name: &str, arguments: &[&str]) -> (Running, String) {
        let running = self.program(name, arguments).spawn().unwrap();
        running.wait_for_stdout("\n").unwrap();
        let line = running.stdout().lines().next().unwrap_or_default().to_owned();
        (running, line)
    }

    /// `service: name`, indented below its parent, of all spans, in the order of names.
    fn tree(&self, count: usize) -> String {
        let spans = self.receiver.wait_for(count, WITHIN).unwrap();
        let mut out = String::new();
        let is_root = |span: &&ReceivedSpan| !spans.iter().any(|other| other.span_id() == span.parent_span_id());
        for root in sorted(spans.iter().filter(is_root)) {
            show(root, &spans, 0, &mut out);
        }
        out
    }
}

fn sorted<'a>(spans: impl Iterator<Item = &'a ReceivedSpan>) -> Vec<&'a ReceivedSpan> {
    let mut spans: Vec<_> = spans.collect();
    spans.sort_by_key(|span| span.span.start_time_unix_nano);
    spans
}

fn show(span: &ReceivedSpan, all: &[ReceivedSpan], depth: usize, out: &mut String) {
    let (service, name) = (span.service().unwrap_or_default(), &span.span.name);
    let fails = if span.span.status.as_ref().is_some_and(|status| status.code == 2) {
        " !"
    } else {
        ""
    };
    *out += &format!("{}{service}: {name}{fails}\n", "  ".repeat(depth));
    for child in sorted(all.iter().filter(|other| other.parent_span_id() == span.span_id())) {
        assert_eq!(child.trace_id(), span.trace_id());
        show(child, all, depth + 1, out);
    }
}

#[test]
fn http_servers_and_clients_make_one_trace() {
    for (server, client, arguments) in [
        ("axum_server", "reqwest_client", &[][..]),
        ("axum_server", "hyper_client", &["1"]),
        ("axum_server", "hyper_client", &["2"]),
        ("hyper_server", "hyper_client", &["1"]),
        ("hyper_server", "hyper_client", &["2"]),
    ] {
        let world = World::new();
        let (_server, url) = world.serve(server, &[]);
        let arguments: Vec<_> = [&*url].into_iter().chain(arguments.iter().copied()).collect();
        let finished = world.program(client, &arguments).run().unwrap().expect_success();
        assert_eq!(finished.stdout, "order 7\n");
        let expected =
            "shop: show order\n  shop: GET /orders/{id}\n    orders: GET /orders/{id}\n      orders: load order\n";
        assert_eq!(world.tree(4), expected, "{server} {client}");
    }
}

#[test]
fn tonic_server_and_client_make_one_trace() {
    let world = World::new();
    let (_server, url) = world.serve("tonic_server", &[]);
    world.program("tonic_client", &[&url]).run().unwrap().expect_success();
    let call = |method: &str, handled: usize| {
        let handled = "      orders: handle\n".repeat(handled);
        format!("  shop: shop.Orders/{method}\n    orders: shop.Orders/{method}\n{handled}")
    };
    let calls = [
        call("Unary", 1),
        call("ClientStream", 2),
        call("ServerStream", 2),
        call("Both", 2),
    ]
    .concat();
    assert_eq!(world.tree(16), format!("shop: check orders\n{calls}"));
}

#[test]
fn websocket_server_and_client_make_one_trace() {
    let world = World::new();
    let (_server, url) = world.serve("websockets", &[]);
    world.program("websockets", &[&url]).run().unwrap().expect_success();
    // Close is a message too.
    let tree = world.tree(5);
    let expected = "chat-client: GET\n  chat: GET /chat\n    chat: chat\n  chat-client: chat\n";
    assert!(tree.starts_with(expected), "{tree}");
    assert!(tree.ends_with("chat: chat message\n"), "{tree}");
}

#[test]
fn calls_of_ones_own_make_one_trace() {
    let world = World::new();
    let finished = world.program("rpc_calls", &[]).run().unwrap().expect_success();
    assert_eq!(finished.stdout, "Err(Failure(\"OUT_OF_STOCK\"))\n");
    assert_eq!(world.tree(2), "shop: Orders/Place !\n  shop: Orders/Place !\n");
}

#[test]
fn rpc_over_a_unix_socket_makes_one_trace() {
    let world = World::new();
    let socket = world.spool.home().join("shop.sock");
    let socket = socket.to_str().unwrap();
    let (_server, _) = world.serve("rpc_over_unix_socket", &["serve", socket]);
    let finished = world
        .program("rpc_over_unix_socket", &["call", socket])
        .run()
        .unwrap()
        .expect_success();
    assert!(
        finished
            .stdout
            .contains("Orders/List: Ok([\"one\", \"two\", \"three\"])"),
        "{}",
        finished.stdout
    );
    let expected = "shop: buy\n  shop: Connection/Hello\n    orders: Connection/Hello\n  shop: Orders/Place\n    orders: Orders/Place\n      \
                    orders: reserve stock\n      orders: Progress/Report\n        shop: Progress/Report\n  shop: Orders/List\n    \
                    orders: Orders/List\n  shop: shoprpc !\n    orders: shoprpc !\n";
    assert_eq!(world.tree(12), expected);
    let unknown = world
        .receiver
        .spans()
        .into_iter()
        .filter(|span| span.span.name == "shoprpc");
    for span in unknown {
        let text = |key| {
            span.attribute(key)
                .map(|value| format!("{value:?}"))
                .unwrap_or_default()
        };
        assert!(text("rpc.method").contains("_OTHER") && text("rpc.method_original").contains("Orders/Burn"));
        assert!(text("error.type").contains("UNKNOWN_METHOD"));
    }
}

#[test]
fn ingress_leases_once_and_hands_its_context_on() {
    let world = World::new();
    let (_application, application) = world.serve("axum_server", &[]);
    let (_ingress, ingress) = world.serve("ingress", &[&application]);
    for _ in 0..2 {
        world
            .program("hyper_client", &[&ingress])
            .run()
            .unwrap()
            .expect_success();
    }
    // The ingress is public: it links its caller.
    let shop = "shop: show order\n  shop: GET /orders/{id}\n";
    let behind = "  ingress: GET\n    orders: GET /orders/{id}\n      orders: load order\n";
    let first = format!("ingress: GET /{{*path}}\n  ingress: lease\n    ingress: start application\n{behind}");
    let second = format!("ingress: GET /{{*path}}\n  ingress: lease\n{behind}");
    assert_eq!(world.tree(15), format!("{shop}{first}{shop}{second}"));
    let spans = world.receiver.spans();
    let leases = sorted(spans.iter().filter(|span| span.span.name == "lease"));
    let cached: Vec<_> = leases
        .iter()
        .map(|lease| format!("{:?}", lease.attribute("lease.cached")))
        .collect();
    assert!(cached[0].contains("false") && cached[1].contains("true"), "{cached:?}");
    let linked = spans
        .iter()
        .filter(|span| span.span.name == "GET /{*path}")
        .all(|span| span.span.links.len() == 1);
    assert!(linked);
}
