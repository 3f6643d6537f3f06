//! OTLP over gRPC: one unary call for each batch, over HTTP/2. The framing is ours, since bodies are bytes already.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{PingPong, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Request, Uri, Version};
use throughline_wire::response;

use super::connect::{AbortOnDrop, Stream, Trouble};
use super::outcome::{Failure, Outcome, RpcStatus};
use crate::config::{Endpoint, Otlp};
use crate::destination::Compression;

const ENCODING: &str = "grpc-encoding";
const STATUS: &str = "grpc-status";
const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
/// "Over = non-retryable."
const LONGEST_ANSWER: usize = 4 << 20;
const LONGEST_HEADERS: u32 = 64 << 10;
/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// A connection that rested for so long is asked whether it is still there.
const RESTED: Duration = Duration::from_secs(30);
/// How long it may take to answer.
const PONG: Duration = Duration::from_secs(3);

/// Where calls go.
pub(super) fn uri(endpoint: &Endpoint) -> Uri {
    let scheme = if endpoint.is_tls() { "https" } else { "http" };
    let uri = format!("{scheme}://{}{PATH}", endpoint.authority());
    Uri::try_from(uri).expect("a parsed authority and a constant path")
}

/// What every call has beside the headers of its destination.
pub(super) fn headers(destination: &Otlp) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if destination.compression == Compression::Gzip {
        headers.insert(ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(timeout) = destination.timeout {
        // At most 8 digits.
        let millis = timeout.as_millis().min(99_999_999);
        headers.insert(
            "grpc-timeout",
            HeaderValue::from_str(&format!("{millis}m")).expect("digits"),
        );
    }
    headers
}

/// Takes one call at a time.
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    pings: Option<PingPong>,
    used: Instant,
    trouble: Trouble,
    /// What drives it: without it nothing is sent any more, and it is closed.
    _driver: AbortOnDrop,
}

impl Connection {
    /// Begins HTTP/2; the connection is driven by a task on the current runtime until it is dropped.
    pub async fn open(stream: Stream) -> Result<Self, Outcome> {
        let trouble = stream.trouble();
        let mut builder = client::Builder::new();
        builder
            .enable_push(false)
            .max_header_list_size(LONGEST_HEADERS)
            .max_concurrent_reset_streams(4);
        let (requests, mut connection) = builder
            .handshake(stream)
            .await
            .map_err(|error| failure(&error, &trouble))?;
        let pings = connection.ping_pong();
        let driver = AbortOnDrop::spawn(async { drop(connection.await) });
        let requests = requests.ready().await.map_err(|error| failure(&error, &trouble))?;
        Ok(Self {
            requests,
            pings,
            used: Instant::now(),
            trouble,
            _driver: driver,
        })
    }

    /// `None`: it has been closed, or does not answer.
    pub async fn still_there(mut self) -> Option<Self> {
        tokio::time::timeout(PONG, poll_fn(|cx| self.requests.poll_ready(cx)))
            .await
            .ok()?
            .ok()?;
        if self.used.elapsed() >= RESTED {
            if let Some(pings) = &mut self.pings {
                let pong = tokio::time::timeout(PONG, pings.ping(h2::Ping::opaque())).await;
                pong.ok()?.ok()?;
            }
        }
        Some(self)
    }

    /// The outcome, and the connection if another call may go out on it.
    pub async fn exchange(mut self, request: Request<Bytes>) -> (Outcome, Option<Self>) {
        let (mut head, body) = request.into_parts();
        head.version = Version::HTTP_2;
        let is_compressed = head.headers.contains_key(ENCODING);
        let outcome = match self.requests.send_request(Request::from_parts(head, ()), false) {
            Ok((response, stream)) => call(response, stream, is_compressed, body).await,
            Err(error) => Err(error),
        };
        match outcome {
            // One that does not keep to the protocol is not to be asked again.
            Ok(outcome @ Outcome::Failed { .. }) => (outcome, None),
            Ok(outcome) => {
                self.used = Instant::now();
                (outcome, Some(self))
            }
            Err(error) => (failure(&error, &self.trouble), None),
        }
    }
}

