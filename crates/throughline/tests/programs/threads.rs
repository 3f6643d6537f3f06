//! As many living threads as the argument says, each with one open span and a small stack; tells what that takes when
//! all are open, ends them all, and flushes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use throughline::span;

fn main() {
    let count: usize = std::env::args()
        .nth(1)
        .and_then(|count| count.parse().ok())
        .unwrap_or(1);
    let tracing = throughline::init("threads");
    let (all_open, measured) = (Arc::new(Barrier::new(count + 1)), Arc::new(Barrier::new(count + 1)));
    let threads: Vec<_> = (0..count)
        .map(|number| {
            let (all_open, measured) = (all_open.clone(), measured.clone());
            let run = move || {
                let span = span!("one of many", number = number).enter();
                all_open.wait();
                measured.wait();
                span.set("done", true);
            };
            thread::Builder::new()
                .stack_size(64 * 1024)
                .spawn(run)
                .expect("one more thread")
        })
        .collect();
    all_open.wait();
    let spool = throughline::default_spool_dir().map_or(0, |path| allocated(&path));
    let line = format!("{} {spool}", resident());
    measured.wait();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("it ends well"));
    tracing.flush(Duration::from_secs(30)).wait();
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Resident memory of this process, files mapped included, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

/// What the files below a directory take on the disk, in KiB.
fn allocated(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(file) if file.is_dir() => allocated(&entry.path()),
            Ok(file) => file.blocks() / 2,
            Err(_) => 0,
        })
        .sum()
}
