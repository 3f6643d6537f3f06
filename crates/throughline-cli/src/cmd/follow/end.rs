//! The end of `throughline follow`.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::stdout;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe::register;

use crate::inherited::Inherited;

/// What ends it: a signal, or that nobody reads any more.
pub struct End {
    /// Has something to read when a signal has come.
    signals: UnixStream,
    /// Open although no signal may be caught: that it is closed would be taken for one.
    _to_tell: UnixStream,
}

impl End {
    pub fn new() -> io::Result<Self> {
        let (signals, to_tell) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            // What our caller ignores (`nohup`, a shell's background job) stays ignored.
            if !Inherited::get().ignores(signal) {
                register(signal, to_tell.try_clone()?)?;
            }
        }
        Ok(Self {
            signals,
            _to_tell: to_tell,
        })
    }

    /// Waits so long at most, and says whether the end has come.
    pub fn comes_within(&self, time: Duration) -> bool {
        let stdout = stdout();
        let mut fds = [
            PollFd::new(&self.signals, PollFlags::IN),
            // Asks for errors only: a pipe whose reader has left, a terminal that was closed.
            PollFd::new(&stdout, PollFlags::empty()),
        ];
        let time = Timespec::try_from(time).ok();
        // Interrupted by a signal: the next look tells.
        let _ = poll(&mut fds, time.as_ref());
        fds.iter().any(|fd| !fd.revents().is_empty())
    }
}
