//! A backend in a process of its own that counts spans and keeps nothing.
//!
//! It speaks as much HTTP/1.1 as the deliverer does: requests with a `Content-Length`, one after another over a
//! connection; or gRPC, where that is wanted. It serves the loopback interface only, on a port that the system chooses, and ends when its standard input
//! does.

use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use flate2::read::GzDecoder;

use super::role::{Role, Setting};
use super::{grpc, otlp};
use crate::process;

/// A running backend.
#[derive(Debug)]
pub struct Receiver {
    child: Child,
    input: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    port: u16,
}

impl Receiver {
    /// Starts one for HTTP/1.1.
    ///
    /// # Errors
    ///
    /// If that is not possible.
    pub fn start() -> io::Result<Self> {
        Self::run(false)
    }

    /// Starts one for gRPC.
    ///
    /// # Errors
    ///
    /// If that is not possible.
    pub fn start_grpc() -> io::Result<Self> {
        Self::run(true)
    }

    fn run(grpc: bool) -> io::Result<Self> {
        let setting = Setting {
            grpc,
            ..Setting::default()
        };
        let mut child = process::again(&[])?
            .args(Role::Receiver.arguments())
            .args(setting.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        let answers = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut receiver = Self {
            child,
            input,
            answers: BufReader::new(answers),
            port: 0,
        };
        receiver.port = u16::try_from(receiver.answer()?).map_err(io::Error::other)?;
        Ok(receiver)
    }

    /// Where it is reached.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Stops it, and returns how many spans have arrived.
    ///
    /// # Errors
    ///
    /// If it has gone already.
    pub fn stop(mut self) -> io::Result<u64> {
        self.input = None;
        self.answer()
    }

    fn answer(&mut self) -> io::Result<u64> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        line.trim_end().parse().map_err(io::Error::other)
    }
}

impl Drop for Receiver {
    /// Hangs up, which ends the process, and waits for that.
    fn drop(&mut self) {
        self.input = None;
        // There is nothing left to do for it if this fails.
        let _ = self.child.wait();
    }
}

pub(super) static SPANS: AtomicU64 = AtomicU64::new(0);

/// Is a backend until its input ends. Writes its port first, and in the end how many spans have arrived.
///
/// # Errors
///
/// If it cannot listen or write.
pub fn serve(grpc: bool, mut input: impl io::Read, mut answers: impl Write) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(answers, "{}", listener.local_addr()?.port())?;
    answers.flush()?;
    // It ends with the process.
    thread::spawn(move || accept(&listener, if grpc { grpc::converse } else { converse }));
    io::copy(&mut input, &mut io::sink())?;
    writeln!(answers, "{}", SPANS.load(Ordering::Acquire))
}

fn accept(listener: &TcpListener, converse: fn(&TcpStream) -> io::Result<()>) {
    const MOST: usize = 16;
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    for connection in listener.incoming().flatten() {
        if OPEN.fetch_add(1, Ordering::Relaxed) >= MOST {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        thread::spawn(move || {
            // A connection that fails is closed: the deliverer sees that.
            let _ = converse(&connection);
            OPEN.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// Answers requests until the other end has no more, or sends something else.
fn converse(connection: &TcpStream) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut requests = BufReader::with_capacity(256 << 10, connection);
    let mut body = Vec::new();
    while let Some(is_gzip) = read_request(&mut requests, &mut body)? {
        if is_gzip {
            let compressed = std::mem::take(&mut body);
            GzDecoder::new(&*compressed).take(LONGEST_BODY).read_to_end(&mut body)?;
        }
        let Some(spans) = otlp::spans(&body) else {
            write!(
                &mut &*connection,
                "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"
            )?;
            continue;
        };
        SPANS.fetch_add(spans, Ordering::Release);
        let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n";
        (&mut &*connection).write_all(answer.as_bytes())?;
    }
    Ok(())
}

const LONGEST_BODY: u64 = 64 << 20;

/// Reads a request's body, and says whether it is compressed; nothing where there is no further request.
fn read_request(requests: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<Option<bool>> {
    const LONGEST_HEAD: u64 = 64 << 10;
    let refuse = |what| Err(io::Error::new(io::ErrorKind::InvalidData, what));

    let mut head = requests.by_ref().take(LONGEST_HEAD);
    let mut line = String::new();
    if head.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut length = None;
    let mut is_gzip = false;
    loop {
        line.clear();
        if head.read_line(&mut line)? == 0 {
            return refuse("a head that is cut or too long");
        }
        match line.trim_end().split_once(':') {
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse::<u64>().ok();
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-encoding") => {
                is_gzip = value.trim() == "gzip";
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let Some(length) = length.filter(|length| *length <= LONGEST_BODY) else {
        return refuse("a request without a length, or too long");
    };
    body.clear();
    if requests.take(length).read_to_end(body)? as u64 != length {
        return refuse("a body that is cut");
    }
    Ok(Some(is_gzip))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8]) -> io::Result<Vec<Vec<u8>>> {
        let mut bodies = Vec::new();
        let mut body = Vec::new();
        while read_request(&mut bytes, &mut body)?.is_some() {
            bodies.push(body.clone());
        }
        Ok(bodies)
    }

    #[test]
    fn requests_follow_one_another_over_a_connection() {
        let two = b"POST /v1/traces HTTP/1.1\r\nhost: x:1\r\nContent-Length: 3\r\n\r\nabc\
                    POST /v1/traces HTTP/1.1\r\ncontent-length:0\r\n\r\n";
        assert_eq!(read(two).expect("well-formed"), [b"abc".to_vec(), Vec::new()]);
        assert!(read(b"").expect("well-formed").is_empty());
    }

    #[test]
    fn request_that_is_cut_too_long_or_without_a_length_is_refused() {
        let long_head = format!("POST / HTTP/1.1\r\nx: {}\r\n", "x".repeat(64 << 10));
        for request in [
            "POST / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: many\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nab",
            "POST / HTTP/1.1\r\ncontent-length: 3\r\n",
            &long_head,
        ] {
            assert!(read(request.as_bytes()).is_err(), "{:.40}", request);
        }
    }

    #[test]
    fn connection_gets_an_answer_to_each_request() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address)?;
            // A request of one empty span, and one that is no protobuf.
            stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 6\r\n\r\n\x0a\x04\x12\x02\x12\x00")?;
            stream.write_all(b"POST / HTTP/1.1\r\ncontent-length: 1\r\n\r\n\x0a")?;
            stream.shutdown(std::net::Shutdown::Write)?;
            io::read_to_string(stream)
        });
        let (connection, _) = listener.accept().expect("somebody connects");
        converse(&connection).expect("the client is well-behaved");
        drop(connection);
        let answers = client.join().expect("no panic").expect("answers");
        let codes: Vec<_> = answers.lines().filter(|line| line.starts_with("HTTP")).collect();
        assert_eq!(codes, ["HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request"]);
        assert_eq!(SPANS.load(Ordering::Acquire), 1);
    }
}
