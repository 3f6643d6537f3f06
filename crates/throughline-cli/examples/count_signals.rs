//! Counts the signals that reach it: started by tests.
//!
//! Says `ready`, then one line per signal as it comes (`INT 1`), and ends with exit code 7 on SIGTERM.

use std::io::{self, Write as _};
use std::process::exit;

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH};
use signal_hook::iterator::Signals;
use signal_hook::low_level::signal_name;

fn main() -> io::Result<()> {
    let mut signals = Signals::new([SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGWINCH])?;
    let mut counts = [0_u32; 32];
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    for number in signals.forever() {
        let count = &mut counts[number as usize];
        *count += 1;
        writeln!(out, "{} {count}", signal_name(number).unwrap_or("other"))?;
        if number == SIGTERM {
            exit(7);
        }
    }
    Ok(())
}
