//! OTLP over HTTP/1.1: posts a body, reads the answer. One request at a time over one connection,
//! which is kept alive. Redirects are not followed: keys are for the host they were given for.

use std::borrow::Cow;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::write::GzEncoder;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use throughline_wire::json::{self, InvalidJson};
use throughline_wire::response;

use super::connect::connect;
use super::outcome::{Failure, Outcome};
use super::tls::{Tls, tls_failure};
use crate::config::Otlp;
use crate::destination::{Compression, Protocol};

/// "After decompression, over = non-retryable."
const LONGEST_ANSWER: usize = 4 << 20;
/// Of an answer that is no success only a message is wanted.
const LONGEST_REFUSAL: usize = 64 << 10;

const OTLP: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const OURSELVES: HeaderValue = HeaderValue::from_static(concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION")));

/// A client of one destination.
pub(crate) struct Client {
    destination: Otlp,
    /// The same for every request.
    headers: HeaderMap,
    /// Between requests, while the backend keeps it open.
    connection: Option<SendRequest<Full<Bytes>>>,
    tls: Tls,
    /// What was encoded last, and what it became: a request that failed comes again.
    encoded: Option<(Bytes, Bytes)>,
}

impl Client {
    pub(crate) fn new(destination: Otlp) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, OURSELVES);
        headers.extend(destination.headers.clone());
        headers.insert(
            CONTENT_TYPE,
            match destination.protocol {
                Protocol::HttpProtobuf => OTLP,
                Protocol::HttpJson => JSON,
            },
        );
        if destination.compression == Compression::Gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        let host = HeaderValue::from_str(destination.endpoint.authority())
            .expect("a parsed authority has visible ASCII characters only");
        headers.insert(HOST, host);
        Self {
            tls: Tls::new(destination.certificates.clone()),
            destination,
            headers,
            connection: None,
            encoded: None,
        }
    }

    /// Posts `body`. Ends within the destination's timeout; may be dropped at any point, which
    /// closes the connection.
    pub(crate) async fn send(&mut self, body: Bytes) -> Outcome {
        let body = match self.encoded(body) {
            Ok(body) => body,
            Err(outcome) => return outcome,
        };
        let outcome = match self.destination.timeout {
            None => self.attempt(body).await,
            Some(limit) => match tokio::time::timeout(limit, self.attempt(body)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::failed(Failure::TimedOut, format_args!("{limit:?}")),
            },
        };
        if let Outcome::Accepted { .. } = outcome {
            self.encoded = None;
        }
        outcome
    }

    /// The body as it goes over the wire.
    fn encoded(&mut self, body: Bytes) -> Result<Bytes, Outcome> {
        let Otlp {
            protocol, compression, ..
        } = self.destination;
        if (protocol, compression) == (Protocol::HttpProtobuf, Compression::None) {
            return Ok(body);
        }
        if let Some((_, encoded)) = self.encoded.as_ref().filter(|(last, _)| *last == body) {
            return Ok(encoded.clone());
        }
        let mut encoded = match protocol {
            Protocol::HttpProtobuf => body.clone(),
            Protocol::HttpJson => as_json(&body)?,
        };
        if compression == Compression::Gzip {
            encoded = gzip(&encoded);
        }
        self.encoded = Some((body, encoded.clone()));
        Ok(encoded)
    }

    async fn attempt(&mut self, body: Bytes) -> Outcome {
        if let Some(mut idle) = self.connection.take() {
            if idle.ready().await.is_ok() {
                let outcome = self.exchange(idle, body.clone()).await;
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
        match connect(&self.destination.endpoint, &mut self.tls).await {
            Ok(new) => self.exchange(new, body).await,
            Err(outcome) => outcome,
        }
    }

    async fn exchange(&mut self, mut connection: SendRequest<Full<Bytes>>, body: Bytes) -> Outcome {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = Uri::from(self.destination.endpoint.target().clone());
        *request.headers_mut() = self.headers.clone();
        match connection.send_request(request).await {
            Ok(response) => {
                let (outcome, whole) = read(response, self.destination.endpoint.is_tls()).await;
                // The rest of an answer that was not read to its end would be taken for the next.
                if whole {
                    self.connection = Some(connection);
                }
                outcome
            }
            Err(error) => failure(&error),
        }
    }
}

fn as_json(body: &[u8]) -> Result<Bytes, Outcome> {
    let mut text = String::with_capacity(3 * body.len());
    match json::write_request(&mut text, body) {
        Ok(()) => Ok(text.into()),
        Err(error) => Err(Outcome::Refused(format!(
            "the spans cannot be written as JSON: {error}"
        ))),
    }
}

fn gzip(body: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), flate2::Compression::fast());
    let written = encoder.write_all(body);
    let compressed = written.and_then(|()| encoder.finish());
    compressed.expect("memory takes whatever is written").into()
}

/// The outcome, and whether the answer was read to its end.
async fn read(response: Response<Incoming>, over_tls: bool) -> (Outcome, bool) {
    let (head, body) = response.into_parts();
    let success = head.status.is_success();
    let limit = if success { LONGEST_ANSWER } else { LONGEST_REFUSAL };
    let (body, whole) = match read_body(body, limit).await {
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
    while let Some(frame) = body.frame().await {
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
    let io = cause.downcast_ref::<std::io::Error>();
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
