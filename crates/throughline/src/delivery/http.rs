//! OTLP over HTTP/1.1: posts a body, reads the answer. Redirects are not followed: keys are for the host they were given for.

use std::borrow::Cow;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use throughline_wire::json::{self, InvalidJson};
use throughline_wire::response;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::connect::{AbortOnDrop, Stream};
use super::outcome::{Failure, Outcome};
use super::tls::tls_failure;
use crate::config::Otlp;
use crate::destination::{Compression, Protocol};

/// "After decompression, over = non-retryable."
const LONGEST_ANSWER: usize = 4 << 20;
/// Of an answer that is no success only a message is wanted.
const LONGEST_REFUSAL: usize = 64 << 10;

/// How long a connection that is kept may take until it takes a request.
const READY: Duration = Duration::from_millis(100);
/// How long the body of a refusal may take.
const REFUSAL: Duration = Duration::from_secs(1);

const OTLP: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// What every request has beside the headers of its destination.
pub(super) fn headers(destination: &Otlp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        match destination.protocol {
            Protocol::HttpJson => JSON,
            Protocol::HttpProtobuf | Protocol::Grpc => OTLP,
        },
    );
    if destination.compression == Compression::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let host = HeaderValue::from_str(destination.endpoint.authority())
        .expect("a parsed authority has visible ASCII characters only");
    headers.insert(HOST, host);
    headers
}

/// Takes one request at a time.
pub(super) struct Connection {
    requests: SendRequest<Body>,
    /// Bytes that were taken to be sent.
    sent: Arc<AtomicU64>,
    is_tls: bool,
    /// What drives it: without it nothing is sent any more, and it is closed.
    _driver: AbortOnDrop,
}

impl Connection {
    /// Begins HTTP/1.1; the connection is driven by a task on the current runtime until it is dropped.
    pub async fn open(stream: Stream) -> Result<Self, Outcome> {
        let sent = stream.sent();
        let is_tls = stream.is_tls();
        let (requests, connection) = http1::handshake(ForHyper(stream))
            .await
            .map_err(|error| Outcome::failed(Failure::Disconnected, error))?;
        // What it ends with reaches the request as well.
        let driver = AbortOnDrop::spawn(async { drop(connection.await) });
        Ok(Self {
            requests,
            sent,
            is_tls,
            _driver: driver,
        })
    }

    /// `None`: it takes no request any more.
    pub async fn still_there(mut self) -> Option<Self> {
        let ready = tokio::time::timeout(READY, self.requests.ready()).await;
        ready.ok()?.ok()?;
        Some(self)
    }

    /// The outcome, and the connection if another request may go out on it.
    pub async fn exchange(mut self, request: Request<Bytes>) -> (Outcome, Option<Self>) {
        let all = self.sent.load(Ordering::Relaxed) + request.body().len() as u64;
        match self.requests.send_request(request.map(|body| Body(Some(body)))).await {
            Ok(response) => {
                let (outcome, whole) = read(response, self.is_tls).await;
                // The rest of an answer that was not read to its end would be taken for the next. And who has answered before all
                // was sent may never read the rest.
                let may_go_on = whole && self.sent.load(Ordering::Relaxed) >= all;
                (outcome, may_go_on.then_some(self))
            }
            Err(error) => (failure(&error), None),
        }
    }
}

/// A body that is there as a whole.
struct Body(Option<Bytes>);

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|all| Ok(Frame::data(all))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |all| all.len() as u64))
    }
}

/// Tokio's stream as hyper's.
struct ForHyper(Stream);

