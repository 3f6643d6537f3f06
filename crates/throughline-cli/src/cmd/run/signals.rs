//! Signals on their way through us: those for the command are passed on, the one that killed it is died of.

use std::borrow::Cow;
use std::io;
use std::process::Child;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{fs, thread};

use rustix::io::retry_on_intr;
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, getpgrp, kill_process, setrlimit, waitid};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::low_level::{emulate_default_handler, signal_name};

/// Those that are passed on.
const FORWARDED: [i32; 9] = [
    SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGTSTP, SIGCONT,
];
/// Those that a terminal sends to all of its foreground process group, so to the command as well as to us.
const FROM_TERMINAL: [i32; 4] = [SIGINT, SIGQUIT, SIGTSTP, SIGWINCH];

/// Catches signals, from its creation to the end of the process.
pub struct Signals {
    target: Arc<Target>,
    /// Said once: the child is there. Signals that came before wait for it.
    started: Sender<()>,
}

impl Signals {
    pub fn catch() -> io::Result<Self> {
        // What our caller ignores (`nohup`, a shell's background job) the command ignores too, as without us; a handler
        // of ours would undo that.
        let ignored = ignored();
        let caught = FORWARDED
            .into_iter()
            .filter(|number| ignored & (1 << (number - 1)) == 0);
        let mut caught = signal_hook::iterator::Signals::new(caught)?;
        let target = Arc::new(Target(Mutex::new(None)));
        let (started, child) = channel();
        let forwarder = Arc::clone(&target);
        thread::Builder::new().spawn(move || {
            if child.recv().is_ok() {
                caught.forever().for_each(|number| forwarder.forward(number));
            }
        })?;
        Ok(Self { target, started })
    }

    /// Passes signals on to the child until it has exited, and stops with it whenever it stops, so that a shell's job
    /// control sees of us what it would see of the child. The child is left to be reaped: until then its id is nobody
    /// else's.
    pub fn forward_until_exit(self, child: &Child) {
        let pid = Pid::from_child(child);
        *self.target.lock() = Some(pid);
        let _ = self.started.send(());
        let change = || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
            retry_on_intr(|| waitid(WaitId::Pid(pid), options)).ok().flatten()
        };
        while change().is_some_and(|change| change.stopped()) {
            let _ = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOHANG); // seen: not told again
            let _ = emulate_default_handler(SIGTSTP); // returns when we are continued
        }
        *self.target.lock() = None;
    }
}

/// The child, while it can be sent a signal.
struct Target(Mutex<Option<Pid>>);

impl Target {
    fn forward(&self, number: i32) {
        let is_known_there = FROM_TERMINAL.contains(&number) && is_in_foreground();
        if let (Some(pid), Some(signal), false) = (*self.lock(), Signal::from_named_raw(number), is_known_there) {
            let _ = kill_process(pid, signal); // fails where the command has become another user
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends this process by a signal, so that whoever waits for it sees what he would have seen of the command. Returns the
/// exit code that stands for it in a shell, for signals that cannot be died of.
pub fn die_by(number: i32) -> u8 {
    // The command has left a core file if one was wanted; ours would say nothing.
    let no_core = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, no_core);
    let _ = emulate_default_handler(number);
    u8::try_from(128 + number).unwrap_or(u8::MAX)
}

/// `SIGTERM`, or `signal 40` where there is no name.
pub fn name(number: i32) -> Cow<'static, str> {
    signal_name(number).map_or_else(|| format!("signal {number}").into(), Cow::Borrowed)
}

/// Whether we share the foreground process group of the terminal that is our stdin.
fn is_in_foreground() -> bool {
    rustix::termios::tcgetpgrp(rustix::stdio::stdin()).is_ok_and(|group| group == getpgrp())
}

/// The ignored signals of this process: bit n-1 for signal n (proc(5), `SigIgn`). None where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
