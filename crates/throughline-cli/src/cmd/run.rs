//! `throughline run`: traces a command, and changes nothing about it.
//!
//! The command gets this process's stdin, stdout, stderr, directory and environment; of the environment only the trace
//! context is another. Its exit code is ours, a signal that kills it kills us, and whatever goes wrong with telemetry
//! is said on stderr and changes neither.

mod child;
mod signals;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::Pid;
use throughline::{Context, Span, span};
use throughline_wire::environment::{EnvWriter, pairs};
use throughline_wire::terminal::escaped;

use self::child::{Changes, Waiting};
use self::signals::Signals;
use crate::exit::{Failure, NOT_EXECUTABLE, NOT_FOUND, OWN_FAILURE, say};
use crate::redact;

/// Trace a command: same output, exit code and signals.
///
/// The command runs as it would without, and one span records it: its name, arguments (what looks like a secret is left
/// out), directory, process ids, duration and how it ended. TRACEPARENT, TRACESTATE and BAGGAGE are read from the
/// environment, and handed to the command so that what it traces becomes part of the same trace; so is the directory of
/// --spool. docs/run.md lists what is recorded, and which secrets are recognised.
///
/// Signals sent to this process are passed on to the command: INT, TERM, HUP, QUIT, USR1, USR2, WINCH, TSTP and CONT.
/// Those that a terminal sends (Ctrl-C) are not, since the command gets them too.
///
/// The exit code is that of the command; 127 if it is not found, 126 if it cannot be run, 125 if an option of `run` is wrong.
/// If a signal kills the command, the same signal then ends this process (as process 1 of a container, which no signal
/// can end: exit code 128 and its number). Where spans cannot be delivered they stay in the spool for later.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  throughline run -- make test
  throughline run --name nightly --service backup -- ./backup.sh /home
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 throughline run -- cargo build")]
pub struct Run {
    /// The span's name [default: the command's file name]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: Option<String>,

    /// The service's name [default: $OTEL_SERVICE_NAME, else the command's file name]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    service: Option<String>,

    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Run {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let program = self.command.first().expect("clap asks for at least one");
        // First of all, while there is one thread and nothing has been changed that a child inherits.
        let waiting = Waiting::fork(&self.command)
            .map_err(|error| Failure::with_code(OWN_FAILURE, format_args!("no process can be started: {error}")))?;
        // From here on no signal ends us before the command has ended.
        let signals = Signals::catch();

        let file_name = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
        let spool = spool.map(|spool| std::path::absolute(&spool).unwrap_or(spool));
        let mut builder = throughline::builder(&file_name);
        if let Some(service) = &self.service {
            builder = builder.resource("service.name", service);
        }
        if let Some(spool) = &spool {
            builder = builder.spool_dir(spool);
        }
        let tracing = builder.init();

        let parent = throughline::extract(pairs(std::env::vars_os())).unwrap_or_else(Context::root);
        // INTERNAL, not CLIENT: it stands for the command's own execution, which nobody else may record.
        let mut span = span!(parent: &parent, self.name.as_deref().unwrap_or(&file_name));
        describe(&mut span, &file_name, &self.command);

        let changes = changes(&span.context(), spool.as_deref());
        let ended = match waiting.start(&changes) {
            Ok(child) => {
                span.set("process.pid", child.as_raw_nonzero().get());
                wait_for(child, signals)
            }
            Err(error) => {
                span.error(&error);
                Err(not_started(program, &error))
            }
        };
        match &ended {
            Ok(status) => throughline_process::record_exit(&mut span, *status),
            Err(failure) => span.set("process.exit.code", failure.code),
        }
        span.end();
        drop(tracing);
        let status = ended?;
        match status.signal() {
            Some(signal) => Ok(signals::die_by(signal)),
            None => Ok(status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(u8::MAX)),
        }
    }
}

/// Waits until the command has ended, and passes signals on meanwhile.
fn wait_for(child: Pid, signals: io::Result<Signals>) -> Result<ExitStatus, Failure> {
    let ended = match signals {
        Ok(signals) => signals.forward_until_exit(child),
        Err(error) => {
            say(&format!("signals are not passed on: {error}"));
            child::reap(child)
        }
    };
    ended.map_err(|error| Failure::with_code(OWN_FAILURE, format_args!("how the command ended is not known: {error}")))
}

/// What is known before the command starts (OpenTelemetry semantic conventions, "CLI programs" and "Process").
fn describe(span: &mut Span, file_name: &str, command: &[OsString]) {
    if !span.is_recording() {
        return;
    }
    let command: Vec<_> = command.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let arguments = redact::arguments(&command);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    span.set("process.executable.name", file_name);
    span.set("process.command", arguments.first().copied().unwrap_or_default());
    span.set("process.command_args", arguments.as_slice());
    span.set("process.parent_pid", std::process::id());
    if let Ok(directory) = std::env::current_dir() {
        span.set("process.working_directory", &*directory.to_string_lossy());
    }
}

/// What differs in the command's environment: the span's context and the spool that was given as an option. Where there
/// is no context, as when tracing is off, that of whoever called us stays.
fn changes(context: &Context, spool: Option<&Path>) -> Changes {
    let mut changes = Changes::new();
    if !context.is_empty() {
        context.inject(EnvWriter(|name: &str, value: Option<&str>| {
            changes.push((name.into(), value.map(Into::into)));
        }));
    }
    changes.extend(spool.map(|spool| ("THROUGHLINE_SPOOL_DIR".into(), Some(spool.into()))));
    changes
}

/// As a shell tells it: 127 if there is no such file, 126 if there is.
fn not_started(program: &OsStr, error: &io::Error) -> Failure {
    let name = program.to_string_lossy();
    let name = escaped(&name);
    match error.kind() {
        io::ErrorKind::NotFound if child::exists(program) => Failure::with_code(
            NOT_EXECUTABLE,
            format_args!("{name}: cannot be run: its interpreter (the line `#!`) is not found"),
        ),
        io::ErrorKind::NotFound => Failure::with_code(NOT_FOUND, format_args!("{name}: command not found")),
        _ => Failure::with_code(NOT_EXECUTABLE, format_args!("{name}: cannot be run: {error}")),
    }
}