/// Sends the message and reads the answer, which may come before all is sent.
async fn call(
    response: ResponseFuture,
    mut stream: SendStream<Bytes>,
    is_compressed: bool,
    body: Bytes,
) -> Result<Outcome, h2::Error> {
    let mut reading = pin!(async {
        let (head, body) = response.await?.into_parts();
        read(head.status.as_u16(), &head.headers, body).await
    });
    let mut sending = pin!(send(&mut stream, is_compressed, body));
    let mut is_sent = false;
    poll_fn(|cx| {
        if let Poll::Ready(outcome) = reading.as_mut().poll(cx) {
            return Poll::Ready(outcome);
        }
        // An answer may begin before all is sent. Why the rest cannot be sent it says, if there is one.
        is_sent = is_sent || sending.as_mut().poll(cx).is_ready();
        Poll::Pending
    })
    .await
}

async fn send(stream: &mut SendStream<Bytes>, is_compressed: bool, mut body: Bytes) -> Result<(), h2::Error> {
    let mut prefix = BytesMut::with_capacity(PREFIX);
    prefix.put_u8(is_compressed.into());
    // Batches are far below 4 GiB.
    prefix.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    stream.send_data(prefix.freeze(), body.is_empty())?;
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = match poll_fn(|cx| stream.poll_capacity(cx)).await {
            Some(room) => room?,
            None => return Ok(()),
        };
        let part = body.split_to(room.min(body.len()));
        stream.send_data(part, body.is_empty())?;
    }
    Ok(())
}

/// The outcome of a call whose answer has begun.
async fn read(code: u16, headers: &HeaderMap, mut body: RecvStream) -> Result<Outcome, h2::Error> {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let is_grpc = kind.to_ascii_lowercase().starts_with(GRPC.as_bytes());
    // A status of its own says more than that of HTTP.
    if let Some(outcome) = refusal(headers).filter(|_| is_grpc) {
        return Ok(outcome);
    }
    if code != 200 {
        // Not a gRPC server: a proxy before it, or another kind of server.
        return Ok(Outcome::Status {
            code,
            retry_after: None,
            message: String::new(),
        });
    }
    if !is_grpc {
        return Ok(Outcome::failed(Failure::NotGrpc, ""));
    }
    let mut message = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part?;
        // Nobody waits for the room to be given back.
        let _ = body.flow_control().release_capacity(part.len());
        if message.len() + part.len() > PREFIX + LONGEST_ANSWER {
            return Ok(Outcome::failed(Failure::HugeAnswer, ""));
        }
        message.extend_from_slice(&part);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    Ok(match refusal(&trailers) {
        Some(outcome) => outcome,
        None if is_ok(&trailers) || is_ok(headers) => acceptance(&message),
        None => Outcome::failed(Failure::NotGrpc, "it has no status"),
    })
}

fn is_ok(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_some_and(|status| status == "0")
}

/// What the message of a success says. What cannot be read of it is no failure: success is said by the status.
fn acceptance(message: &[u8]) -> Outcome {
    let body = match message {
        [0, a, b, c, d, body @ ..] if u32::from_be_bytes([*a, *b, *c, *d]) as usize == body.len() => body,
        _ => &[],
    };
    let partial = response::partial_success(body).ok().flatten().unwrap_or_default();
    Outcome::Accepted {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or(0),
        message: partial.error_message,
    }
}

/// The status, if there is one that is no success.
fn refusal(headers: &HeaderMap) -> Option<Outcome> {
    let status = headers.get(STATUS)?.to_str().ok().and_then(|code| code.parse().ok());
    let code = match status {
        Some(0) => return None,
        // "If the status code is not an integer or unknown": UNKNOWN.
        code => RpcStatus(code.unwrap_or(2)),
    };
    let details = headers
        .get("grpc-status-details-bin")
        .map_or(&b""[..], HeaderValue::as_bytes);
    let message = headers
        .get("grpc-message")
        .map_or(String::new(), |message| percent_decoded(message.as_bytes()));
    Some(Outcome::Rpc {
        status: code,
        retry_after: response::retry_delay(details),
        message,
    })
}

/// "Percent-Encoded" of the gRPC protocol: what is not encoded rightly stays as it is.
fn percent_decoded(text: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
        match (first, digit(after.first()), digit(after.get(1))) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Why a connection has ended: what was noted where it happened, since HTTP/2 hands on no more than a text.
fn failure(error: &h2::Error, trouble: &Trouble) -> Outcome {
    let noted = trouble.get().cloned();
    // "REFUSED_STREAM: retryable", as is a connection that the backend gives up (GOAWAY).
    noted.unwrap_or_else(|| Outcome::failed(Failure::Disconnected, error))
}

#[cfg(test)]
#[path = "grpc_tests.rs"]
mod tests;
