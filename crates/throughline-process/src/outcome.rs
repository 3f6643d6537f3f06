//! What a command or one of its phases has come to.

use std::any::type_name;
use std::convert::Infallible;
use std::fmt::Display;
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
                    span.fail(&error.to_string());
                }
            }
        }
    }
}
