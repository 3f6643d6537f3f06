//! Traced child processes and command lines.
//!
//! | To | take |
//! |---|---|
//! | let a child continue this trace | [`CommandExt::pass_context`] |
//! | have a span for each process that is started, with its exit code | [`CommandExt::traced`] |
//! | tell a child, or a container, where to send its spans | [`ChildEnvironment`] |
//! | make a command line the root of a trace, with a span for each phase | [`CommandLine`] |
//!
//! ```
//! use std::process::Command;
//! use throughline::{span, testing};
//! use throughline_process::CommandExt;
//!
//! let capture = testing::capture();
//! span!("build").in_scope(|| {
//!     // A span `sh`; what it starts finds the trace in TRACEPARENT.
//!     Command::new("sh").arg("-c").arg("test -n \"$TRACEPARENT\"").traced().status()
//! })?;
//! capture.assert_tree("build\n  sh");
//! # std::io::Result::Ok(())
//! ```
//!
//! The feature `tokio` does the same for `tokio::process::Command`. Nothing here changes the environment of this process. On Windows
//! all of it works but [`CommandLine::ending_on_signals`].
//!
//! Names follow the OpenTelemetry semantic conventions for command-line programs (1.45, in development); `process.signal` and
//! `throughline.cancelled`, for which there is no convention, are ours.

mod child;
mod command;
mod command_line;
mod ended;
mod environment;
mod outcome;
#[cfg(unix)]
mod signals;
#[cfg(feature = "tokio")]
mod tokio_child;

use std::sync::LazyLock;

use throughline::Scope;

pub use child::TracedChild;
pub use command::{CommandExt, Traced};
pub use command_line::{CommandLine, parent_from_environment};
pub use ended::record_exit;
pub use environment::ChildEnvironment;
pub use outcome::Outcome;
#[cfg(feature = "tokio")]
pub use tokio_child::TracedTokioChild;

/// Who makes the spans, and by which conventions.
static SCOPE: LazyLock<Scope> = LazyLock::new(|| {
    Scope::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with_schema_url("https://opentelemetry.io/schemas/1.45.0")
});

/// Set on what somebody has cancelled before it was over. That is no error.
const CANCELLED: &str = "throughline.cancelled";
