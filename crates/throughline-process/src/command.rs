//! Commands that hand the trace on, and spans of the processes they start.

use std::borrow::Cow;
use std::path::Path;
use std::process;

use throughline::{Context, Span, SpanKind};

use crate::environment::ChildEnvironment;

/// What the `Command` of the standard library, and with the feature `tokio` that of tokio, can do more.
///
/// ```
/// use std::process::Command;
/// use throughline_process::CommandExt;
///
/// // The child's spans become children of the span that is current here.
/// Command::new("true").pass_context().status()?;
/// // The same, and a span for the process, from its start until it has been waited for.
/// Command::new("true").traced().status()?;
/// # std::io::Result::Ok(())
/// ```
pub trait CommandExt: sealed::AsStd + Sized {
    /// Hands the current trace context down, in `TRACEPARENT`, `TRACESTATE` and `BAGGAGE`; stale values of these are removed.
    ///
    /// It is the context of this moment, for whatever the command starts. Without one, what this process was given is inherited, also
    /// where the command was given a context before.
    fn pass_context(&mut self) -> &mut Self {
        self.hand_down(&Context::current());
        self
    }

    /// Hands down the context and the settings that a [`ChildEnvironment`] has.
    fn pass_environment(&mut self, environment: &ChildEnvironment) -> &mut Self {
        self.apply_all(environment);
        self
    }

    /// Traces the process that the command starts next: a CLIENT span from its start until it has been waited for. Its context
    /// is handed down.
    fn traced(&mut self) -> Traced<'_, Self> {
        Traced {
            command: self,
            name: None,
            environment: None,
            records_arguments: false,
        }
    }
}

impl CommandExt for process::Command {}

#[cfg(feature = "tokio")]
impl CommandExt for tokio::process::Command {}

/// A command whose process gets a span; made by [`CommandExt::traced`].
///
/// The span is named after the executable, and has `process.executable.name`, `process.pid`, and how the process ended, as
/// [`record_exit`](crate::record_exit) has it. A process that cannot be started is an error too: `error.type` is the kind of the I/O error.
#[derive(Debug)]
#[must_use = "nothing is started before `spawn`, `status` or `output`"]
pub struct Traced<'a, C> {
    pub(crate) command: &'a mut C,
    name: Option<Cow<'a, str>>,
    environment: Option<ChildEnvironment>,
    records_arguments: bool,
}

impl<'a, C: CommandExt> Traced<'a, C> {
    /// Another name for the span: few different ones, without arguments. Default: the file name of the executable.
    pub fn name(mut self, name: impl Into<Cow<'a, str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The settings that are handed down beside the span's context. Default: none, the child inherits this process's.
    pub fn environment(mut self, environment: ChildEnvironment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Whether the arguments are recorded, as `process.command_args`. Default: no, since they may hold secrets.
    pub fn arguments(mut self, are_recorded: bool) -> Self {
        self.records_arguments = are_recorded;
        self
    }

    /// Starts the span, and hands its context down.
    pub(crate) fn start(&mut self) -> Span {
        let command = self.command.as_std();
        let program = command.get_program();
        let executable = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
        let name = self.name.as_deref().unwrap_or(&executable);
        let mut span = Span::builder(name)
            .kind(SpanKind::Client)
            .scope(&crate::SCOPE)
            .set("process.executable.name", &*executable)
            .start();
        if self.records_arguments && span.is_recording() {
            let all = std::iter::once(program).chain(command.get_args());
            let all: Vec<_> = all.map(|argument| argument.to_string_lossy()).collect();
            span.set("process.command_args", &all);
        }
        match self.environment.take() {
            Some(environment) => self.command.apply_all(&environment.context(span.context())),
            None => self.command.hand_down(&span.context()),
        }
        span
    }
}

/// It could not be started.
pub(crate) fn fail(mut span: Span, error: &std::io::Error) {
    if span.is_recording() {
        span.set("error.type", throughline::debug(error.kind()));
        span.status_error(&error.to_string());
    }
}

pub(crate) mod sealed {
    use std::{env, process};

    use throughline::environment::env_name;
    use throughline::{Context, propagation_fields};

    use crate::environment::{ChildEnvironment, context_changes};

    /// No child has this variable. A command that removes it is one that has handed a context down: there is no other place to note it.
    const PASSED: &str = "THROUGHLINE_PASSED_CONTEXT";

    /// All of it changes the environment of what the command starts, never our own.
    pub trait AsStd {
        fn as_std(&mut self) -> &mut process::Command;

        /// Without a context, what an earlier one has set is as in this process again.
        fn hand_down(&mut self, context: &Context) {
            let changes = context_changes(context);
            let command = self.as_std();
            if !changes.is_empty() {
                command.env_remove(PASSED);
            } else if command.get_envs().any(|(name, _)| name == PASSED) {
                for name in propagation_fields().into_iter().map(env_name) {
                    match env::var_os(&name) {
                        Some(value) => command.env(name, value),
                        None => command.env_remove(name),
                    };
                }
            }
            self.apply(changes);
        }

        fn apply_all(&mut self, environment: &ChildEnvironment) {
            self.hand_down(environment.handed_down());
            self.apply(environment.settings());
        }

        fn apply(&mut self, changes: Vec<(String, Option<String>)>) {
            let command = self.as_std();
            for (name, value) in changes {
                match value {
                    Some(value) => command.env(name, value),
                    None => command.env_remove(name),
                };
            }
        }
    }

    impl AsStd for process::Command {
        fn as_std(&mut self) -> &mut process::Command {
            self
        }
    }

    #[cfg(feature = "tokio")]
    impl AsStd for tokio::process::Command {
        fn as_std(&mut self) -> &mut process::Command {
            self.as_std_mut()
        }
    }
}
