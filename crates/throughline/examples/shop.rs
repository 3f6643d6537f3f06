//! A small shop over HTTP on this machine: customers, a server with several threads, a payment that fails, and a report at the end.
//!
//!     cargo run -p throughline --example shop
//!
//! It shows context over HTTP, errors, events, links, a sampler by name, and redaction. What it prints last says where to look.
#![expect(clippy::print_stdout, reason = "it is a program to look at")]

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use throughline::{Content, Context, Redaction, Sampler, Span, TraceId, event, extract, inject, link, span, traced};

const SERVERS: usize = 3;
const CUSTOMERS: u64 = 4;
const ORDERS_OF_EACH: u64 = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let tracing = throughline::builder("shop")
        .resource("deployment.environment.name", "example")
        // Health checks come often and tell nothing.
        .sampler(Sampler::by_name([("GET /health", Sampler::always_off())], Sampler::always_on()).parent_based())
        // Addresses of customers stay in this process.
        .redact(|content: &Content<'_>| match content {
            Content::Attribute("customer.email", _) => Redaction::Replace("<removed>".to_owned()),
            _ => Redaction::Keep,
        })
        .redact(throughline::redact_keys(["card.number"]))
        .init();

    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| -> io::Result<()> {
        let servers: Vec<_> = (0..SERVERS).map(|_| scope.spawn(|| serve(&listener))).collect();
        let customers: Vec<_> = (0..CUSTOMERS)
            .map(|customer| {
                scope.spawn({
                    let done = &done;
                    move || shop(customer, address, done)
                })
            })
            .collect();
        for customer in customers {
            customer.join().expect("a customer does not panic")?;
        }
        for _ in 0..SERVERS {
            request(address, "GET", "/stop")?;
        }
        for server in servers {
            server.join().expect("a server does not panic")?;
        }
        Ok(())
    })?;
    let orders = done.into_inner().expect("nobody panicked");
    let report = report_sales(&orders);

    let declined = orders.iter().filter(|order| !order.is_paid).count();
    println!("{} orders, {declined} of them declined.", orders.len());
    println!("{}", tracing.flush(Duration::from_secs(2)).wait());
    println!("\nLook at it:");
    println!("  throughline ls --service shop");
    println!("  throughline ls --error                    the orders whose card was declined");
    if let Some(declined) = orders.iter().find(|order| !order.is_paid) {
        println!(
            "  throughline view {} --attributes    one of them",
            &declined.trace.to_string()[..8]
        );
    }
    println!(
        "  throughline view {} --attributes    the report, with a link to each order",
        &report.to_string()[..8]
    );
    Ok(())
}

/// What became of an order, and the span that knows more.
struct Order {
    context: Context,
    trace: TraceId,
    is_paid: bool,
}

/// One customer, on a thread of its own. Each order is a trace.
fn shop(customer: u64, address: SocketAddr, done: &Mutex<Vec<Order>>) -> io::Result<()> {
    for number in 0..ORDERS_OF_EACH {
        request(address, "GET", "/health")?;
        let order = customer * 100 + number;
        let span = span!(
            "buy",
            order.id = order,
            customer.email = format!("customer{customer}@example.com")
        )
        .enter();
        let context = Context::current();
        let answer = request(address, "POST", &format!("/orders/{order}"))?;
        let is_paid = answer.starts_with("201");
        if !is_paid {
            span.status_error("the shop did not take the order");
        }
        let trace = context.trace_id().expect("a span is current");
        done.lock().expect("nobody panics with it").push(Order {
            context,
            trace,
            is_paid,
        });
    }
    Ok(())
}

/// A client's side of HTTP: the span is of kind `Client`, and its context travels in the headers.
fn request(address: SocketAddr, method: &str, path: &str) -> io::Result<String> {
    let mut span = span!(
        kind: Client,
        &format!("{method} {}", route(path)),
        http.request.method = method,
        server.address = %address.ip(),
        server.port = address.port(),
    )
    .enter();
    let headers: HashMap<String, String> = inject(HashMap::new());
    let answer = exchange(address, method, path, &headers);
    match &answer {
        Ok(answer) => set_status(&mut span, answer),
        Err(error) => span.error(error),
    }
    answer
}

fn set_status(span: &mut throughline::Entered, answer: &str) {
    let code: i64 = answer.split(' ').next().and_then(|code| code.parse().ok()).unwrap_or(0);
    span.set("http.response.status_code", code);
    if code >= 400 {
        span.status_error("");
    }
}

fn exchange(address: SocketAddr, method: &str, path: &str, headers: &HashMap<String, String>) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{text}\r\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(answer.trim_start_matches("HTTP/1.1 ").trim_end().to_owned())
}

/// One of the server's threads.
fn serve(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut stream, _from) = listener.accept()?;
        let mut lines = BufReader::new(&stream).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        let headers: Vec<(String, String)> = lines
            .map_while(Result::ok)
            .take_while(|line| !line.is_empty())
            .filter_map(|line| {
                line.split_once(": ")
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
            })
            .collect();
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut span = span!(
            parent: extract(&headers),
            kind: Server,
            &format!("{method} {}", route(path)),
            http.request.method = method,
            http.route = route(path),
            url.path = path,
        );
        let answer = span.in_scope(|| answer(path));
        span.set("http.response.status_code", answer);
        if answer >= 500 {
            span.status_error("");
        }
        drop(span); // before the client goes on
        stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes())?;
        if path == "/stop" {
            return Ok(());
        }
    }
}

/// The name of what is asked for: few spans' names, however many orders there are.
fn route(path: &str) -> &str {
    if path.starts_with("/orders/") {
        "/orders/{id}"
    } else {
        path
    }
}

fn answer(path: &str) -> i64 {
    let Some(order) = path.strip_prefix("/orders/").and_then(|id| id.parse().ok()) else {
        return 200;
    };
    reserve(order);
    match charge(order) {
        Ok(()) => 201,
        Err(_declined) => 402,
    }
}

fn reserve(order: u64) {
    let span: Span = span!("reserve", order.id = order);
    let _span = span.enter();
    if order % 100 == 1 {
        event!("cache miss", item.id = order % 7);
        thread::sleep(Duration::from_millis(15));
    }
    thread::sleep(Duration::from_millis(3));
}

/// An `Err` becomes the span's status and its event `exception`.
#[traced(fields(order.id = order, card.number = "4000 0000 0000 0002"))]
fn charge(order: u64) -> Result<(), Declined> {
    for attempt in 1..=2 {
        let mut call = span!(kind: Client, "bank", attempt);
        thread::sleep(Duration::from_millis(5));
        if order % 5 != 2 {
            return Ok(());
        }
        call.error(&Declined);
    }
    Err(Declined)
}

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the card is declined")
    }
}

impl Error for Declined {}

/// Work that belongs to many traces is a trace of its own, and links to them.
fn report_sales(orders: &[Order]) -> TraceId {
    let span = span!(parent: Context::root(), "report sales", orders.count = orders.len()).enter();
    for order in orders {
        link!(span: span, &order.context, order.paid = order.is_paid);
    }
    Context::current().trace_id().expect("a span is current")
}
