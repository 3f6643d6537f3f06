//! The span of a whole command line, and those of its phases.

use std::fmt;
use std::future::Future;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::panicking;

use throughline::{Context, InSpanExt, SharedSpan, Span, Tracing, environment, extract};

use crate::CANCELLED;
use crate::ended::{Written as _, write_code};
use crate::outcome::Outcome;

/// The trace context that this process was started with: `TRACEPARENT`, `TRACESTATE` and `BAGGAGE` of its environment.
///
/// For a program that does one thing and ends; [`CommandLine`] takes it by itself. A server or worker that lives on must not make
/// it the parent of what it does later: each request brings its own.
#[must_use]
pub fn parent_from_environment() -> Option<Context> {
    extract(environment::pairs(std::env::vars_os()))
}

/// A command line as a trace: its span stands for the whole command, and each phase is a child of it.
///
/// The span continues the trace that the environment names ([`parent_from_environment`]), and records
/// `process.executable.name`, `process.pid` and `process.exit.code`. An `Err` or a panic becomes its status, and that of the phase
/// it came from. Keeping the value of [`init`](throughline::init) is its work too: it flushes when it is dropped.
///
/// ```
/// use std::io;
/// use throughline_process::CommandLine;
///
/// fn upload() -> io::Result<()> { Ok(()) }
/// fn activate() -> io::Result<()> { Ok(()) }
///
/// fn main() -> io::Result<()> {
///     let command = CommandLine::new("deploy", throughline::init("deploy"));
///     command.run(|| {
///         command.phase("upload", upload)?;
///         command.phase("activate", activate)
///     })
/// }
/// ```
pub struct CommandLine {
    state: Arc<State>,
}

/// What the thread that waits for signals needs too.
pub(crate) struct State {
    span: SharedSpan,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// In the order in which they began, by their number. A phase of a phase is behind it.
    phases: Vec<(u64, SharedSpan)>,
    last_number: u64,
    has_ended: bool,
    /// Dropped when all spans have ended: that flushes.
    tracing: Option<Tracing>,
}

impl CommandLine {
    /// Starts the span, of this name. `tracing` is kept until this is dropped.
    #[must_use]
    pub fn new(name: &str, tracing: Tracing) -> Self {
        let mut span = Span::builder(name)
            .parent(parent_from_environment())
            .scope(&crate::SCOPE)
            .set("process.pid", process::id())
            .start();
        if let Some(executable) = std::env::current_exe()
            .ok()
            .as_deref()
            .and_then(|path| path.file_name())
        {
            span.set("process.executable.name", executable.to_string_lossy());
        }
        let open = Open {
            tracing: Some(tracing),
            ..Open::default()
        };
        Self {
            state: Arc::new(State {
                span: span.share(),
                open: Mutex::new(open),
            }),
        }
    }

    /// Ends open spans properly when the process is told to end: by Ctrl-C (SIGINT), SIGTERM or SIGHUP. Unix only; elsewhere this
    /// does nothing.
    ///
    /// Phases that are open end with `throughline.cancelled` and without an error; the command's span fails with the signal's name as its
    /// `error.type`. Then what has ended is flushed, for at most some 200 ms, and the process dies by that signal, as it would have without
    /// this. A signal that whoever started the process has it ignore (`nohup`) stays ignored.
    ///
    /// It is for programs that do nothing about these signals themselves: they would not be asked. A program that does calls
    /// [`end_cancelled`](Self::end_cancelled).
    #[must_use]
    pub fn ending_on_signals(self) -> Self {
        #[cfg(unix)]
        crate::signals::end_on_signals(&self.state);
        self
    }

    /// The span of the whole command.
    #[must_use]
    pub fn span(&self) -> &SharedSpan {
        &self.state.span
    }

    /// Runs the command inside its span, which then ends: with the exit code 1 and its status for an `Err`, with 101 for a panic.
    pub fn run<R: Outcome>(&self, f: impl FnOnce() -> R) -> R {
        let ending = Ending { state: &self.state };
        let result = self.state.span.in_scope(f);
        ending.with(&result);
        result
    }

    /// The same for a future. One that is dropped before it has completed was cancelled; see [`end_cancelled`](Self::end_cancelled).
    pub async fn run_async<F: Future<Output: Outcome>>(&self, future: F) -> F::Output {
        let ending = Ending { state: &self.state };
        let result = future.in_span(self.state.span.clone()).await;
        ending.with(&result);
        result
    }

