//! What this process inherited from its caller and the Rust runtime changes before `main`: it ignores SIGPIPE, and opens
//! `/dev/null` in place of a closed stdin, stdout or stderr. [`run`](crate::cmd::run) gives both back to its command.

use std::sync::OnceLock;

use rustix::fd::BorrowedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{fcntl_getfd, read};
use rustix::stdio::{stderr, stdin, stdout};

/// The state of this process when it started.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inherited {
    /// Bit n-1 for each ignored signal n. None where the system does not tell.
    ignored: u64,
    /// Of file descriptors 0, 1 and 2: whether it was closed.
    is_closed: [bool; 3],
}

static INHERITED: OnceLock<Inherited> = OnceLock::new();

impl Inherited {
    /// What was found when the process started.
    pub fn get() -> Self {
        INHERITED.get().copied().unwrap_or_default()
    }

    pub fn ignores(self, signal: i32) -> bool {
        self.ignored & (1 << (signal - 1)) != 0
    }

    /// Those of file descriptors 0, 1 and 2 that were closed.
    pub fn closed(self) -> impl Iterator<Item = i32> {
        (0..)
            .zip(self.is_closed)
            .filter(|(_, is_closed)| *is_closed)
            .map(|(number, _)| number)
    }
}

/// Runs before the Rust runtime has changed anything. Only system calls: the standard library is not set up yet.
#[ctor::ctor]
fn look() {
    let is_closed = |end: BorrowedFd<'_>| fcntl_getfd(end).is_err();
    let _ = INHERITED.set(Inherited {
        ignored: ignored_signals().unwrap_or(0),
        is_closed: [is_closed(stdin()), is_closed(stdout()), is_closed(stderr())],
    });
}

/// The field `SigIgn` of proc(5).
fn ignored_signals() -> Option<u64> {
    const FIELD: &[u8] = b"\nSigIgn:\t";
    let file = openat(
        CWD,
        c"/proc/self/status",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .ok()?;
    // The field ends within the first 1,500 bytes.
    let mut status = [0; 4096];
    let length = read(&file, &mut status).ok()?;
    let status = &status[..length];
    let at = status.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let digits = status.get(at..at + 16)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
