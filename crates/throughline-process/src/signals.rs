//! Signals that end a command line.

use std::sync::{Arc, Weak, mpsc};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::command_line::State;
use crate::ended::{signal_name, write_signal};

/// Waits, on a thread of its own, for a signal that is to end the process, and ends the spans before.
///
/// Where the system gives no thread, signals stay as they are.
pub(crate) fn end_on_signals(state: &Arc<State>) {
    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|number| ignored & (1 << (number - 1)) == 0);
    let state: Weak<State> = Arc::downgrade(state);
    // First the thread: a signal that was asked for keeps its handler, and would be lost where nobody waits.
    let (ask, asked) = mpsc::channel::<Signals>();
    let started = thread::Builder::new()
        .name("throughline-signals".into())
        .spawn(move || {
            let Ok(mut signals) = asked.recv() else { return };
            if let Some(number) = signals.forever().next() {
                if let Some(state) = state.upgrade() {
                    state.end(|span| write_signal(span, &signal_name(number)));
                    state.flush();
                }
                // The process was told to end, and ends by that signal.
                let _ = emulate_default_handler(number);
            }
        });
    if started.is_ok() {
        if let Ok(signals) = Signals::new(wanted) {
            let _taken = ask.send(signals);
        }
    }
}

/// Bit n-1 for each signal n that is ignored; none where the system does not tell (proc(5), `SigIgn`).
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    field
        .and_then(|value| u64::from_str_radix(value.trim(), 16).ok())
        .unwrap_or(0)
}
