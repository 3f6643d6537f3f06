//! What a command or one of its phases has come to.

use std::any::type_name;
use std::convert::Infallible;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use throughline::SharedSpan;

use crate::ended::Written as _;

/// What a command or a phase returns: `()`, [`ExitCode`], or a `Result` whose error can be shown (`std::io::Error`,
/// `Box<dyn Error>`, `anyhow::Error`, `String`). Sealed: it is implemented for these.
pub trait Outcome: sealed::Described {}

impl Outcome for () {}
impl Outcome for ExitCode {}
impl Outcome for Infallible {}
impl<T, E: Display> Outcome for Result<T, E> {}

pub(crate) mod sealed {
    use super::*;

    pub trait Described {
        /// The exit code of a process whose `main` returns this.
        fn exit_code(&self) -> i32 {
            0
        }

        /// Sets `error.type` and the status, if it is a failure.
        fn write_failure(&self, span: &mut SharedSpan) {
            let _ = span;
        }
    }

    impl Described for () {}
    impl Described for Infallible {}

    impl Described for ExitCode {
        /// The type tells nobody its code, but whether it equals another.
        fn exit_code(&self) -> i32 {
            (0..=u8::MAX)
                .find(|code| *self == Self::from(*code))
                .map_or(1, i32::from)
        }

        fn write_failure(&self, span: &mut SharedSpan) {
            let code = self.exit_code();
            if code != 0 {
                span.write("error.type", &*code.to_string());
                span.fail(&format!("exit code {code}"));
            }
        }
    }

    impl<T, E: Display> Described for Result<T, E> {
        fn exit_code(&self) -> i32 {
            i32::from(self.is_err())
        }

        fn write_failure(&self, span: &mut SharedSpan) {
            if let Err(error) = self {
                if span.is_recording() {
                    span.write("error.type", type_name::<E>());
                    // An error that cannot be shown is an error all the same, and none of ours.
                    let message = catch_unwind(AssertUnwindSafe(|| error.to_string()));
                    span.fail(&message.unwrap_or_default());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use throughline::{StatusCode, span, testing};

    use super::sealed::Described as _;

    struct Unshowable;

    impl fmt::Display for Unshowable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("a bug in the program's error")
        }
    }

    #[test]
    fn error_whose_display_panics_is_an_error_and_no_panic() {
        let capture = testing::capture();
        let mut span = span!("phase").share();
        Err::<(), _>(Unshowable).write_failure(&mut span);
        span.end();
        assert_eq!(capture.span("phase").status(), (StatusCode::Error, ""));
    }
}