impl hyper::rt::Read for ForHyper {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Answers are short. The copy spares the unsafe code of reading into unset memory.
        let mut space = [0; 4096];
        let size = buffer.remaining().min(space.len());
        let mut part = ReadBuf::new(&mut space[..size]);
        ready!(Pin::new(&mut self.0).poll_read(cx, &mut part))?;
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for ForHyper {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// The outcome, and whether the answer was read to its end.
async fn read(response: Response<Incoming>, over_tls: bool) -> (Outcome, bool) {
    let (head, body) = response.into_parts();
    let success = head.status.is_success();
    let limit = if success { LONGEST_ANSWER } else { LONGEST_REFUSAL };
    let reading = async {
        match success {
            true => read_body(body, limit).await,
            // What it says beside the status is not worth more.
            false => tokio::time::timeout(REFUSAL, read_body(body, limit))
                .await
                .unwrap_or(Ok((Vec::new(), false))),
        }
    };
    let (body, whole) = match reading.await {
        Ok(read) => read,
        // A refusal stands, however its body ends.
        Err(_) if !success => (Vec::new(), false),
        Err(error) => return (failure(&error), false),
    };
    let kind = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    // "The type and subtype tokens are case-insensitive": RFC 9110, section 8.3.1.
    let kind = &*kind.to_ascii_lowercase();
    let outcome = if !success {
        refusal(head.status.as_u16(), &head.headers, kind, &body, over_tls)
    } else if !whole {
        Outcome::failed(Failure::HugeAnswer, "")
    } else if kind.starts_with(b"text/html") {
        Outcome::failed(Failure::NotOtlp, "")
    } else {
        acceptance(kind, &body)
    };
    (outcome, whole)
}

fn acceptance(kind: &[u8], body: &[u8]) -> Outcome {
    // Success is said by the status. Some backends add a text of their own.
    let body = as_protobuf(kind, body, json::read_response);
    let partial = body.and_then(|body| response::partial_success(&body).ok().flatten());
    let partial = partial.unwrap_or_default();
    Outcome::Accepted {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    }
}

/// What was answered, where it is OTLP: `read` is for JSON.
fn as_protobuf<'a>(
    kind: &[u8],
    body: &'a [u8],
    read: fn(&[u8]) -> Result<Vec<u8>, InvalidJson>,
) -> Option<Cow<'a, [u8]>> {
    if kind.starts_with(OTLP.as_bytes()) {
        Some(body.into())
    } else if kind.starts_with(JSON.as_bytes()) {
        read(body).ok().map(Cow::Owned)
    } else {
        None
    }
}

fn refusal(code: u16, headers: &HeaderMap, kind: &[u8], body: &[u8], over_tls: bool) -> Outcome {
    let status = as_protobuf(kind, body, json::read_status).and_then(|body| response::rpc_status(&body).ok());
    let said = status.map(|status| status.message).filter(|said| !said.is_empty());
    let is_text = !kind.starts_with(OTLP.as_bytes()) && !kind.starts_with(b"text/html");
    let message = match said {
        Some(said) => said,
        // Whatever else a backend says, in a form of its own.
        None if is_text => {
            let text = String::from_utf8_lossy(body);
            let said = match kind.starts_with(JSON.as_bytes()) {
                true => &*text,
                false => text.lines().next().unwrap_or_default(),
            };
            said.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        // Bytes, or a page.
        None => String::new(),
    };
    // So do Go's, nginx's and Apache's servers greet a client that does not begin with TLS.
    let text = String::from_utf8_lossy(body);
    let tls_wanted = text.contains("HTTPS server") || text.contains("HTTPS port");
    if code == 400 && !over_tls && (tls_wanted || text.contains("SSL-enabled")) {
        return Outcome::failed(Failure::PlainToTls, "");
    }
    let retry_after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| delay(value, SystemTime::now()));
    Outcome::Status {
        code,
        retry_after,
        message,
    }
}

/// `Retry-After`: seconds, or a date. RFC 9110, section 10.2.3.
fn delay(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than fit mean "very long"; who waits has a limit of his own.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// At most `limit` bytes, and whether that is all.
async fn read_body(mut body: Incoming, limit: usize) -> Result<(Vec<u8>, bool), hyper::Error> {
    let mut read = Vec::new();
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        let room = limit - read.len();
        read.extend_from_slice(&data[..data.len().min(room)]);
        if data.len() > room {
            return Ok((read, false));
        }
    }
    Ok((read, true))
}

fn failure(error: &hyper::Error) -> Outcome {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let io = cause.downcast_ref::<io::Error>();
    // What a server thinks of our certificate it says only after the handshake.
    if let Some(failure) = io.and_then(tls_failure) {
        return failure;
    }
    let io = io.and_then(|io| io.get_ref());
    if let Some(failure) = io.and_then(|inner| inner.downcast_ref::<Failure>()) {
        return Outcome::failed(*failure, "");
    }
    if error.is_parse() {
        return Outcome::failed(Failure::NotHttp, "");
    }
    Outcome::failed(Failure::Disconnected, cause)
}

#[cfg(test)]
#[path = "http_tests.rs"]
mod tests;
