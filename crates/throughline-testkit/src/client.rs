//! One blocking HTTP request by hand, over a plain connection of its own.
//!
//! It speaks HTTP/1.0, so that every server answers without chunks and closes when it is done. It
//! knows neither TLS nor redirects: what a server says is what the test gets to see.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The answer to [`get`], [`post`] or [`send`].
#[derive(Debug)]
pub struct Response {
    /// The status code, such as 200.
    pub status: u16,
    /// Names in lower case, and values, in the order they came.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header with this name, given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(each, _)| each == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Fetches `url`, waiting at most ten seconds for each step. See [`send`].
///
/// # Errors
///
/// Those of [`send`].
pub fn get(url: &str) -> io::Result<Response> {
    send("GET", url, &[], b"", PATIENCE)
}

/// Posts `body` as `application/x-protobuf`, waiting at most ten seconds for each step. See [`send`].
///
/// ```
/// use throughline_testkit::{Receiver, client};
///
/// let receiver = Receiver::start()?;
/// let response = client::post(&format!("{}/v1/traces", receiver.endpoint()), b"")?;
/// assert_eq!(response.status, 200);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Those of [`send`].
pub fn post(url: &str, body: &[u8]) -> io::Result<Response> {
    send(
        "POST",
        url,
        &[("content-type", "application/x-protobuf")],
        body,
        PATIENCE,
    )
}

/// Sends one request to `url`, `http://<address>:<port>/<path>`, and reads the whole answer.
///
/// # Errors
///
/// `InvalidInput` for another kind of URL, `InvalidData` for what is not HTTP, `UnexpectedEof` when
/// the connection ends before the announced length, `WouldBlock` or `TimedOut` when `patience` ends,
/// and those of the connection.
pub fn send(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    patience: Duration,
) -> io::Result<Response> {
    let (address, path) = split(url)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("not a plain loopback URL: {url}")))?;
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;

    let mut request = format!(
        "{method} {path} HTTP/1.0\r\nhost: {address}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;

    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let response =
        parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))?;
    match response.header("content-length").and_then(|length| length.parse().ok()) {
        Some(length) if response.body.len() < length => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(response),
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

fn split(url: &str) -> Option<(SocketAddr, &str)> {
    let rest = url.strip_prefix("http://")?;
    let slash = rest.find('/')?;
    Some((rest[..slash].parse().ok()?, &rest[slash..]))
}

fn parse(answer: &[u8]) -> Option<Response> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = str::from_utf8(&answer[..end]).ok()?.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<_>>()?;
    Some(Response {
        status,
        headers,
        body: answer[end + 4..].to_vec(),
    })
}
