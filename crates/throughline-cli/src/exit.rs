//! How the command ends: exit codes, one line for what went wrong, and the last write to stdout.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use throughline_wire::terminal::escaped;

/// Something could not be done.
pub const FAILURE: u8 = 1;
/// An option or argument is wrong.
pub const USAGE: u8 = 2;
/// `run` itself has failed, or an option of it is wrong, as with env(1) and timeout(1): no exit code of the command.
pub const OWN_FAILURE: u8 = 125;
/// The command was found and cannot be run, as in a shell.
#[cfg(unix)]
pub const NOT_EXECUTABLE: u8 = 126;
/// There is no such command, as in a shell.
#[cfg(unix)]
pub const NOT_FOUND: u8 = 127;

/// Why a command ends early: one line for a person, and the exit code.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    pub fn new(message: impl fmt::Display) -> Self {
        Self::with_code(FAILURE, message)
    }

    pub fn with_code(code: u8, message: impl fmt::Display) -> Self {
        let message = message.to_string();
        Self { code, message }
    }
}

/// The exit code of a command that has ended, its failure told on stderr.
pub fn code(ended: Result<u8, Failure>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say(&failure.message);
            ExitCode::from(failure.code)
        }
    }
}

/// Ends after an unusable command line, in one line; or after help, which is no error.
pub fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    let subcommand = subcommand(std::env::args_os().skip(1));
    let failed = match subcommand.as_deref() {
        Some("run") => OWN_FAILURE,
        _ => USAGE,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => code(print(&text)),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = io::stderr().write_all(text.as_bytes());
            ExitCode::from(failed)
        }
        _ => {
            // The first paragraph says what is wrong, the others repeat the usage.
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let words: Vec<_> = paragraph.split_whitespace().collect();
            let line = words.join(" ");
            let line = line.strip_prefix("error: ").unwrap_or(&line);
            let meant = similar(error).map_or(String::new(), |similar| format!("; did you mean '{similar}'?"));
            let help = subcommand.map_or(String::new(), |subcommand| format!(" {subcommand}"));
            say(&format!("{line}{meant} (see `throughline{help} --help`)"));
            ExitCode::from(failed)
        }
    }
}

/// The subcommand that these arguments name, whatever else is wrong with them.
fn subcommand(mut arguments: impl Iterator<Item = OsString>) -> Option<String> {
    while let Some(argument) = arguments.next() {
        if argument == "--spool" {
            arguments.next();
        } else if !argument.as_encoded_bytes().starts_with(b"-") {
            let is_known = |name: &&str| crate::Cli::command().find_subcommand(name).is_some();
            return argument.to_str().filter(is_known).map(str::to_owned);
        }
    }
    None
}

/// What is spelled like what was given.
fn similar(error: &clap::Error) -> Option<&str> {
    let kinds = [
        ContextKind::SuggestedSubcommand,
        ContextKind::SuggestedArg,
        ContextKind::SuggestedValue,
    ];
    kinds.into_iter().find_map(|kind| match error.get(kind)? {
        ContextValue::String(similar) => Some(similar.as_str()),
        // The last is the most similar.
        ContextValue::Strings(similar) => similar.last().map(String::as_str),
        _ => None,
    })
}

/// Writes a line to stderr, if there is one.
pub fn say(text: &str) {
    let _ = io::stderr().write_all(format!("throughline: {}\n", escaped(text)).as_bytes());
}

/// Writes to stdout; success also when the reader has seen enough and left (`| head`).
pub fn print(text: &str) -> Result<u8, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::new(format_args!("cannot write to stdout: {error}")))
        }
        _ => Ok(0),
    }
}
