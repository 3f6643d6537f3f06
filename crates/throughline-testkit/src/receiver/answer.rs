//! What a receiver answers: as a Collector would, or wrongly in a way a test ordered.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};

use super::Request;
use super::request::{GRPC, JSON};

/// The answer to one request, made from one of the constructors and refined by the methods.
///
/// A receiver takes the spans of a request when its answer has a status of 2xx, and takes them just
/// before it sends that answer. So a client that gave up during a [`delay`](Answer::delay) had nothing
/// taken. [`taken`](Answer::taken) makes the exception: spans are taken, and the client is not told.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Zero bytes after `body`.
    pub(super) padding: u64,
    pub(super) delay: Duration,
    pub(super) ending: Ending,
    pub(super) takes: bool,
    /// How many spans, the last ones of the request, are not taken although the others are.
    pub(super) rejected: usize,
    /// Behind the body, over HTTP/2.
    pub(super) trailers: Option<HeaderMap>,
}

/// How it goes on after the delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The answer is sent.
    Sent,
    /// The answer's headers are sent and announce a longer body than follows before the end.
    CutShort,
    /// Nothing is sent and the connection stays.
    Hang,
    /// Nothing is sent and the connection is reset.
    Reset,
}

impl Answer {
    /// What a Collector answers: full success if all is right, else 404 for another path than
    /// `/v1/traces`, 405 for another method than POST, 415 for another type than protobuf or JSON, or another
    /// compression than gzip, 400 for a body that cannot be decoded.
    ///
    /// The same over gRPC, where a receiver speaks that.
    pub fn to(request: &Request) -> Self {
        if request.is_grpc() {
            return match request.export() {
                _ if request.path != GRPC_PATH => Self::rpc(12, "unknown method"),
                Ok(_) => Self::rpc(0, "").message_of_grpc(b""),
                Err(error) => Self::rpc(3, &error.to_string()),
            };
        }
        if request.path != "/v1/traces" {
            Self::status(404)
        } else if request.method != Method::POST {
            Self::status(405)
        } else if !matches!(request.header("content-type"), Some(PROTOBUF | JSON))
            || request.header("content-encoding").is_some_and(|name| name != "gzip")
        {
            Self::status(415)
        } else if let Err(error) = request.export() {
            Self::status(400).message(&error.to_string())
        } else if request.header("content-type") == Some(JSON) {
            Self::status(200)
                .header(CONTENT_TYPE.as_str(), JSON)
                .body(b"{}".to_vec())
        } else {
            Self::accept()
        }
    }

    /// 200 and full success, whatever the path and the headers.
    pub fn accept() -> Self {
        Self::status(200).protobuf(&ExportTraceServiceResponse::default())
    }

    /// 200 and partial success: `rejected` spans, the last ones of the request, were not taken. With
    /// 0 and a message it is the warning that the specification allows.
    pub fn partial(rejected: u32, message: &str) -> Self {
        let partial = ExportTracePartialSuccess {
            rejected_spans: rejected.into(),
            error_message: message.to_owned(),
        };
        let mut answer = Self::status(200).protobuf(&ExportTraceServiceResponse {
            partial_success: Some(partial),
        });
        answer.rejected = rejected as usize;
        answer
    }

