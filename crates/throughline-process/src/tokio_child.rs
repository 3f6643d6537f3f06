//! Processes of tokio that have a span.

use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{ExitStatus, Output, Stdio};

use throughline::Span;
use tokio::process::{Child, Command};

use crate::CANCELLED;
use crate::command::{Traced, fail};
use crate::ended::record_exit;

impl Traced<'_, Command> {
    /// Starts the process. Its span ends when it has been waited for.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`].
    pub fn spawn(mut self) -> io::Result<TracedTokioChild> {
        let mut span = self.start();
        match self.command.spawn() {
            Ok(child) => {
                if let Some(id) = child.id() {
                    span.set("process.pid", id);
                }
                let span = Some(span);
                Ok(TracedTokioChild { child, span })
            }
            Err(error) => {
                fail(span, &error);
                Err(error)
            }
        }
    }

    /// Starts the process and waits for it.
    ///
    /// Cancel safety: dropped before the process has ended, the span ends too, with `throughline.cancelled` and without an error. The
    /// process goes on, unless [`Command::kill_on_drop`] is set.
    ///
    /// # Errors
    ///
    /// Those of [`Command::status`].
    pub async fn status(self) -> io::Result<ExitStatus> {
        let TracedTokioChild { mut child, span } = self.spawn()?;
        let waiting = Waiting { span };
        // Nobody reads from a pipe or writes to it: the child is not to wait for that.
        drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
        let status = child.wait().await?;
        waiting.record(status);
        Ok(status)
    }

    /// Starts the process, waits for it and collects what it prints, as [`Command::output`] does.
    ///
    /// Cancel safety: as of [`status`](Self::status).
    ///
    /// # Errors
    ///
    /// Those of [`Command::output`].
    pub async fn output(self) -> io::Result<Output> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.spawn()?.wait_with_output().await
    }
}

/// A process of tokio with a span; made by [`Traced::spawn`].
///
/// The span ends when the process has been waited for, here or by [`try_wait`](Self::try_wait). If this is dropped before, the span
/// ends there, without an exit code: how the process ends is not known.
#[derive(Debug)]
pub struct TracedTokioChild {
    child: Child,
    /// Until the process has been waited for.
    span: Option<Span>,
}

impl TracedTokioChild {
    /// Waits for the process; see [`Child::wait`]. It can be dropped and called again.
    ///
    /// # Errors
    ///
    /// Those of [`Child::wait`].
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.ended(status);
        Ok(status)
    }

    /// Looks whether the process has ended; see [`Child::try_wait`].
    ///
    /// # Errors
    ///
    /// Those of [`Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.child.try_wait()?;
        if let Some(status) = status {
            self.ended(status);
        }
        Ok(status)
    }

    /// Waits for the process and collects what it prints; see [`Child::wait_with_output`]. Dropped before, the span ends with
    /// `throughline.cancelled`.
    ///
    /// # Errors
    ///
    /// Those of [`Child::wait_with_output`].
    pub async fn wait_with_output(self) -> io::Result<Output> {
        let Self { child, span } = self;
        let waiting = Waiting { span };
        let output = child.wait_with_output().await?;
        waiting.record(output.status);
        Ok(output)
    }

    /// Kills the process and waits for it; see [`Child::kill`].
    ///
    /// # Errors
    ///
    /// Those of [`Child::kill`].
    pub async fn kill(&mut self) -> io::Result<()> {
        self.child.start_kill()?;
        self.wait().await?;
        Ok(())
    }

    /// The process without its span, which ends here.
    pub fn into_inner(self) -> Child {
        self.child
    }

    fn ended(&mut self, status: ExitStatus) {
        if let Some(mut span) = self.span.take() {
            record_exit(&mut span, status);
        }
    }
}

impl Deref for TracedTokioChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for TracedTokioChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}

/// The span while a future waits for its process: whoever drops the future has cancelled it.
struct Waiting {
    span: Option<Span>,
}

impl Waiting {
    fn record(mut self, status: ExitStatus) {
        if let Some(mut span) = self.span.take() {
            record_exit(&mut span, status);
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            span.set(CANCELLED, true);
        }
    }
}
