//! The command's process: forked first of all, so that it inherits everything as it is, and told later what to run.
//!
//! `std::process::Command` empties the signal mask, resets SIGPIPE, and has no way to keep them. A child that was
//! forked before this process had a second thread or a signal handler has both as our caller left them.

use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::process::{ExitStatus, exit};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fork::{Fork, fork};
use nix::errno::Errno;
use nix::unistd::{close, execve};
use rustix::io::{FdFlags, fcntl_setfd, retry_on_intr};
use rustix::pipe::pipe;
use rustix::process::{Pid, WaitOptions, waitpid};
use signal_hook::consts::SIGPIPE;

use crate::exit::{NOT_FOUND, OWN_FAILURE};
use crate::inherited::Inherited;

/// Changes of the environment: a value, or nothing to take the variable out.
pub type Changes = Vec<(OsString, Option<OsString>)>;

/// A forked process that waits for [`Waiting::start`].
pub struct Waiting {
    pid: Pid,
    /// Takes the changes of the environment, to its end.
    changes: File,
    /// Gives the number of the error when the command cannot be executed; ends when it is.
    failure: File,
}

impl Waiting {
    /// Forks. This process must have one thread only, which is what makes it sound for the child to allocate.
    pub fn fork(command: &[OsString]) -> io::Result<Self> {
        let ((to_read, changes), (failure, to_tell)) = (private_pipe()?, private_pipe()?);
        match fork()? {
            Fork::Parent(pid) => Ok(Self {
                pid: Pid::from_raw(pid).ok_or(io::ErrorKind::InvalidData)?,
                changes,
                failure,
            }),
            Fork::Child => {
                drop((changes, failure));
                become_command(command, to_read, to_tell)
            }
        }
    }

    /// Executes the command; returns when that has succeeded or failed.
    pub fn start(mut self, changes: &Changes) -> io::Result<Pid> {
        // A child that was killed meanwhile does not read; that is found when it is waited for.
        let _ = self.changes.write_all(&encoded(changes));
        drop(self.changes);
        let mut number = [0; 4];
        match self.failure.read_exact(&mut number) {
            Err(_) => Ok(self.pid),
            Ok(()) => {
                let _ = retry_on_intr(|| waitpid(Some(self.pid), WaitOptions::empty()));
                Err(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
            }
        }
    }
}

/// Waits for the end of the process, and forgets it.
pub fn reap(pid: Pid) -> io::Result<ExitStatus> {
    use std::os::unix::process::ExitStatusExt as _;

    let ended = retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))?;
    let (_, status) = ended.ok_or(io::ErrorKind::InvalidData)?;
    Ok(ExitStatus::from_raw(status.as_raw()))
}

/// Whether there is such a file, where the command is looked for.
pub fn exists(program: &OsStr) -> bool {
    places(program).iter().any(|place| place.exists())
}

/// Where a command may be: there, if its name has a slash, else in the directories of `PATH`, in that order.
fn places(program: &OsStr) -> Vec<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    if program.is_empty() {
        return Vec::new();
    }
    let path = env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    // An empty directory is the current one; so it is when nothing stands before the name.
    env::split_paths(&path)
        .map(|directory| directory.join(program))
        .collect()
}

/// Becomes the command, as execvp(3) does: what may not be executed is passed over while there are other places, and a
/// file that is no program and does not name its interpreter is a script for `/bin/sh`. Not all C libraries do the latter.
fn execute(command: &[CString], environment: &[CString]) -> Errno {
    let is_searched_for = !command[0].as_bytes().contains(&b'/');
    let mut result = Errno::ENOENT;
    for place in places(OsStr::from_bytes(command[0].as_bytes())) {
        let Ok(place) = CString::new(place.into_os_string().into_vec()) else {
            continue;
        };
        let Err(error) = execve(&place, command, environment);
        match error {
            Errno::ENOENT | Errno::ENOTDIR if is_searched_for => {}
            Errno::EACCES => result = error,
            Errno::ENOEXEC => {
                let shell = c"/bin/sh";
                let script: Vec<_> = [shell.to_owned(), place]
                    .into_iter()
                    .chain(command[1..].iter().cloned())
                    .collect();
                let Err(error) = execve(shell, &script, environment);
                return error;
            }
            _ => return error,
        }
    }
    result
}

