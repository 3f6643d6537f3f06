//! The terminal, as a program names it.

/// A terminal or a pipe that spans are shown on; made by [`Destination::console`](crate::Destination::console).
///
/// ```
/// use throughline::{ConsoleFormat, ConsoleStream, Destination};
///
/// let people = Destination::console();
/// let programs = Destination::console().stream(ConsoleStream::Stdout).format(ConsoleFormat::OtlpJson);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "it is used by `Builder::destination`"]
pub struct ConsoleDestination {
    pub(crate) stream: ConsoleStream,
    pub(crate) format: ConsoleFormat,
}

/// Where spans are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleStream {
    /// The standard error.
    #[default]
    Stderr,
    /// The standard output.
    Stdout,
}

/// How spans are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConsoleFormat {
    /// A line per span, for people. Nothing in it moves a cursor or colours a terminal. It may change between releases.
    #[default]
    Text,
    /// A line per batch, for programs: a `TracesData` as OTLP/JSON.
    OtlpJson,
}

impl ConsoleDestination {
    /// Where spans are shown. Default [`ConsoleStream::Stderr`].
    pub fn stream(mut self, stream: ConsoleStream) -> Self {
        self.stream = stream;
        self
    }

    /// How spans are shown. Default [`ConsoleFormat::Text`].
    pub fn format(mut self, format: ConsoleFormat) -> Self {
        self.format = format;
        self
    }
}
