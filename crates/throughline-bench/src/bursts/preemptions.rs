//! How often the calling thread had to leave the processor to others: what a slowest span may have to do with it.

use std::fs;
use std::io;

/// How often it has happened so far.
///
/// # Errors
///
/// Where there is no `/proc` as Linux has it.
pub fn of_this_thread() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/thread-self/status")?;
    preemptions_in(&status).ok_or_else(|| io::Error::other("/proc/thread-self/status has no context switches"))
}

fn preemptions_in(status: &str) -> Option<u64> {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_nonvoluntary_switches_are_preemptions() {
        let status = "Name:\tbursts\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t12\n";
        assert_eq!(preemptions_in(status), Some(12));
        assert_eq!(preemptions_in("Name:\tbursts\n"), None);
    }

    #[test]
    fn preemptions_of_this_thread_are_known() {
        assert!(of_this_thread().is_ok());
    }
}
