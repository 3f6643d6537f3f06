//! Instructions per span, counted by callgrind: the figure that noise cannot touch.
//!
//! The bench calls itself under valgrind with the name of a case, once for a few samples and once
//! for many; the difference, divided by the difference in spans, has no start-up in it. Counting
//! is on only inside the function `collected`, since some clock crates calibrate before `main` for a fixed
//! time, which is a varying number of instructions. Only the calling thread counts.
//!
//! Two things differ under valgrind: a read of the OS clock becomes a system call, whose inside is
//! not counted (so a case that reads it looks too cheap), and the processor's newest instructions
//! are missing, so that code which looks for them may take an older path.

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::allocations;
use crate::measure::{CHILDREN, Case, ROOTS};
use crate::options::Options;

/// Counts instructions by running this program again.
pub struct Counter {
    home: PathBuf,
    few: u32,
    many: u32,
    off: bool,
    complaint: Option<String>,
}

impl Counter {
    /// A counter that keeps its files in `home`.
    #[must_use]
    pub fn new(options: &Options, home: &Path) -> Self {
        let (few, many) = if options.wishes.quick { (1, 3) } else { (2, 12) };
        Self {
            home: home.to_path_buf(),
            few,
            many,
            off: options.no_instructions,
            complaint: None,
        }
    }

    /// Instructions per span of the case of that name.
    ///
    /// The first failure is kept as [`complaint`](Self::complaint) and ends the counting.
    pub fn per_span(&mut self, name: &str) -> Option<f64> {
        if self.off {
            return None;
        }
        let difference = || io::Result::Ok((self.total(name, self.few)?, self.total(name, self.many)?));
        match difference() {
            Ok((few, many)) => {
                let spans = (self.many - self.few) * ROOTS * CHILDREN;
                // Exact: no count comes near 2^52.
                Some(many.saturating_sub(few) as f64 / f64::from(spans))
            }
            Err(error) => {
                self.complaint = Some(format!("instructions not counted: {error}"));
                self.off = true;
                None
            }
        }
    }

    /// Why instructions were not counted, if they should have been.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        self.complaint.clone()
    }

    /// Instructions of `samples` samples, with what callgrind adds to every run.
    fn total(&self, name: &str, samples: u32) -> io::Result<u64> {
        let out = self.home.join("callgrind.out");
        let run = Command::new("valgrind")
            .args([
                "--tool=callgrind",
                "--separate-threads=yes",
                "--toggle-collect=*collected*",
            ])
            .arg(format!("--callgrind-out-file={}", out.display()))
            .arg(std::env::current_exe()?)
            .args(["--callee", name, "--samples", &samples.to_string()])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run valgrind: {error}")))?;
        if !run.status.success() {
            let said = String::from_utf8_lossy(&run.stderr);
            let last = said.lines().last().unwrap_or_default();
            return Err(io::Error::other(format!(
                "{name} under valgrind: {}: {last}",
                run.status
            )));
        }
        let first_thread = fs::read_to_string(out.with_extension("out-01"))?;
        total_of(&first_thread).ok_or_else(|| io::Error::other("callgrind wrote no totals"))
    }
}

/// Runs a case the way [`Counter`] wants it to, in the process that callgrind watches.
pub fn be_counted(case: &mut Case, samples: u32) {
    allocations::uncounted(|| {
        case.sample();
        case.drain();
        for _ in 0..samples {
            collected(case);
            case.drain();
        }
    });
}

/// Callgrind counts while this function runs; it is known by its name.
#[inline(never)]
fn collected(case: &mut Case) {
    black_box(case.sample());
}

fn total_of(report: &str) -> Option<u64> {
    let total = report.lines().rev().find_map(|line| line.strip_prefix("totals: "))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_totals_of_a_report_count() {
        let cases = [
            ("events: Ir\ntotals: 12\n0 3\ntotals: 345\n", Some(345)),
            ("events: Ir\nsummary: 12\n", None),
            ("totals: many\n", None),
            ("", None),
        ];
        for (report, total) in cases {
            assert_eq!(total_of(report), total, "{report:?}");
        }
    }
}
