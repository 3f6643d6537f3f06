//! Signals on their way through us: those for the command are passed on, the one that killed it is died of.

use std::borrow::Cow;
use std::io;
use std::process::{self, ExitStatus};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::retry_on_intr;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, getpgid, getpgrp, getppid, getsid, kill_process,
    setrlimit, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::{Cause, Origin};
use signal_hook::low_level::{emulate_default_handler, signal_name};

use super::child::reap;
use crate::inherited::Inherited;

/// Those that are passed on.
const FORWARDED: [i32; 9] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT,
];

/// Catches signals, from its creation to the end of the process.
pub struct Signals {
    target: Arc<Target>,
    /// Said once: the command runs. Signals that came before wait for it.
    started: Sender<()>,
}

impl Signals {
    pub fn catch(child: Pid) -> io::Result<Self> {
        let inherited = Inherited::get();
        // What our caller ignores (`nohup`, a shell's background job) the command ignores too, as without us.
        let caught = FORWARDED.into_iter().filter(|number| !inherited.ignores(*number));
        let mut caught = SignalsInfo::<WithOrigin>::new(caught)?;
        if inherited.ignores(SIGCHLD) {
            // The kernel would tell nobody how the command ended. It has inherited what we change here for ourselves.
            signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
        }
        let target = Arc::new(Target(Mutex::new(Some(child))));
        let (started, is_started) = channel();
        let forwarder = Arc::clone(&target);
        thread::Builder::new().spawn(move || {
            if is_started.recv().is_ok() {
                caught.forever().for_each(|signal| forwarder.forward(&signal));
            }
        })?;
        Ok(Self { target, started })
    }

    /// Passes signals on to the child until it has exited, and stops with it whenever it stops, so that a shell's job
    /// control sees of us what it would see of the child.
    pub fn forward_until_exit(self, child: Pid) -> io::Result<ExitStatus> {
        let _ = self.started.send(());
        if process::id() == 1 {
            return wait_as_process_one(child);
        }
        // Left to be reaped: until then its id is nobody else's.
        let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        let change = || retry_on_intr(|| waitid(WaitId::Pid(child), options)).ok().flatten();
        while change().is_some_and(|change| change.stopped()) {
            let _ = waitid(WaitId::Pid(child), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG); // seen: not told again
            if is_a_shells_job() {
                let _ = emulate_default_handler(SIGTSTP); // returns when we are continued
            }
        }
        *self.target.lock() = None;
        reap(child)
    }
}

/// The child, while it can be sent a signal.
struct Target(Mutex<Option<Pid>>);

impl Target {
    fn forward(&self, signal: &Origin) {
        let target = self.lock();
        let (Some(child), Some(named)) = (*target, Signal::from_named_raw(signal.signal)) else {
            return;
        };
        if !has_it_already(child, signal) {
            let _ = kill_process(child, named); // fails where the command has become another user
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the child got this signal as we did, and would get it twice.
fn has_it_already(child: Pid, signal: &Origin) -> bool {
    let sender = signal.process.as_ref().map(|process| process.pid);
    match signal.cause {
        // A terminal's keys, size and hangup: the kernel tells the whole process group.
        Cause::Kernel => getpgid(Some(child)).is_ok_and(|group| group == getpgrp()),
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

/// Whether a shell may be watching us as a job: our parent is of the same session. The first process of a session, of a
/// service or of a container would stop for good, since nobody knows that it has to be continued.
fn is_a_shells_job() -> bool {
    let session = getsid(None);
    let is_leader = session.is_ok_and(|session| session.as_raw_nonzero().get().unsigned_abs() == process::id());
    !is_leader && getppid().is_some_and(|parent| getsid(Some(parent)) == session)
}

/// As [`Signals::forward_until_exit`]. Orphans become children of process 1, which is to reap them.
fn wait_as_process_one(child: Pid) -> io::Result<ExitStatus> {
    use std::os::unix::process::ExitStatusExt as _;

    loop {
        match retry_on_intr(|| rustix::process::wait(WaitOptions::empty()))? {
            Some((pid, status)) if pid == child => return Ok(ExitStatus::from_raw(status.as_raw())),
            _ => {}
        }
    }
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
    code
}

/// `SIGTERM`, or `signal 40` where there is no name.
pub fn name(number: i32) -> Cow<'static, str> {
    signal_name(number).map_or_else(|| format!("signal {number}").into(), Cow::Borrowed)
}
