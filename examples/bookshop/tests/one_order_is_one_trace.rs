//! An order goes through six programs, over HTTP, gRPC, SQL, a queue and a command line: one tree, in `throughline view` and in a
//! real Jaeger.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use throughline_testkit::{Jaeger, Port, Program, Redis, Running, Spool, require_tool};

/// What `throughline view` draws, without times and bars.
const TREE: &str = "\
buy: buy
POST
shop: POST /orders
GET /stock/{book}
stock: GET /stock/{book}
bookshop.Prices/Price
prices: bookshop.Prices/Price
INSERT orders
send receipts
worker: process receipts
receipt
receipt: print receipt
set
print";

#[test]
fn order_is_one_tree_in_view_and_in_jaeger() {
    let Some(redis) = require_tool(Redis::start()) else {
        return;
    };
    let Some(jaeger) = require_tool(Jaeger::start()) else {
        return;
    };
    let spool = Spool::new().expect("a private directory");
    let [shop, stock, prices] = [(); 3].map(|()| Port::reserve().expect("a free port"));
    let program = |name: &str| {
        Program::binary(name, &spool)
            .expect("Cargo builds the programs of this package")
            .env("REDIS", redis.url())
            .env("SHOP", shop.address().to_string())
            .env("STOCK", stock.address().to_string())
            .env("PRICES", prices.address().to_string())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", jaeger.endpoint())
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
    };
    let _running: Vec<Running> = ["stock", "prices", "shop", "worker"]
        .map(|name| program(name).spawn().expect("it starts"))
        .into();
    for port in [&shop, &stock, &prices] {
        listens(port);
    }

    let bought = program("buy")
        .arg("The Mythical Man-Month")
        .run()
        .expect("it runs")
        .expect_success();
    assert_eq!(bought.stdout, "order 1: 22.50\n");

    let count = TREE.lines().count();
    let found = eventually(|| {
        let listed = throughline(&spool, &["ls", "--json"]);
        let trace: Value = listed
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .next()?;
        let id = trace["traceId"].as_str()?.to_owned();
        let spans = jaeger.trace(&id).ok()?["spans"].as_array()?.clone();
        (spans.len() == count).then_some((id, spans))
    });
    let (id, spans) = found.unwrap_or_else(|| panic!("{}", throughline(&spool, &["view", "last"])));

    let drawn = throughline(&spool, &["view", &id]);
    let names: Vec<_> = drawn.lines().filter_map(name_of).collect();
    assert_eq!(names.join("\n"), TREE, "{drawn}");
    assert!(!drawn.contains('!'), "nothing has failed: {drawn}");

    let roots = spans
        .iter()
        .filter(|span| span["references"].as_array().is_none_or(Vec::is_empty));
    let roots: Vec<_> = roots
        .map(|span| span["operationName"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(roots, ["buy"], "in Jaeger, all are below one");
}

#[test]
fn order_that_cannot_be_served_is_an_error_along_its_way() {
    let Some(redis) = require_tool(Redis::start()) else {
        return;
    };
    let spool = Spool::new().expect("a private directory");
    let [shop, stock] = [(); 2].map(|()| Port::reserve().expect("a free port"));
    let program = |name: &str| {
        Program::binary(name, &spool)
            .expect("Cargo builds the programs of this package")
            .env("REDIS", redis.url())
            .env("SHOP", shop.address().to_string())
            .env("STOCK", stock.address().to_string())
    };
    let _running = ["stock", "shop"].map(|name| program(name).spawn().expect("it starts"));
    listens(&shop);
    listens(&stock);

    let refused = program("buy").arg("A book that nobody has").run().expect("it runs");
    assert_eq!(refused.code, Some(1));
    // The servers live: what they have recorded so far is read.
    let drawn = eventually(|| {
        let drawn = throughline(&spool, &["view", "last"]);
        (drawn.lines().filter_map(name_of).count() == 5).then_some(drawn)
    });
    let drawn = drawn.unwrap_or_else(|| panic!("{}", throughline(&spool, &["view", "last"])));
    let failed: Vec<_> = drawn
        .lines()
        .filter(|line| line.starts_with('!'))
        .filter_map(name_of)
        .collect();
    // The stock's answer, 404, is the caller's mistake; for whoever called it is a failure.
    assert_eq!(
        failed,
        ["buy: buy", "POST", "shop: POST /orders", "GET /stock/{book}"],
        "{drawn}"
    );
}

fn throughline(spool: &Spool, arguments: &[&str]) -> String {
    let program = Program::binary("throughline", spool).expect("`cargo build -p throughline-cli` has built it");
    program.args(arguments).run().expect("it runs").stdout
}

/// The name in a line of the waterfall: behind the branches, before the bar.
fn name_of(line: &str) -> Option<String> {
    let is_branch = |letter: char| matches!(letter, '!' | '?' | '│' | '├' | '└' | '─' | ' ');
    let bar = line.find(['█', '░', '▏', '▎', '▍', '▌', '▋', '▊', '▉'])?;
    Some(line[..bar].trim_start_matches(is_branch).trim_end().to_owned())
}

fn listens(port: &Port) {
    let connected = eventually(|| std::net::TcpStream::connect(port.address()).ok());
    connected.unwrap_or_else(|| panic!("nothing listens on {}", port.address()));
}

/// Asks until there is an answer, for at most 30 s.
fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() > deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
