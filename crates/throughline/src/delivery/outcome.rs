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
    /// No answer that could be used.
    Failed { failure: Failure, detail: String },
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
    /// Bytes that are not HTTP/1.1.
    NotHttp,
    /// An `http` endpoint whose port speaks TLS.
    PlainToTls,
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

    /// `None` for a full success.
    pub(crate) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Accepted { rejected: 0, message } if message.is_empty() => None,
            Self::Accepted { rejected: 0, .. } => Some(Cause::Warning),
            Self::Accepted { .. } => Some(Cause::Partial),
            Self::Status { code, .. } => Some(Cause::Status(*code)),
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
                    415 => f.write_str(": the endpoint does not take http/protobuf"),
                    429 => f.write_str(": the backend asks to be sent less"),
                    _ => Ok(()),
                }?;
                with_detail(f, message)
            }
            Self::Refused(message) | Self::Unavailable { message, .. } => f.write_str(&shown(message)),
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