    /// Runs a phase of the command in a span of its own, a child of the current span: inside [`run`](Self::run), of the command's, so that
    /// phases are siblings. Where no span is current it is a child of the command's, too. An `Err` and a panic become its status.
    pub fn phase<R: Outcome>(&self, name: &str, f: impl FnOnce() -> R) -> R {
        let phase = Phase::start(&self.state, name);
        let result = phase.span.in_scope(f);
        phase.end_with(&result);
        result
    }

    /// The same for a future. One that is dropped before it has completed ends its phase with `throughline.cancelled`.
    pub async fn phase_async<F: Future<Output: Outcome>>(&self, name: &str, future: F) -> F::Output {
        let phase = Phase::start(&self.state, name);
        let result = future.in_span(phase.span.clone()).await;
        phase.end_with(&result);
        result
    }

    /// Ends all open spans because somebody wants the command to end: phases with `throughline.cancelled`, the command's
    /// own span too, with this as its `error.type`, such as `SIGINT`.
    pub fn end_cancelled(&self, reason: &str) {
        self.state.end_cancelled(reason);
    }

    /// Ends the process with an exit code, all open spans before: what [`process::exit`] does not do.
    pub fn exit(&self, code: i32) -> ! {
        self.state.end(|span| write_code(span, code));
        self.state.flush();
        process::exit(code)
    }
}

impl fmt::Debug for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandLine")
            .field("span", &self.state.span)
            .finish_non_exhaustive()
    }
}

impl Drop for CommandLine {
    fn drop(&mut self) {
        self.state.end(|_| {});
        self.state.flush();
    }
}

impl State {
    pub(crate) fn end_cancelled(&self, reason: &str) {
        self.end(|span| {
            span.write("error.type", reason);
            span.fail(&format!("cancelled: {reason}"));
        });
    }

    /// Ends all spans, the command's own last and as `describe` says. Only the first call does.
    pub(crate) fn end(&self, describe: impl FnOnce(&mut SharedSpan)) {
        let phases = {
            let mut open = self.open();
            if open.has_ended {
                return;
            }
            open.has_ended = true;
            std::mem::take(&mut open.phases)
        };
        for (_, phase) in phases.into_iter().rev() {
            phase.set(CANCELLED, true);
            phase.end();
        }
        let mut span = self.span.clone();
        describe(&mut span);
        span.end();
    }

    /// Delivers what has ended, as far as that is quick.
    pub(crate) fn flush(&self) {
        let tracing = self.open().tracing.take();
        drop(tracing);
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the command's span, whatever way the command ends.
struct Ending<'a> {
    state: &'a State,
}

impl Ending<'_> {
    fn with(self, result: &impl Outcome) {
        let code = result.exit_code();
        self.state.end(|span| {
            span.write("process.exit.code", code);
            result.write_failure(span);
        });
    }
}

impl Drop for Ending<'_> {
    /// Before the command was over: it has panicked, or its future was dropped.
    fn drop(&mut self) {
        self.state.end(|span| match panicking() {
            true => span.write("process.exit.code", 101),
            false => span.write(CANCELLED, true),
        });
    }
}

/// A phase that has begun.
struct Phase<'a> {
    state: &'a State,
    number: u64,
    span: SharedSpan,
}

impl<'a> Phase<'a> {
    fn start(state: &'a State, name: &str) -> Self {
        let builder = Span::builder(name).scope(&crate::SCOPE);
        let builder = match Context::current().span_id() {
            Some(_) => builder,
            // Outside of `run`.
            None => builder.parent(&state.span),
        };
        let span = builder.start().share();
        let mut open = state.open();
        open.last_number += 1;
        let number = open.last_number;
        if !open.has_ended {
            open.phases.push((number, span.clone()));
        }
        drop(open);
        Self { state, number, span }
    }

    fn end_with(self, result: &impl Outcome) {
        // What somebody else has ended takes nothing more. Dropping this does the rest.
        let mut span = self.span.clone();
        result.write_failure(&mut span);
        span.end();
    }
}

impl Drop for Phase<'_> {
    fn drop(&mut self) {
        if !panicking() && self.span.is_recording() {
            self.span.set(CANCELLED, true);
        }
        self.state.open().phases.retain(|(number, _)| *number != self.number);
        self.span.end();
    }
}
