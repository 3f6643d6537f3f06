//! What a backend answers: `ExportTraceServiceResponse` when it took a request, `google.rpc.Status`
//! when it did not.

use std::time::Duration;

use crate::json;
use crate::protobuf::{self, Field, Fields, Malformed};

/// A backend took a request, though not all of it, or has something to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// How many spans it refused; 0 means a mere warning. Not checked: it may be negative or more
    /// than were sent.
    pub rejected_spans: i64,
    /// Why; what is not valid UTF-8 is replaced by U+FFFD.
    pub error_message: String,
}

/// Reads the body of a successful answer, an `ExportTraceServiceResponse`. `None` is full success:
/// `partial_success` is not set, or set with nothing in it.
///
/// # Errors
/// [`Malformed`] if this is no protobuf message, or its `partial_success` is none.
///
/// ```
/// use throughline_wire::response;
///
/// assert_eq!(response::partial_success(b""), Ok(None));
/// let partial = response::partial_success(b"\x0a\x08\x08\x02\x12\x04late")?.unwrap();
/// assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (2, "late"));
/// # Ok::<(), throughline_wire::Malformed>(())
/// ```
pub fn partial_success(body: &[u8]) -> Result<Option<PartialSuccess>, Malformed> {
    check(body)?;
    let mut found = PartialSuccess::default();
    for field in protobuf::all(body, 1) {
        let partial = field.bytes().ok_or(Malformed)?;
        check(partial)?;
        if let Some(rejected) = protobuf::last(partial, 1, Field::varint) {
            found.rejected_spans = rejected as i64;
        }
        if let Some(message) = protobuf::last(partial, 2, Field::bytes) {
            found.error_message = String::from_utf8_lossy(message).into_owned();
        }
    }
    Ok((found != PartialSuccess::default()).then_some(found))
}

/// Why a backend refused a request (`google.rpc.Status`, without its details).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RpcStatus {
    /// The gRPC code; 0 if not said, as OTLP/HTTP allows.
    pub code: i32,
    /// Why; what is not valid UTF-8 is replaced by U+FFFD.
    pub message: String,
}

/// Reads the body of a refusal, a `google.rpc.Status`.
///
/// # Errors
/// [`Malformed`] if this is no protobuf message, as when a proxy answered with a page of its own.
///
/// ```
/// use throughline_wire::response;
///
/// let status = response::rpc_status(b"\x08\x03\x12\x08bad data")?;
/// assert_eq!((status.code, status.message.as_str()), (3, "bad data"));
/// assert!(response::rpc_status(b"<html>").is_err());
/// # Ok::<(), throughline_wire::Malformed>(())
/// ```
pub fn rpc_status(body: &[u8]) -> Result<RpcStatus, Malformed> {
    check(body)?;
    let message = protobuf::last(body, 2, Field::bytes).unwrap_or_default();
    Ok(RpcStatus {
        code: protobuf::last(body, 1, Field::int32).unwrap_or_default(),
        message: String::from_utf8_lossy(message).into_owned(),
    })
}

/// How long to wait before the request is sent again: what `google.rpc.RetryInfo` says among the details of a refusal. `header` is the value
/// of `grpc-status-details-bin`, base64 of a `google.rpc.Status`. Zero where it says
/// no time; `None` where there is none, or it cannot be read.
///
/// ```
/// use std::time::Duration;
/// use throughline_wire::response;
///
/// let header = b"CAgaMgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIGCgQIARAA";
/// assert_eq!(response::retry_delay(header), Some(Duration::from_secs(1)));
/// assert_eq!(response::retry_delay(b"GioKKHR5cGUuZ29vZ2xlYXBpcy5jb20vZ29vZ2xlLnJwYy5SZXRyeUluZm8"), Some(Duration::ZERO));
/// assert_eq!(response::retry_delay(b"?"), None);
/// ```
#[must_use]
pub fn retry_delay(header: &[u8]) -> Option<Duration> {
    let status = json::from_base64(header)?;
    let is_retry_info = |detail: &&[u8]| {
        let kind = protobuf::last(detail, 1, Field::bytes).unwrap_or_default();
        kind.ends_with(b"google.rpc.RetryInfo")
    };
    let info = protobuf::all(&status, 3).filter_map(Field::bytes).find(is_retry_info)?;
    // It may say no more than that it is worth it to come again.
    let info = protobuf::last(info, 2, Field::bytes).unwrap_or_default();
    let delay = protobuf::last(info, 1, Field::bytes).unwrap_or_default();
    let part = |number| protobuf::last(delay, number, Field::varint).unwrap_or_default();
    // Negative ones are no delays, and a nanosecond more or less is none either.
    let (seconds, nanos) = (i64::try_from(part(1)).ok()?, u32::try_from(part(2)).ok()?);
    Some(Duration::from_secs(u64::try_from(seconds).ok()?) + Duration::from_nanos(nanos.into()))
}

fn check(message: &[u8]) -> Result<(), Malformed> {
    Fields::new(message).try_for_each(|field| field.map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_success_is_told_from_full_success() {
        let partial = |rejected_spans, error_message: &str| {
            Ok(Some(PartialSuccess {
                rejected_spans,
                error_message: error_message.into(),
            }))
        };
        let cases: [(&[u8], _); 8] = [
            (b"", Ok(None)),
            (b"\x0a\x00", Ok(None)),
            (b"\x0a\x02\x08\x00", Ok(None)),
            (b"\x0a\x02\x08\x05", partial(5, "")),
            (b"\x0a\x03\x12\x01w", partial(0, "w")),
            (b"\x0a\x02\x08\x05\x0a\x03\x12\x01w\x78\x01", partial(5, "w")),
            (b"\x0a\x03\x12\x01\xff", partial(0, "\u{fffd}")),
            (b"{}", Err(Malformed)),
        ];
        for (body, expected) in cases {
            assert_eq!(partial_success(body), expected, "{body:?}");
        }
        assert_eq!(partial_success(b"\x0a\x02\x12\x09"), Err(Malformed));
        assert_eq!(partial_success(b"\x08\x01"), Err(Malformed));
    }
}
