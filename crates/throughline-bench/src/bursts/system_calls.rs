//! System calls of the calling thread, counted by strace in a run of their own.
//!
//! The thread that makes spans asks for two files that do not exist, one before and one after: what it calls between
//! these markers counts, except for its rests. Under strace all threads are slowed down, so that the library's own threads
//! get less done between two bursts than they otherwise would.

use std::ffi::OsStr;
use std::fs;
use std::io;

use super::LIMIT;
use super::situation::Case;
use crate::{beside_the_program, process};

/// Where the counted part of a run begins and ends.
#[derive(Clone, Copy, Debug)]
pub enum Marker {
    /// What follows counts.
    Begin,
    /// What follows does not.
    End,
}

impl Marker {
    fn path(self) -> &'static str {
        match self {
            Self::Begin => "/throughline-bench/begin",
            Self::End => "/throughline-bench/end",
        }
    }
}

/// Makes the system call that strace's log knows the marker by.
pub fn mark(marker: Marker) {
    // Nobody has such a file, and nobody minds if somebody has.
    let _ = fs::metadata(marker.path());
}

/// Counts by running this program again under strace.
#[derive(Debug)]
pub struct Counter {
    off: bool,
    complaint: Option<String>,
}

impl Counter {
    /// A counter; one that is off counts nothing.
    #[must_use]
    pub fn new(off: bool) -> Self {
        Self { off, complaint: None }
    }

    /// System calls of the calling thread per 1,000 spans of the case.
    ///
    /// The first failure is kept as [`complaint`](Self::complaint) and ends the counting.
    ///
    /// # Errors
    ///
    /// If there is no room for strace's log.
    pub fn per_thousand(&mut self, case: &Case) -> io::Result<Option<f64>> {
        if self.off {
            return Ok(None);
        }
        let home = tempfile::tempdir_in(beside_the_program()?)?;
        let log = home.path().join("strace.log");
        let count = || {
            let strace = ["strace", "-f", "-qq", "-o"].map(OsStr::new);
            let wrapper = [&strace[..], &[log.as_os_str()]].concat();
            process::answer_within(LIMIT, process::again(&wrapper)?.args(["--callee", &case.name()]))?;
            let log = fs::read_to_string(&log)?;
            calls_between_markers(&log).ok_or_else(|| io::Error::other("the markers are missing in strace's log"))
        };
        match count() {
            Ok(calls) => Ok(Some(calls as f64 * 1000.0 / case.situation.spans() as f64)),
            Err(error) => {
                self.complaint = Some(format!("system calls: n/a, since strace cannot count them: {error}"));
                self.off = true;
                Ok(None)
            }
        }
    }

    /// Why system calls were not counted, if they should have been.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.complaint.clone()
    }
}

/// Counts the system calls between the markers of the thread that set them, leaving out its rests.
///
/// Each line begins with the thread's id. A call that others interrupt has two lines, `<unfinished ...>` and
/// `<... resumed>`; it counts by its first. Signals (`---`) and ends of threads (`+++`) are no calls.
fn calls_between_markers(log: &str) -> Option<usize> {
    let mut lines = log.lines().filter_map(|line| line.split_once(' '));
    let (caller, _) = lines.find(|(_, call)| call.contains(Marker::Begin.path()))?;
    let mut count = 0;
    for (_, call) in lines.filter(|(thread, _)| *thread == caller) {
        let call = call.trim_start();
        if call.contains(Marker::End.path()) {
            return Some(count);
        }
        let name = call.split('(').next().unwrap_or_default();
        let is_call = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_call && !RESTS.contains(&name) {
            count += 1;
        }
    }
    None
}

/// How the bench itself rests. A rest that a signal interrupts is taken up by the third.
const RESTS: [&str; 3] = ["nanosleep", "clock_nanosleep", "restart_syscall"];

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
7     execve(\"bursts\", [\"bursts\"], 0x7ffe /* 3 vars */) = 0
7     statx(AT_FDCWD, \"/throughline-bench/begin\", 0, 0, 0x7ffe) = -1 ENOENT (No such file or directory)
7     clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=5000000},  <unfinished ...>
8     fallocate(9, 0, 0, 16384)         = 0
7     <... clock_nanosleep resumed> NULL) = 0
7     fallocate(9, 0, 0, 16384 <unfinished ...>
8     statx(AT_FDCWD, \"/throughline-bench/end\", 0, 0, 0x7ffe) = -1 ENOENT (No such file or directory)
7     <... fallocate resumed>)          = 0
7     --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER} ---
7     mmap(NULL, 16384, PROT_READ|PROT_WRITE, MAP_SHARED, 9, 0) = 0x7f01
8     +++ exited with 0 +++
77    write(1, \"x\", 1)                 = 1
7     statx(AT_FDCWD, \"/throughline-bench/end\", 0, 0, 0x7ffe) = -1 ENOENT (No such file or directory)
7     munmap(0x7f01, 16384)             = 0
";

    #[test]
    fn calls_of_the_marking_thread_between_its_markers_count() {
        assert_eq!(calls_between_markers(LOG), Some(2));
    }

    #[test]
    fn log_without_both_markers_gives_no_count() {
        let (before_the_end, _) = LOG.rsplit_once("7     statx").expect("the marker is there");
        for log in ["", "7\n", before_the_end] {
            assert_eq!(calls_between_markers(log), None, "{log:?}");
        }
    }
}
