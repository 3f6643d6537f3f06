//! Processes of the standard library that have a span.

use std::io;
use std::ops::{Deref, DerefMut};
use std::process::{Child, Command, ExitStatus, Output};

use throughline::Span;

use crate::command::{Traced, fail};
use crate::ended::record_exit;

impl Traced<'_, Command> {
    /// Starts the process. Its span ends when it has been waited for.
    ///
    /// # Errors
    ///
    /// Those of [`Command::spawn`].
    pub fn spawn(mut self) -> io::Result<TracedChild> {
        let mut span = self.start();
        match self.command.spawn() {
            Ok(child) => {
                span.set("process.pid", child.id());
                let span = Some(span);
                Ok(TracedChild { child, span })
            }
            Err(error) => {
                fail(span, &error);
                Err(error)
            }
        }
    }

    /// Starts the process and waits for it.
    ///
    /// # Errors
    ///
    /// Those of [`Command::status`].
    pub fn status(self) -> io::Result<ExitStatus> {
        self.spawn()?.wait()
    }

    /// Starts the process, waits for it and collects what it prints, as [`Command::output`] does. The span has no `process.pid`:
    /// nobody tells it.
    ///
    /// # Errors
    ///
    /// Those of [`Command::output`].
    pub fn output(mut self) -> io::Result<Output> {
        let mut span = self.start();
        match self.command.output() {
            Ok(output) => {
                record_exit(&mut span, output.status);
                Ok(output)
            }
            Err(error) => {
                fail(span, &error);
                Err(error)
            }
        }
    }
}

/// A process with a span; made by [`Traced::spawn`].
///
/// The span ends when the process has been waited for, here or by [`try_wait`](Self::try_wait). If this is dropped before, the span
/// ends there, without an exit code: the process goes on, as with [`Child`], and how it ends is not known.
#[derive(Debug)]
pub struct TracedChild {
    child: Child,
    /// Until the process has been waited for.
    span: Option<Span>,
}

impl TracedChild {
    /// Waits for the process; see [`Child::wait`].
    ///
    /// # Errors
    ///
    /// Those of [`Child::wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
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

    /// Waits for the process and collects what it prints; see [`Child::wait_with_output`].
    ///
    /// # Errors
    ///
    /// Those of [`Child::wait_with_output`].
    pub fn wait_with_output(self) -> io::Result<Output> {
        let Self { child, span } = self;
        let output = child.wait_with_output()?;
        if let Some(mut span) = span {
            record_exit(&mut span, output.status);
        }
        Ok(output)
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

impl Deref for TracedChild {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.child
    }
}

impl DerefMut for TracedChild {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.child
    }
}
