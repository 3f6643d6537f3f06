//! OTLP over HTTP/1.1: posts a body, reads the answer. One request at a time over one connection,
//! which is kept alive. Redirects are not followed: keys are for the host they were given for.

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
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use throughline_wire::json::{self, InvalidJson};
use throughline_wire::response;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::connect::{AbortOnDrop, Connector, Stream, Version};
use super::encoded::Encoder;
use super::outcome::{Failure, Outcome};
use super::tls::{Tls, tls_failure};
use super::token::Tokens;
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
pub(super) const OURSELVES: HeaderValue =
    HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION")));

/// A client of one destination.
pub(crate) struct Client {
    connector: Connector,
    timeout: Option<Duration>,
    /// The same for every request.
    headers: HeaderMap,
    tokens: Tokens,
    encoder: Encoder,
    /// Between requests, while the backend keeps it open.
    connection: Option<Open>,
}

struct Open {
    requests: SendRequest<Body>,
    /// Bytes that were taken to be sent.
    sent: Arc<AtomicU64>,
    /// What drives it: without it nothing is sent any more, and it is closed.
    _driver: AbortOnDrop,
}

impl Client {
    pub(crate) fn new(destination: Otlp) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, OURSELVES);
        headers.extend(destination.headers.clone());
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
        Self {
            connector: Connector {
                tls: Tls::new(destination.certificates.clone(), Version::Http1),
                endpoint: destination.endpoint,
                proxy: destination.proxy,
                timeout: destination.timeout,
                version: Version::Http1,
            },
            timeout: destination.timeout,
            headers,
            tokens: Tokens::new(destination.token),
            encoder: Encoder::new(destination.protocol, destination.compression),
            connection: None,
        }
    }

    /// Posts `body`. Ends within the destination's timeout; may be dropped at any point, which
    /// closes the connection.
    pub(crate) async fn send(&mut self, body: Bytes) -> Outcome {
        let body = match self.encoder.encode(body) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let outcome = match self.timeout {
            None => self.attempt_with_token(body).await,
            Some(limit) => match tokio::time::timeout(limit, self.attempt_with_token(body)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::failed(Failure::TimedOut, format_args!("{limit:?}")),
            },
        };
        if let Outcome::Accepted { .. } = outcome {
            self.encoder.forget();
        }
        outcome
    }

    async fn attempt_with_token(&mut self, body: Bytes) -> Outcome {
        let outcome = self.attempt(body.clone()).await;
        match self.tokens.is_refused(&outcome) {
            true => self.attempt(body).await,
            false => outcome,
        }
    }

    async fn attempt(&mut self, body: Bytes) -> Outcome {
        let mut headers = self.headers.clone();
        if let Err(outcome) = self.tokens.add_to(&mut headers).await {
            return outcome;
        }
        if let Some(mut idle) = self.connection.take() {
            if let Ok(Ok(())) = tokio::time::timeout(READY, idle.requests.ready()).await {
                let outcome = self.exchange(idle, headers.clone(), body.clone()).await;
                // A backend may close an idle connection at the moment a request sets out on it: that
                // is no failure of the backend.
                if !matches!(
                    outcome,
                    Outcome::Failed {
                        failure: Failure::Disconnected,
                        ..
                    }
                ) {
                    return outcome;
                }
            }
        }
        let stream = match self.connector.connect().await {
            Ok(stream) => stream,
            Err(outcome) => return outcome,
        };
        match open(stream).await {
            Ok(new) => self.exchange(new, headers, body).await,
            Err(outcome) => outcome,
        }
    }

    async fn exchange(&mut self, mut connection: Open, headers: HeaderMap, body: Bytes) -> Outcome {
        let all = connection.sent.load(Ordering::Relaxed) + body.len() as u64;
        let mut request = Request::new(Body(Some(body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(self.connector.endpoint.target().clone());
        *request.headers_mut() = headers;
        match connection.requests.send_request(request).await {
            Ok(response) => {
                let (outcome, whole) = read(response, self.connector.endpoint.is_tls()).await;
                // The rest of an answer that was not read to its end would be taken for the next. And who has answered before all
                // was sent may never read the rest.
                if whole && connection.sent.load(Ordering::Relaxed) >= all {
                    self.connection = Some(connection);
                }
                outcome
            }
            Err(error) => failure(&error),
        }
    }
}

/// Begins HTTP/1.1; the connection is driven by a task on the current runtime until it is dropped.
async fn open(stream: Stream) -> Result<Open, Outcome> {
    let sent = stream.sent();
    let (requests, connection) = http1::handshake(ForHyper(stream))
        .await
        .map_err(|error| Outcome::failed(Failure::Disconnected, error))?;
    // What it ends with reaches the request as well.
    let driver = AbortOnDrop::spawn(async { drop(connection.await) });
    Ok(Open {
        requests,
        sent,
        _driver: driver,
    })
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
