//! Spans on a terminal, for development: a line per span, or OTLP/JSON for programs that read them.

mod text;

use std::io;
use std::time::Duration;

use throughline_spool::system::{StandardStream, write_to};
use throughline_wire::json;
use throughline_wire::request::resource_spans;

use super::blocking::Sink;
use super::outcome::Outcome;
use crate::config::Console;
use crate::destination::{ConsoleFormat, ConsoleStream};

/// Writes to a standard stream.
pub(super) struct ConsoleSink {
    settings: Console,
    /// Whether half a line was written before something went wrong.
    is_torn: bool,
}

impl ConsoleSink {
    pub(super) fn new(settings: Console) -> Self {
        Self {
            settings,
            is_torn: false,
        }
    }
}

impl Sink for ConsoleSink {
    fn write(&mut self, request: &[u8]) -> Outcome {
        let mut shown = String::new();
        if self.is_torn {
            shown.push('\n');
        }
        match self.settings.format {
            ConsoleFormat::Text => append_text(&mut shown, request),
            ConsoleFormat::OtlpJson => match json::write_request(&mut shown, request) {
                Ok(()) => shown.push('\n'),
                Err(error) => return Outcome::Refused(format!("the spans cannot be written as JSON: {error}")),
            },
        }
        // Not the standard library's streams: after a fork nobody may ever give their locks back.
        let stream = match self.settings.stream {
            ConsoleStream::Stderr => StandardStream::Stderr,
            ConsoleStream::Stdout => StandardStream::Stdout,
        };
        match write_all(stream, shown.as_bytes()) {
            Ok(()) => {
                self.is_torn = false;
                Outcome::success()
            }
            Err((written, error)) => {
                self.is_torn = written
                    .checked_sub(1)
                    .map_or(self.is_torn, |last| shown.as_bytes()[last] != b'\n');
                Outcome::Unavailable {
                    retry_after: None,
                    message: error.to_string(),
                }
            }
        }
    }
}

/// A line per span.
fn append_text(out: &mut String, request: &[u8]) {
    for resource in resource_spans(request).map_while(Result::ok) {
        for scope in resource.scope_spans().map_while(Result::ok) {
            for span in scope.spans().map_while(Result::ok) {
                text::append_span(out, &resource, &span);
            }
        }
    }
}

/// The error comes with the number of bytes that were written before.
fn write_all(stream: StandardStream, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    const PAUSE: Duration = Duration::from_millis(5);
    /// A reader that takes nothing for 5 s is not there.
    const ATTEMPTS: u32 = 1000;
    let (mut written, mut attempts) = (0, 0);
    while written < bytes.len() {
        match write_to(stream, &bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(more) => {
                written += more;
                attempts = 0;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody has made the stream a non-blocking one.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && attempts < ATTEMPTS => {
                attempts += 1;
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use throughline_testkit::sample;

    use super::*;

    #[test]
    fn span_is_one_line() {
        let mut shown = String::new();
        append_text(&mut shown, &sample::request(&["one", "two\nthree\u{1b}[31m"]));
        let ids = format!("trace={} span={}", sample::TRACE_ID, sample::SPAN_ID);
        let expected = format!(
            "00:00:00.000Z 250ms orders: one (server) order.items=3 {ids}\n\
             00:00:00.000Z 250ms orders: two\\nthree\\u{{1b}}[31m (server) order.items=3 {ids}\n"
        );
        assert_eq!(shown, expected);
    }
}
