//! An RPC of one's own over a Unix socket: a handshake, calls, streams, and callbacks from the server, all in one trace.
//!
//! `cargo run --example rpc_over_unix_socket -- serve /tmp/shop.sock`, and then the same with `call`.

#![allow(clippy::print_stdout, reason = "it says when it listens")]

use std::collections::HashMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};

use throughline::{extract, span};
use throughline_http::Trust;
use throughline_http::rpc::{self, Call, Failure};

const SYSTEM: &str = "shoprpc";
const METHODS: [&str; 4] = ["Connection/Hello", "Orders/Place", "Orders/List", "Progress/Report"];

/// What a framework says of a call.
struct Method<'a>(&'a str);

impl Call for Method<'_> {
    fn system(&self) -> &str {
        SYSTEM
    }

    fn method(&self) -> Option<&str> {
        METHODS.contains(&self.0).then_some(self.0)
    }

    fn original_method(&self) -> Option<&str> {
        Some(self.0)
    }
}

/// A line of JSON: what it is, the method or the answer, and metadata.
type Message = (String, String, HashMap<String, String>);

struct Wire {
    lines: BufReader<UnixStream>,
}

impl Wire {
    fn new(stream: UnixStream) -> Self {
        Self {
            lines: BufReader::new(stream),
        }
    }

    fn write(&mut self, kind: &str, text: &str, metadata: HashMap<String, String>) -> io::Result<()> {
        let mut line = serde_json::to_vec(&(kind, text, metadata))?;
        line.push(b'\n');
        self.lines.get_mut().write_all(&line)
    }

    /// `None` at the end of the connection.
    fn read(&mut self) -> io::Result<Option<Message>> {
        let mut line = String::new();
        match self.lines.read_line(&mut line)? {
            0 => Ok(None),
            _ => Ok(Some(serde_json::from_str(&line)?)),
        }
    }

    /// Calls the other side, serves its callbacks meanwhile, and reads until the answer is complete.
    fn call(&mut self, method: &str) -> Result<Vec<String>, Failure> {
        let mut metadata = HashMap::new();
        let mut call = rpc::client(&Method(method), &mut metadata);
        let answers = call.in_scope(|| {
            self.write("call", method, metadata)
                .map_err(|_| Failure("CONNECTION_LOST"))?;
            self.answers()
        });
        call.finish(&answers);
        answers
    }

    fn answers(&mut self) -> Result<Vec<String>, Failure> {
        let mut items = Vec::new();
        loop {
            let message = self.read().map_err(|_| Failure("BAD_MESSAGE"))?;
            let (kind, text, metadata) = message.ok_or(Failure("CONNECTION_LOST"))?;
            match &*kind {
                "call" => self.serve(&text, &metadata),
                "item" => items.push(text),
                "end" => return Ok(items),
                _ => return Err(Failure("UNKNOWN_METHOD")),
            }
        }
    }

    /// Serves one call of the other side.
    fn serve(&mut self, method: &str, metadata: &HashMap<String, String>) {
        let mut call = rpc::server(&Method(method), extract(metadata), Trust::Trust);
        let served = call.in_scope(|| self.answer(method));
        call.finish(&served);
    }

    fn answer(&mut self, method: &str) -> Result<(), Failure> {
        let items: &[&str] = match method {
            "Connection/Hello" => &["hello"],
            "Orders/Place" => {
                span!("reserve stock").end();
                // A callback: the same, the other way round.
                self.call("Progress/Report")?;
                &["placed"]
            }
            "Orders/List" => &["one", "two", "three"],
            "Progress/Report" => &[],
            _ => {
                let _connection_may_be_lost = self.write("error", "", HashMap::new());
                return Err(Failure("UNKNOWN_METHOD"));
            }
        };
        let mut answer = || {
            items
                .iter()
                .try_for_each(|item| self.write("item", item, HashMap::new()))?;
            self.write("end", "", HashMap::new())
        };
        answer().map_err(|_: io::Error| Failure("CONNECTION_LOST"))
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [role, path] if role == "serve" => {
            let _tracing = throughline::init("orders");
            let listener = UnixListener::bind(path)?;
            println!("listening");
            for stream in listener.incoming() {
                let mut wire = Wire::new(stream?);
                while let Ok(Some((_, method, metadata))) = wire.read() {
                    wire.serve(&method, &metadata);
                }
            }
        }
        [role, path] if role == "call" => {
            let _tracing = throughline::init("shop");
            let mut wire = Wire::new(UnixStream::connect(path)?);
            span!("buy").in_scope(|| {
                for method in ["Connection/Hello", "Orders/Place", "Orders/List", "Orders/Burn"] {
                    println!("{method}: {:?}", wire.call(method));
                }
            });
        }
        _ => return Err("serve PATH, or call PATH".into()),
    }
    Ok(())
}
