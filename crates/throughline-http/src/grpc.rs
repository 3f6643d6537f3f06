//! gRPC over HTTP/2: what calls and statuses look like ("gRPC over HTTP2", "gRPC status codes").

use std::borrow::Cow;
use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};

use crate::rpc::{Call, Outcome, Side};

/// The codes, by number.
const CODES: [&str; 17] = [
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

/// The header or trailer that says how a call ended.
pub(crate) const STATUS: &str = "grpc-status";

/// Whether a message is gRPC: `application/grpc`, with a format or without. gRPC-Web has its trailers in the body, and is HTTP here.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    match content_type.split_at_checked(16) {
        Some((b"application/grpc", rest)) => matches!(rest.first(), None | Some(b'+' | b';')),
        _ => false,
    }
}

/// A call, by its path: `/package.Service/Method`.
#[derive(Debug)]
pub(crate) struct GrpcCall<'a> {
    pub path: &'a str,
}

impl Call for GrpcCall<'_> {
    fn system(&self) -> &str {
        "grpc"
    }

    fn method(&self) -> Option<&str> {
        let method = self.path.strip_prefix('/')?;
        let (service, name) = method.split_once('/')?;
        (!service.is_empty() && !name.is_empty() && !name.contains('/')).then_some(method)
    }

    fn original_method(&self) -> Option<&str> {
        Some(self.path.strip_prefix('/').unwrap_or(self.path))
    }
}

/// The status of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GrpcStatus<'a> {
    code: u8,
    message: Option<Cow<'a, str>>,
}

impl<'a> GrpcStatus<'a> {
    pub const CANCELLED: Self = Self::new(1);
    pub const UNKNOWN: Self = Self::new(2);
    pub const DEADLINE_EXCEEDED: Self = Self::new(4);
    const UNIMPLEMENTED: Self = Self::new(12);
    const INTERNAL: Self = Self::new(13);
    pub const UNAVAILABLE: Self = Self::new(14);
    const PERMISSION_DENIED: Self = Self::new(7);
    const UNAUTHENTICATED: Self = Self::new(16);

    const fn new(code: u8) -> Self {
        Self { code, message: None }
    }

    /// Reads `grpc-status` from headers or trailers. A code that is no known number is UNKNOWN.
    pub fn read(headers: &'a HeaderMap) -> Option<Self> {
        let code = headers.get(STATUS)?.as_bytes();
        let code = std::str::from_utf8(code)
            .ok()
            .filter(|code| code.bytes().all(|digit| digit.is_ascii_digit()));
        let code = code
            .and_then(|code| code.parse().ok())
            .filter(|code| usize::from(*code) < CODES.len());
        let message = headers
            .get("grpc-message")
            .map(|message| percent_decoded(message.as_bytes()));
        Some(Self {
            code: code.unwrap_or(Self::UNKNOWN.code),
            message: message.filter(|message| !message.is_empty()),
        })
    }

    /// The status of an answer that has none ("HTTP to gRPC status code mapping").
    pub fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 => Self::UNIMPLEMENTED,
            429 | 502..=504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// Whether a server says in this way that it does not know the method: without a word of a handler's.
    pub fn is_unknown_method(&self) -> bool {
        self.code == Self::UNIMPLEMENTED.code && self.message.is_none()
    }
}

impl Outcome for GrpcStatus<'_> {
    fn status_code(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(CODES[usize::from(self.code)]))
    }

    /// For a client all but OK; for a server those that are its own fault (gRPC conventions).
    fn is_error(&self, side: Side) -> bool {
        match side {
            Side::Client => self.code != 0,
            Side::Server => matches!(self.code, 2 | 4 | 12..=15),
        }
    }

    fn description(&self) -> Option<Cow<'_, str>> {
        self.message.as_deref().map(Cow::Borrowed)
    }
}

/// From when on a call that is dropped has run out of time.
///
/// Some time before its deadline: the caller's clock began to run before the call came here, and timers are coarse.
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Instant> {
    const MOST_GRACE: Duration = Duration::from_millis(100);
    let timeout = timeout(headers)?;
    Instant::now().checked_add(timeout - (timeout / 10).min(MOST_GRACE))
}

/// Reads `grpc-timeout`: at most eight digits and a unit. What is not valid is no timeout.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// `grpc-message`, which is percent-encoded.
fn percent_decoded(message: &[u8]) -> Cow<'_, str> {
    match message.contains(&b'%') {
        true => Cow::Owned(String::from_utf8_lossy(&crate::redact::percent_decoded(message)).into_owned()),
        false => String::from_utf8_lossy(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| (name.parse().unwrap(), value.parse().unwrap());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn content_type_tells_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;x=y", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(
                is_grpc(&headers(&[("content-type", content_type)])),
                expected,
                "{content_type}"
            );
        }
    }

    #[test]
    fn method_is_the_path_if_it_is_one() {
        for (path, expected) in [
            ("/shop.Orders/Place", Some("shop.Orders/Place")),
            ("/shop.Orders/", None),
            ("//Place", None),
            ("/a/b/c", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(GrpcCall { path }.method(), expected, "{path}");
        }
    }

    #[test]
    fn timeout_is_read_as_the_protocol_writes_it() {
        for (value, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("6n", Some(Duration::from_nanos(6))),
            ("123456789S", None),
            ("-1S", None),
            ("+1S", None),
            ("S", None),
            ("", None),
            ("1s", None),
            ("1", None),
        ] {
            assert_eq!(timeout(&headers(&[("grpc-timeout", value)])), expected, "{value}");
        }
    }

    #[test]
    fn status_that_is_not_valid_is_unknown() {
        for (code, message, expected) in [
            ("0", "", ("OK", None)),
            ("5", "no%20order%", ("NOT_FOUND", Some("no order%"))),
            ("16", "", ("UNAUTHENTICATED", None)),
            ("17", "", ("UNKNOWN", None)),
            ("300", "", ("UNKNOWN", None)),
            ("-1", "", ("UNKNOWN", None)),
            ("", "", ("UNKNOWN", None)),
        ] {
            let headers = headers(&[("grpc-status", code), ("grpc-message", message)]);
            let status = GrpcStatus::read(&headers).unwrap();
            let found = (status.status_code(), status.description());
            assert_eq!((found.0.as_deref().unwrap(), found.1.as_deref()), expected);
        }
        assert_eq!(GrpcStatus::read(&HeaderMap::new()), None);
    }

    #[test]
    fn server_is_to_blame_for_six_codes_and_a_client_sees_all() {
        let blamed = [
            "UNKNOWN",
            "DEADLINE_EXCEEDED",
            "UNIMPLEMENTED",
            "INTERNAL",
            "UNAVAILABLE",
            "DATA_LOSS",
        ];
        for (number, code) in CODES.iter().enumerate() {
            let status = GrpcStatus::new(number as u8);
            assert_eq!(status.is_error(Side::Server), blamed.contains(code), "{code}");
            assert_eq!(status.is_error(Side::Client), *code != "OK", "{code}");
        }
    }
}
