//! What became of one request, and how to say it to a person.

use std::fmt;
use std::time::Duration;

use throughline_wire::terminal::escaped;

/// What became of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Success. `rejected` spans were refused all the same ("partial success"), or `message` is a
    /// warning. Both are zero and empty for a full success.
    Accepted { rejected: u64, message: String },
    /// An answer that is no success.
    Status {
        code: u16,
        retry_after: Option<Duration>,
        message: String,
    },
    /// The batch cannot go there at all, and why.
    Refused(String),
    /// Not now: the batch is to come again, not before `retry_after` if that is said.
    Unavailable {
        retry_after: Option<Duration>,
        message: String,
    },
    /// An answer of a gRPC server that is no success.
    Rpc {
        status: RpcStatus,
        /// Said by `RetryInfo`.
        retry_after: Option<Duration>,
        message: String,
    },
    /// No answer that could be used.
    Failed { failure: Failure, detail: String },
}

/// A status code of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RpcStatus(pub(crate) u32);

impl RpcStatus {
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const NOT_FOUND: Self = Self(5);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const ABORTED: Self = Self(10);
    pub(crate) const OUT_OF_RANGE: Self = Self(11);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const DATA_LOSS: Self = Self(15);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    fn name(self) -> &'static str {
        const NAMES: [&str; 17] = [
            "OK",
            "CANCELLED",
            "UNKNOWN",
            "INVALID_ARGUMENT",
            "DEADLINE_EXCEEDED",
            "NOT_FOUND",
            "ALREADY_EXISTS",
            "PERMISSION_DENIED",
            "RESOURCE_EXHAUSTED",
            "FAILED_PRECONDITION",
            "ABORTED",
            "OUT_OF_RANGE",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
            "UNAUTHENTICATED",
        ];
        NAMES.get(self.0 as usize).copied().unwrap_or("UNKNOWN")
    }
}

/// Why there is no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection ended, or was reset, before the answer was whole.
    Disconnected,
    /// The answer is longer than is read.
    HugeAnswer,
    /// Success, but from a web page: not a receiver of spans.
    NotOtlp,
    /// An answer that is not gRPC's.
    NotGrpc,
    /// Bytes that are not HTTP/1.1.
    NotHttp,
    /// Bytes that are not HTTP/2.
    NotHttp2,
    /// The bearer token cannot be fetched.
    NoToken,
    /// An `http` endpoint whose port speaks TLS.
    PlainToTls,
    /// The proxy, or the way to it.
    Proxy,
    /// Nothing listens there.
    Refused,
    /// No answer in time.
    TimedOut,
    /// The handshake failed: the certificate, or a port that does not speak TLS.
    Tls,
    /// Any other fault on the way there: no route, too many open files.
    Unreachable,
    /// The name has no address.
    UnknownHost,
}

/// What went wrong, without the words: what tells one state of a destination from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Failure(Failure),
    Partial,
    Refused,
    Unavailable,
    /// Everything was taken, and there is something to say.
    Warning,
    Status(u16),
    Rpc(RpcStatus),
}

impl Outcome {
    pub(crate) fn success() -> Self {
        Self::Accepted {
            rejected: 0,
            message: String::new(),
        }
    }

    pub(crate) fn failed(failure: Failure, detail: impl fmt::Display) -> Self {
        Self::Failed {
            failure,
            detail: detail.to_string(),
        }
    }

    pub(crate) fn is_failure(&self, of: Failure) -> bool {
        matches!(self, Self::Failed { failure, .. } if *failure == of)
    }

    /// `None` for a full success.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Accepted { rejected: 0, message } if message.is_empty() => None,
            Self::Accepted { rejected: 0, .. } => Some(Cause::Warning),
            Self::Accepted { .. } => Some(Cause::Partial),
            Self::Status { code, .. } => Some(Cause::Status(*code)),
            Self::Rpc { status, .. } => Some(Cause::Rpc(*status)),
            Self::Refused(_) => Some(Cause::Refused),
            Self::Unavailable { .. } => Some(Cause::Unavailable),
            Self::Failed { failure, .. } => Some(Cause::Failure(*failure)),
        }
    }
}

/// What to read after "cannot deliver to ...:", with the likely cure.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { rejected: 0, message } => {
                f.write_str("the backend has taken all of it")?;
                with_detail(f, message)
            }
            Self::Accepted { rejected, message } => {
                write!(f, "{rejected} rejected")?;
                with_detail(f, message)
            }
            Self::Status { code, message, .. } => {
                write!(f, "the answer is {code}")?;
                match code {
                    300..=399 => f.write_str(", a redirect, which is not followed: set the final URL"),
                    401 | 403 => f.write_str(": check the key in OTEL_EXPORTER_OTLP_HEADERS"),
                    404 | 405 => f.write_str(": check the path of the endpoint"),
                    413 => f.write_str(": the span alone is too large for the backend"),
                    415 => f.write_str(": the endpoint does not take this protocol"),
                    429 => f.write_str(": the backend asks to be sent less"),
                    _ => Ok(()),
                }?;
                with_detail(f, message)
            }
            Self::Refused(message) | Self::Unavailable { message, .. } => f.write_str(&shown(message)),
            Self::Rpc { status, message, .. } => {
                write!(f, "the answer is {} ({})", status.name(), status.0)?;
                f.write_str(match *status {
                    RpcStatus::UNAUTHENTICATED | RpcStatus::PERMISSION_DENIED => {
                        ": check the key in OTEL_EXPORTER_OTLP_HEADERS"
                    }
                    RpcStatus::UNIMPLEMENTED | RpcStatus::NOT_FOUND => ": the server does not take traces",
                    RpcStatus::RESOURCE_EXHAUSTED => {
                        ": the span alone is too large for the backend, or it has too many"
                    }
                    _ => "",
                })?;
                with_detail(f, message)
            }
            Self::Failed { failure, detail } => {
                write!(f, "{failure}")?;
                with_detail(f, detail)
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disconnected => "the connection was closed before the answer was whole",
            Self::HugeAnswer => "the answer is longer than 4 MiB",
            Self::NoToken => "the bearer token cannot be fetched",
            Self::NotGrpc => "the answer is not gRPC: check the port, and OTEL_EXPORTER_OTLP_PROTOCOL",
            Self::NotHttp2 => "the answer is not HTTP/2: is this a port of OTLP over HTTP, such as 4318?",
            Self::Proxy => "the proxy does not let requests through",
            Self::NotOtlp => "the answer is a web page: check the port and path of the endpoint",
            Self::NotHttp => "the answer is not HTTP/1.1: is this a gRPC port, such as 4317?",
            Self::PlainToTls => "the port speaks TLS: the endpoint should begin with https://",
            Self::Refused => "connection refused: nothing listens on this port",
            Self::TimedOut => "no answer in time",
            Self::Tls => "TLS failed",
            Self::Unreachable => "cannot be reached",
            Self::UnknownHost => "the host's name has no address",
        })
    }
}

impl std::error::Error for Failure {}

/// What others said, cut to a line's length.
fn with_detail(f: &mut fmt::Formatter<'_>, detail: &str) -> fmt::Result {
    match shown(detail) {
        detail if detail.is_empty() => Ok(()),
        detail => write!(f, " ({detail})"),
    }
}

/// What a backend says, as it may be shown: it may be long, and hold what a terminal obeys.
pub(super) fn shown(detail: &str) -> String {
    const LONGEST: usize = 200;
    let detail = detail.trim();
    match detail.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", escaped(&detail[..end])),
        None => escaped(detail).into_owned(),
    }
}
