//! Signals on their way through us: those for the command are passed on, the one that killed it is died of.

use std::io;
use std::process::{self, ExitStatus};

use nix::sys::signal::SigSet;
use nix::unistd::{getpgid, getpgrp, getppid, getsid};
use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, setrlimit, waitid,
};
use signal_hook::consts::{
    SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH,
};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use signal_hook::low_level::{emulate_default_handler, raise};

use super::child::reap;
use crate::inherited::Inherited;

/// Those that are passed on.
const FORWARDED: [i32; 9] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT,
];

/// Catches signals, from its creation to the end of the process. They wait until somebody looks after them.
pub struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    pub fn catch() -> io::Result<Self> {
        let inherited = Inherited::get();
        // What our caller ignores (`nohup`, a shell's background job) the command ignores too, as without us.
        let caught = FORWARDED.into_iter().filter(|number| !inherited.ignores(*number));
        // SIGCHLD wakes us. Where our caller ignores it, the kernel would tell nobody how the command ended; that has
        // inherited what we change here for ourselves.
        let caught: Vec<_> = caught.chain([SIGCHLD]).collect();
        let signals = SignalsInfo::new(&caught)?;
        // What our caller blocks the command blocks too: there a signal waits until it wants to see it, not here. Others
        // stay blocked: one that has been waiting would end us.
        let caught: SigSet = caught.iter().filter_map(|number| (*number).try_into().ok()).collect();
        caught.thread_unblock()?;
        Ok(Self(signals))
    }

    /// Passes signals on to the child until it has exited, and stops with it whenever it stops, so that a shell's job
    /// control sees of us what it would see of the child.
    pub fn forward_until_exit(mut self, child: Pid) -> io::Result<ExitStatus> {
        let mut change = Change::of(child)?;
        loop {
            match change {
                Change::Exited => return reap(child),
                Change::Stopped if is_a_shells_job() => emulate_default_handler(SIGTSTP)?, // returns when we are continued
                Change::Stopped | Change::None => {}
            }
            let has_ended = if process::id() == 1 { reap_all(child) } else { None };
            if let Some(status) = has_ended {
                return Ok(status);
            }
            for signal in self.0.wait() {
                if signal.signal != SIGCHLD {
                    forward(child, &signal);
                }
            }
            change = Change::of(child)?;
        }
    }
}

/// What has become of the child since we looked last.
enum Change {
    /// It is left to be reaped: until then its id is nobody else's, and can be sent signals.
    Exited,
    None,
    /// By what a terminal's user or the program itself does, not by SIGSTOP: whoever sends that to a process alone, as
    /// cpulimit(1) does, continues that one alone, and we could not see it go on.
    Stopped,
}

impl Change {
    fn of(child: Pid) -> io::Result<Self> {
        let look = |options| retry_on_intr(|| waitid(WaitId::Pid(child), options | WaitIdOptions::NOHANG));
        // Both at once: to one who asks for stops only, a child that has exited meanwhile is none of his.
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        Ok(match look(options)? {
            Some(status) if status.stopped() => {
                let _ = look(WaitIdOptions::STOPPED); // seen: not told again
                match status.stopping_signal() {
                    Some(SIGSTOP) => Self::None,
                    _ => Self::Stopped,
                }
            }
            Some(_) => Self::Exited,
            None => Self::None,
        })
    }
}

fn forward(child: Pid, signal: &Origin) {
    if let (Some(named), false) = (Signal::from_named_raw(signal.signal), has_it_already(child, signal)) {
        let _ = kill_process(child, named); // fails where the command has become another user
    }
}

/// Whether the child got this signal as we did, and would get it twice.
fn has_it_already(child: Pid, signal: &Origin) -> bool {
    let sender = signal.process.as_ref().map(|process| process.pid);
    match signal.cause {
        // A terminal's keys, size and hangup: the kernel tells the whole process group.
        Cause::Kernel => getpgid(Some(nix::unistd::Pid::from_raw(child.as_raw_pid()))) == Ok(getpgrp()),
        // The command told its whole process group, or its parent.
        _ if sender == Some(child.as_raw_nonzero().get()) => true,
        // A shell continues the whole group of a job. Nobody else has seen yet that the child goes on.
        _ if signal.signal == SIGCONT => {
            let continued = waitid(WaitId::Pid(child), WaitIdOptions::CONTINUED | WaitIdOptions::NOHANG);
            continued.ok().flatten().is_some()
        }
        _ => false,
    }
}

/// Whether a shell may be watching us as a job: our parent is of the same session, and of another process group. The first
/// process of a session, of a service or of a container, and the child of a script, would stop for good, since nobody knows
/// that it has to be continued; where a whole group stops, the shell sees that of its first process.
fn is_a_shells_job() -> bool {
    // What lies outside our PID namespace has the id 0, which rustix takes for impossible.
    let (session, parent) = (getsid(None), Some(getppid()));
    session != Ok(nix::unistd::getpid()) && getsid(parent) == session && getpgid(parent) != Ok(getpgrp())
}

/// Orphans become children of process 1, which is to reap them. Gives the child's end, if that was reaped with them.
fn reap_all(child: Pid) -> Option<ExitStatus> {
    use std::os::unix::process::ExitStatusExt as _;

    while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
        if pid == child {
            return Some(ExitStatus::from_raw(status.as_raw()));
        }
    }
    None
}

/// Ends this process by a signal, so that whoever waits for it sees what he would have seen of the command. Returns the
/// exit code that stands for it in a shell, for signals that cannot be died of.
pub fn die_by(number: i32) -> u8 {
    let code = u8::try_from(128 + number).unwrap_or(u8::MAX);
    // The kernel lets no signal's default action end process 1.
    if process::id() == 1 {
        return code;
    }
    // The command has left a core file if one was wanted; ours would say nothing.
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = emulate_default_handler(number);
    // It does not know real-time signals and a few others; nothing here has changed what these do.
    let _ = raise(number);
    code
}
