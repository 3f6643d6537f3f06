//! A server that speaks a protocol of its own over TCP, answers at once, and works later from a durable endpoint.
//!
//! A request is a line, `<key> <route> <data>`; the answer is a line. The key is that of [`RequestKey`].

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use throughline_jobs::endpoint::{Endpoint, Entry, Metadata, Middleware, Select};
use throughline_jobs::{Request, RequestKey};

fn main() -> Result<(), Box<dyn Error>> {
    let _tracing = throughline::init("tracker");
    let path = std::env::args().nth(1).ok_or("the path of the endpoint's file")?;
    let endpoint = Endpoint::builder("report.create")
        .max_attempts(2)
        .middleware(Tenant)
        .open(path)?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    say(&format!("listening on {}", listener.local_addr()?));
    thread::scope(|scope| {
        scope.spawn(|| work(&endpoint));
        for stream in listener.incoming() {
            if let Err(error) = stream.and_then(|stream| answer(&endpoint, stream)) {
                say(&format!("connection lost: {error}"));
            }
        }
    });
    Ok(())
}

fn answer(endpoint: &Endpoint, mut stream: TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        let mut words = line.splitn(3, ' ');
        let (key, route, data) = (
            words.next(),
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let Some(key) = key.and_then(|key| key.parse::<RequestKey>().ok()) else {
            writeln!(stream, "no key")?;
            continue;
        };
        let answer = route_to(endpoint, key, route, data).unwrap_or_else(|error| format!("failed: {error}"));
        writeln!(stream, "{answer}")?;
    }
    Ok(())
}

fn route_to(endpoint: &Endpoint, key: RequestKey, route: &str, data: &str) -> Result<String, Box<dyn Error>> {
    let request = Request::new(key, route);
    match route {
        "report.create" => request
            .serve()
            .run(|| Ok(format!("queued {}", endpoint.push(key, data.as_bytes())?))),
        "report.read" => request.serve().run(|| Err("no such report".into())),
        "errors.inspect" => request.serve().run(|| {
            let entries = endpoint.errors().inspect(Select::All)?;
            let show = |entry: &Entry| {
                format!(
                    "{} tenant={}",
                    String::from_utf8_lossy(entry.data()),
                    entry.metadata()["tenant"]
                )
            };
            Ok(entries.iter().map(show).collect::<Vec<_>>().join(", "))
        }),
        "errors.reprocess" => request
            .serve()
            .run(|| Ok(format!("{} again", endpoint.errors().reprocess(Select::All)?))),
        _ => Request::unknown(key, route).serve().run(|| Err("no such route".into())),
    }
}

/// `hang` hangs in its first attempt, `poison` in each; `broken` fails until it is reprocessed.
fn work(endpoint: &Endpoint) {
    loop {
        let worked = endpoint.process_next(|entry| {
            let attempts = entry.context().attempts();
            match entry.data() {
                data if data == b"poison" || data == b"hang" && attempts == 0 => {
                    say("hanging");
                    loop {
                        thread::park();
                    }
                }
                b"broken" if attempts < 2 => Err("broken report"),
                data => {
                    say(&format!("done {}", String::from_utf8_lossy(data)));
                    Ok(())
                }
            }
        });
        match worked {
            Ok(Some(_)) => say(&format!("{:?}", endpoint.counts())),
            Ok(None) => drop(endpoint.wait(Duration::from_secs(1))),
            Err(error) => {
                say(&format!("the endpoint: {error}"));
                let _ = endpoint.wait(Duration::from_secs(1));
            }
        }
    }
}

struct Tenant;

impl Middleware for Tenant {
    fn before_push(&self, _: RequestKey, _: &[u8]) -> Metadata {
        Metadata::from([("tenant".to_owned(), "acme".to_owned())])
    }
}

#[expect(clippy::print_stdout, reason = "it is a program to look at")]
fn say(text: &str) {
    println!("{text}");
}
