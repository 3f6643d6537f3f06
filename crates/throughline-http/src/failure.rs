//! What an error of a service or a body is called: few fixed names for `error.type`.

use std::any::{Any, type_name};
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::redact::SensitiveKeys;

type BoxError = Box<dyn Error + Send + Sync>;

/// The future or the body was dropped before its end.
pub(crate) const CONNECTION_DROPPED: &str = "connection_dropped";
/// The code behind the layer panicked.
pub(crate) const PANIC: &str = "panic";

/// Of an I/O error somewhere in a box, its kind; of another box `_OTHER`; else the error's type.
pub(crate) fn error_type<E: 'static>(error: &E) -> &'static str {
    let any: &dyn Any = error;
    if let Some(error) = any.downcast_ref::<io::Error>() {
        return of_io(error);
    }
    #[cfg(feature = "reqwest")]
    if let Some(known) = crate::reqwest::error_type(any) {
        return known;
    }
    match any.downcast_ref::<BoxError>() {
        Some(boxed) => of_chain(&**boxed).unwrap_or("_OTHER"),
        None => type_name::<E>(),
    }
}

/// The kind of the first I/O error among an error and its sources.
pub(crate) fn of_chain(error: &(dyn Error + 'static)) -> Option<&'static str> {
    /// A chain may be a ring.
    const LONGEST: usize = 16;
    let mut next = Some(error);
    for _ in 0..LONGEST {
        let error = next?;
        if let Some(error) = error.downcast_ref() {
            return Some(of_io(error));
        }
        next = error.source();
    }
    None
}

fn of_io(error: &io::Error) -> &'static str {
    use io::ErrorKind;
    match error.kind() {
        ErrorKind::AddrNotAvailable => "address_not_available",
        ErrorKind::BrokenPipe => "broken_pipe",
        ErrorKind::ConnectionAborted => "connection_aborted",
        ErrorKind::ConnectionRefused => "connection_refused",
        ErrorKind::ConnectionReset => "connection_reset",
        ErrorKind::HostUnreachable => "host_unreachable",
        ErrorKind::NetworkUnreachable => "network_unreachable",
        ErrorKind::NotConnected => "not_connected",
        ErrorKind::TimedOut => "timeout",
        ErrorKind::UnexpectedEof => "unexpected_eof",
        _ => "io_error",
    }
}

/// What an error says of itself, without what is not shown of a URL in it; empty when saying it panics.
#[cfg_attr(
    not(feature = "reqwest"),
    expect(unused_variables, reason = "no other error tells a URL")
)]
pub(crate) fn message<E: Display + 'static>(error: &E, keys: &SensitiveKeys) -> String {
    let message = catch_unwind(AssertUnwindSafe(|| error.to_string())).unwrap_or_default();
    #[cfg(feature = "reqwest")]
    let message = crate::reqwest::redacted(error, message, keys);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_is_named_by_its_cause_or_its_type() {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(error_type(&refused()), "connection_refused");
        assert_eq!(error_type::<BoxError>(&refused().into()), "connection_refused");
        assert_eq!(error_type::<BoxError>(&io::Error::other(refused()).into()), "io_error");
        assert_eq!(error_type::<BoxError>(&"text".into()), "_OTHER");
        assert_eq!(error_type(&std::fmt::Error), "core::fmt::Error");
    }

    #[test]
    fn message_that_panics_is_empty() {
        struct Broken;
        impl Display for Broken {
            fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                panic!("as the test wants")
            }
        }
        assert_eq!(message(&Broken, &SensitiveKeys::Standard), "");
        assert_eq!(message(&"said", &SensitiveKeys::Standard), "said");
    }
}
