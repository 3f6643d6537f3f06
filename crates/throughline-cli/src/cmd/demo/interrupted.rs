//! The job's files go with the demo, also when a signal ends it; its other processes end when their parent is gone.

use std::io;
use std::path::PathBuf;

/// Removes the files when a signal comes, and ends as it would have ended without.
#[cfg(unix)]
pub fn remove_when_interrupted(work: PathBuf) -> io::Result<()> {
    use std::{fs, thread};

    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().spawn(move || {
        for number in signals.forever() {
            // Under another name, so that nobody puts a new file there meanwhile.
            let gone = work.with_extension("gone");
            let _ = fs::rename(&work, &gone).and_then(|()| fs::remove_dir_all(&gone));
            let _ = emulate_default_handler(number);
        }
    })?;
    Ok(())
}

/// Nothing: there are no signals, and Ctrl-C leaves the files in the directory for temporary ones.
#[cfg(not(unix))]
pub fn remove_when_interrupted(_work: PathBuf) -> io::Result<()> {
    Ok(())
}
