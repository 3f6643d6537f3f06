//! What differs from one operating system to another. Nothing else asks which one it is.
//!
//! Each system has a file with functions of the same names: `linux` and `macos` with what all of Unix shares in `unix`, and
//! `windows`. What a system does not have is a function that does nothing, or says that it is not known; nobody is
//! declared dead for that, and nothing is mapped. `docs/platforms.md` says what holds where.

use std::time::SystemTime;

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!(
    "throughline-spool is there for Linux, macOS and Windows: a system of another kind needs a file in src/platform"
);

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::*;
#[cfg(target_os = "macos")]
pub(crate) use macos::*;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// A stream that a process has from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StandardStream {
    /// The standard error stream.
    Stderr,
    /// The standard output stream.
    Stdout,
}

/// What is known of a file in a [`Directory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// In bytes.
    pub len: u64,
    /// When it was last written.
    pub modified: SystemTime,
}

/// What the system says of a process id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// There is none.
    Gone,
    /// There is one; when it started, as its manifest has it, if the system tells.
    There(Option<u64>),
    /// The system does not tell.
    Unknown,
}

/// Whether what lies in memory of that boot is what its processes have left there. Where nobody knows, it is not.
///
/// On Windows, which has no such memory, this tells machines apart and not boots.
pub(crate) fn is_this_boot(boot_id: &str) -> bool {
    !boot_id.is_empty() && boot_id == identity().boot_id
}
