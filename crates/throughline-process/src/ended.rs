//! How a process ended, as a span says it (OpenTelemetry semantic conventions, "CLI programs").

use std::process::ExitStatus;

use throughline::Span;

/// What a span can be told of a process; for `Span` and `SharedSpan` alike.
pub(crate) trait Written {
    fn write(&mut self, key: &'static str, value: impl throughline::ToValue);
    fn fail(&mut self, message: &str);
}

/// Writes to a span how a process ended: `process.exit.code`, and for another code than 0 `error.type` and the status.
///
/// On Unix a process that a signal killed has no exit code: then `process.signal` and `error.type` are the signal's name, such as
/// `SIGKILL`. A code of 0 leaves the status unset.
///
/// ```
/// use std::process::Command;
/// use throughline::{span, testing};
///
/// let capture = testing::capture();
/// let mut span = span!(kind: Client, "make");
/// # #[cfg(unix)]
/// throughline_process::record_exit(&mut span, Command::new("false").status()?);
/// span.end();
/// # #[cfg(unix)]
/// assert_eq!(capture.span("make").status().1, "exit code 1");
/// # std::io::Result::Ok(())
/// ```
pub fn record_exit(span: &mut Span, status: ExitStatus) {
    if !span.is_recording() {
        return;
    }
    if let Some(code) = status.code() {
        write_code(span, code);
    }
    #[cfg(unix)]
    if let Some(number) = std::os::unix::process::ExitStatusExt::signal(&status) {
        write_signal(span, &signal_name(number));
    }
}

/// By an exit code.
pub(crate) fn write_code(span: &mut impl Written, code: i32) {
    span.write("process.exit.code", code);
    if code != 0 {
        span.write("error.type", &*code.to_string());
        span.fail(&format!("exit code {code}"));
    }
}

/// By a signal.
#[cfg(unix)]
pub(crate) fn write_signal(span: &mut impl Written, name: &str) {
    span.write("process.signal", name);
    span.write("error.type", name);
    span.fail(&format!("killed by {name}"));
}

/// `SIGTERM`, or `signal 40` where there is no name.
#[cfg(unix)]
pub(crate) fn signal_name(number: i32) -> std::borrow::Cow<'static, str> {
    match signal_hook::low_level::signal_name(number) {
        Some(name) => name.into(),
        None => format!("signal {number}").into(),
    }
}

impl Written for Span {
    fn write(&mut self, key: &'static str, value: impl throughline::ToValue) {
        self.set(key, value);
    }

    fn fail(&mut self, message: &str) {
        self.status_error(message);
    }
}

impl Written for throughline::SharedSpan {
    fn write(&mut self, key: &'static str, value: impl throughline::ToValue) {
        self.set(key, value);
    }

    fn fail(&mut self, message: &str) {
        self.status_error(message);
    }
}