/// In the child: waits for the changes, then becomes the command.
fn become_command(command: &[OsString], mut to_read: File, mut to_tell: File) -> ! {
    let mut message = Vec::new();
    let read = to_read.read_to_end(&mut message);
    let Some(changes) = decoded(&message).filter(|_| read.is_ok()) else {
        // The parent has ended before it said what to do.
        exit(OWN_FAILURE.into());
    };
    let inherited = Inherited::get();
    if !inherited.ignores(SIGPIPE) {
        // The runtime ignores it, and a signal that is ignored remains so; one with a handler gets its default action.
        let _ = signal_hook::flag::register(SIGPIPE, Arc::new(AtomicBool::new(false)));
    }
    let command: Vec<_> = command
        .iter()
        .filter_map(|part| CString::new(part.as_bytes()).ok())
        .collect();
    let environment = environment(&changes);
    for number in inherited.closed() {
        let _ = close(number);
    }
    let error = execute(&command, &environment);
    let _ = to_tell.write_all(&(error as i32).to_ne_bytes());
    exit(NOT_FOUND.into());
}

/// This process's environment with the changes, as `NAME=VALUE`.
fn environment(changes: &Changes) -> Vec<CString> {
    let is_changed = |name: &OsStr| changes.iter().any(|(changed, _)| changed == name);
    let kept = env::vars_os().filter(|(name, _)| !is_changed(name));
    let new = changes
        .iter()
        .filter_map(|(name, value)| Some((name.clone(), value.clone()?)));
    let pair = |(name, value): (OsString, OsString)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat());
    kept.chain(new).filter_map(|variable| pair(variable).ok()).collect()
}

/// `NAME=VALUE` for a new value and `NAME` for none, each ended by a zero byte; an empty one is the last.
fn encoded(changes: &Changes) -> Vec<u8> {
    let mut message = Vec::new();
    for (name, value) in changes {
        message.extend(name.as_bytes());
        if let Some(value) = value {
            message.push(b'=');
            message.extend(value.as_bytes());
        }
        message.push(0);
    }
    message.push(0);
    message
}

/// Nothing if the end is missing.
fn decoded(message: &[u8]) -> Option<Changes> {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let mut changes = Changes::new();
    for entry in message.split_inclusive(|byte| *byte == 0) {
        match entry.strip_suffix(b"\0")? {
            [] => return Some(changes),
            entry => changes.push(match entry.iter().position(|byte| *byte == b'=') {
                Some(at) => (text(&entry[..at]), Some(text(&entry[at + 1..]))),
                None => (text(entry), None),
            }),
        }
    }
    None
}

/// What is written to the second file is read from the first. Neither outlives an `exec`.
fn private_pipe() -> io::Result<(File, File)> {
    let (to_read, to_write) = pipe()?;
    // Not in one call, which macOS lacks: no other thread can start a program in between.
    fcntl_setfd(&to_read, FdFlags::CLOEXEC)?;
    fcntl_setfd(&to_write, FdFlags::CLOEXEC)?;
    Ok((to_read.into(), to_write.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_as_written_and_only_when_complete() {
        let changes: Changes = vec![
            ("TRACEPARENT".into(), Some("00-1=2".into())),
            ("TRACESTATE".into(), None),
            ("EMPTY".into(), Some("".into())),
        ];
        for changes in [changes, Changes::new()] {
            let message = encoded(&changes);
            assert_eq!(decoded(&message), Some(changes));
            for length in 0..message.len() {
                assert_eq!(decoded(&message[..length]), None, "{length} bytes");
            }
        }
    }
}
