//! What a receiver got: requests as they came, and the spans in them.

use std::fmt::Write as _;
use std::io::{self, Read as _};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{HeaderMap, Method};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

pub(super) const GRPC: &str = "application/grpc";
pub(super) const JSON: &str = "application/json";

/// More is not decompressed.
const LONGEST_BODY: u64 = 64 << 20;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Request {
    /// 1 for the first request this receiver got, 2 for the next.
    pub number: u64,
    /// The method, which should be POST.
    pub method: Method,
    /// Path and query, such as `/v1/traces`.
    pub path: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The raw body.
    pub body: Bytes,
}

impl Request {
    /// The header with this name if it is there, once or more, and its first value is plain text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it is a call of gRPC.
    pub fn is_grpc(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with(GRPC))
    }

    /// The body, decompressed and decoded.
    ///
    /// # Errors
    ///
    /// When the body is not an `ExportTraceServiceRequest` in what its `Content-Type` and `Content-Encoding` say, protobuf where
    /// they say nothing.
    pub fn export(&self) -> io::Result<ExportTraceServiceRequest> {
        let (body, encoding) = match (self.is_grpc(), &*self.body) {
            (false, _) => (self.body.clone(), self.header("content-encoding")),
            (true, [0, _, _, _, _, ..]) => (self.body.slice(5..), None),
            (true, [1, _, _, _, _, ..]) => (self.body.slice(5..), self.header("grpc-encoding")),
            (true, _) => return Err(io::Error::other("this is no message of gRPC")),
        };
        if self.is_grpc() && self.body[1..5] != (body.len() as u32).to_be_bytes() {
            return Err(io::Error::other("the length in front of the message is another"));
        }
        let body = match encoding {
            None => body,
            Some("gzip") => {
                let compressed = body;
                let mut body = Vec::new();
                GzDecoder::new(&*compressed).take(LONGEST_BODY).read_to_end(&mut body)?;
                body.into()
            }
            Some(other) => return Err(io::Error::other(format!("there is no content encoding {other} here"))),
        };
        match self.header("content-type") {
            Some(JSON) => serde_json::from_slice(&body).map_err(io::Error::other),
            _ => ExportTraceServiceRequest::decode(body).map_err(io::Error::other),
        }
    }
}

/// A span that a receiver took, with what surrounded it. The fields of the OTLP span itself can be
/// read straight from this.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedSpan {
    /// The span.
    pub span: Span,
    /// The resource it came under; empty if there was none.
    pub resource: Arc<Resource>,
    /// The scope it came under; empty if there was none.
    pub scope: Arc<InstrumentationScope>,
    /// The schema URL of its resource.
    pub schema_url: Arc<str>,
    /// The schema URL of its scope.
    pub scope_schema_url: Arc<str>,
    /// The headers of the request it came in.
    pub headers: Arc<HeaderMap>,
}

impl ReceivedSpan {
    /// The spans of a request, in order.
    pub(super) fn of(request: &Request) -> io::Result<Vec<Self>> {
        let headers = Arc::new(request.headers.clone());
        let mut spans = Vec::new();
        for group in request.export()?.resource_spans {
            let resource = Arc::new(group.resource.unwrap_or_default());
            let schema_url: Arc<str> = group.schema_url.into();
            for group in group.scope_spans {
                let scope = Arc::new(group.scope.unwrap_or_default());
                let scope_schema_url: Arc<str> = group.schema_url.into();
                spans.extend(group.spans.into_iter().map(|span| Self {
                    span,
                    resource: Arc::clone(&resource),
                    scope: Arc::clone(&scope),
                    schema_url: Arc::clone(&schema_url),
                    scope_schema_url: Arc::clone(&scope_schema_url),
                    headers: Arc::clone(&headers),
                }));
            }
        }
        Ok(spans)
    }

    /// The trace id in lower-case hex.
    pub fn trace_id(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// The span id in lower-case hex.
    pub fn span_id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// The parent's span id in lower-case hex; empty for a root.
    pub fn parent_span_id(&self) -> String {
        hex(&self.span.parent_span_id)
    }

    /// The value of the span's first attribute with this key.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.span.attributes, key)
    }

    /// The value of the resource's first attribute with this key.
    pub fn resource_attribute(&self, key: &str) -> Option<&Value> {
        find(&self.resource.attributes, key)
    }

    /// The resource's `service.name`, if it is a string.
    pub fn service(&self) -> Option<&str> {
        match self.resource_attribute("service.name")? {
            Value::StringValue(name) => Some(name),
            _ => None,
        }
    }
}

impl Deref for ReceivedSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes
        .iter()
        .find(|attribute| attribute.key == key)?
        .value
        .as_ref()?
        .value
        .as_ref()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // a String takes everything
        text
    })
}