    /// This status with no body.
    ///
    /// # Panics
    ///
    /// When it is not a status of three digits, or an informational one (1xx), which ends nothing.
    pub fn status(status: u16) -> Self {
        assert!(status >= 200, "{status} is not a final status");
        let status = StatusCode::from_u16(status).expect("a test orders a status that exists");
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            padding: 0,
            delay: Duration::ZERO,
            ending: Ending::Sent,
            takes: status.is_success(),
            rejected: 0,
            trailers: None,
        }
    }

    /// An answer of gRPC: this status and message, in trailers. 0 is success.
    ///
    /// # Panics
    ///
    /// When the message cannot be the value of a header.
    pub fn rpc(status: u32, message: &str) -> Self {
        let answer = Self::status(200).header(CONTENT_TYPE.as_str(), GRPC);
        let answer = answer.trailer("grpc-status", &status.to_string());
        Self {
            takes: status == 0,
            ..answer.trailer("grpc-message", message)
        }
    }

    /// Success over gRPC, but for these spans, the last ones of the request.
    pub fn rpc_partial(rejected: u32, message: &str) -> Self {
        let partial = Self::partial(rejected, message);
        let answer = Self::rpc(0, "").message_of_grpc(&partial.body);
        Self {
            rejected: partial.rejected,
            ..answer
        }
    }

    /// Adds a trailer.
    ///
    /// # Panics
    ///
    /// When the name or the value cannot be in a header.
    pub fn trailer(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a test orders a header name that can be sent");
        let value: HeaderValue = value.parse().expect("a test orders a header value that can be sent");
        self.trailers.get_or_insert_default().insert(name, value);
        self
    }

    /// The trailers come as headers, and there is no body ("Trailers-Only").
    pub fn trailers_only(mut self) -> Self {
        self.headers.extend(self.trailers.take().unwrap_or_default());
        self.body(Bytes::new())
    }

    fn message_of_grpc(self, message: &[u8]) -> Self {
        let mut framed = vec![0];
        framed.extend_from_slice(&(message.len() as u32).to_be_bytes());
        framed.extend_from_slice(message);
        self.body(framed)
    }

    /// 307 to another URL, with the same method and body.
    ///
    /// # Panics
    ///
    /// When the URL cannot be the value of a header.
    pub fn redirect(to: &str) -> Self {
        Self::status(307).header(LOCATION.as_str(), to)
    }

    /// 200 with a body of so many zero bytes, sent as the client reads them.
    pub fn huge(bytes: u64) -> Self {
        Self::accept().padding(bytes)
    }

    /// Adds so many zero bytes to the body, sent as the client reads them.
    pub fn padding(self, bytes: u64) -> Self {
        Self { padding: bytes, ..self }
    }

    /// The connection is reset (RST) instead of an answer.
    pub fn reset() -> Self {
        Self {
            ending: Ending::Reset,
            takes: false,
            ..Self::status(200)
        }
    }

    /// No answer, ever; the connection stays until the client or the receiver ends it.
    pub fn hang() -> Self {
        Self {
            ending: Ending::Hang,
            takes: false,
            ..Self::status(200)
        }
    }

    /// 200 whose `content-length` promises more than comes before the connection ends.
    pub fn cut_short() -> Self {
        Self {
            ending: Ending::CutShort,
            takes: false,
            ..Self::accept()
        }
    }

    /// Waits so long before going on.
    pub fn delay(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Adds a header.
    ///
    /// # Panics
    ///
    /// When the name or the value cannot be in a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a test orders a header name that can be sent");
        let value: HeaderValue = value.parse().expect("a test orders a header value that can be sent");
        self.headers.append(name, value);
        self
    }

    /// Adds `retry-after`, in whole seconds. For a date or nonsense use [`Answer::header`].
    pub fn retry_after(self, wait: Duration) -> Self {
        self.header(RETRY_AFTER.as_str(), &wait.as_secs().to_string())
    }

    /// Sends this body instead; its type is left as it was.
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self {
            body: body.into(),
            ..self
        }
    }

    /// Sends a `google.rpc.Status` with this message, as OTLP asks for with 4xx and 5xx.
    pub fn message(self, message: &str) -> Self {
        self.protobuf(&Status {
            message: message.to_owned(),
        })
    }

    /// The request's spans are taken although the answer does not say so: the answer was lost, and a
    /// client that tries again makes duplicates.
    pub fn taken(self) -> Self {
        Self { takes: true, ..self }
    }

    fn protobuf(mut self, message: &impl prost::Message) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        self.body(message.encode_to_vec())
    }
}

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const PROTOBUF: &str = "application/x-protobuf";

/// The part of `google.rpc.Status` that OTLP/HTTP uses: "The `Status.code` and `Status.details` fields
/// are not used" (OTLP 1.x, "Failures").
#[derive(Clone, PartialEq, prost::Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
}
