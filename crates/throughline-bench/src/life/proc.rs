//! What the system knows of this process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;

use rustix::time::{ClockId, clock_gettime};

/// Processor time of all threads of this process so far, user and system, those included that have ended.
#[must_use]
pub fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The most memory that this process has had resident, mapped files included.
///
/// # Errors
///
/// Where there is no `/proc` as Linux has it.
pub fn peak_resident_mib() -> io::Result<f64> {
    let kib = number_after("VmHWM:", &fs::read_to_string("/proc/self/status")?)?;
    Ok(kib as f64 / 1024.0)
}

/// How many threads of this process have a name that begins so, as far as the system keeps names (15 bytes).
///
/// # Errors
///
/// Where there is no `/proc` as Linux has it.
pub fn threads_named(prefix: &str) -> io::Result<usize> {
    let names = of_each_thread(|thread| fs::read_to_string(thread.join("comm")))?;
    Ok(names.values().filter(|name| name.starts_with(prefix)).count())
}

/// How often each thread of this process but the calling one has given up the processor: it woke up as often.
///
/// # Errors
///
/// Where there is no `/proc` as Linux has it.
pub fn wake_ups() -> io::Result<BTreeMap<OsString, u64>> {
    let mut counts = of_each_thread(|thread| {
        let status = fs::read_to_string(thread.join("status"))?;
        number_after("voluntary_ctxt_switches:", &status)
    })?;
    if let Some(own) = fs::read_link("/proc/thread-self")?.file_name() {
        counts.remove(own);
    }
    Ok(counts)
}

/// The wake-ups of all threads that there are in the end, since the beginning or their own start.
#[must_use]
pub fn wake_ups_between(before: &BTreeMap<OsString, u64>, after: &BTreeMap<OsString, u64>) -> u64 {
    let since =
        |(thread, count): (&OsString, &u64)| count.saturating_sub(before.get(thread).copied().unwrap_or_default());
    after.iter().map(since).sum()
}

/// What is read of each thread, by its id. A thread that ends meanwhile is left out.
fn of_each_thread<T>(read: impl Fn(&Path) -> io::Result<T>) -> io::Result<BTreeMap<OsString, T>> {
    let mut found = BTreeMap::new();
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?;
        if let Ok(value) = read(&thread.path()) {
            found.insert(thread.file_name(), value);
        }
    }
    Ok(found)
}

/// The number in the line of a status that begins so.
fn number_after(label: &str, status: &str) -> io::Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(label));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no number {label} in a status")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_of_a_status_is_that_of_the_line_that_begins_so() {
        let status = "VmHWM:\t    2048 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t12\n";
        assert_eq!(number_after("VmHWM:", status).expect("it is there"), 2048);
        assert_eq!(
            number_after("voluntary_ctxt_switches:", status).expect("it is there"),
            7
        );
        assert!(number_after("VmRSS:", status).is_err());
        assert!(number_after("VmHWM:", "VmHWM:\tmuch\n").is_err());
    }

    #[test]
    fn wake_ups_of_a_thread_begin_with_itself() {
        let counts = |counts: &[(&str, u64)]| {
            counts
                .iter()
                .map(|(thread, count)| ((*thread).into(), *count))
                .collect()
        };
        let before = counts(&[("1", 5), ("2", 100)]);
        let after = counts(&[("1", 7), ("3", 4)]);
        assert_eq!(wake_ups_between(&before, &after), 6);
    }

    #[test]
    fn this_process_is_known() {
        assert!(cpu_seconds() > 0.0);
        assert!(peak_resident_mib().expect("this is Linux") > 0.1);
        let thread = std::thread::Builder::new().name("seen-by-name".to_owned());
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let thread = thread.spawn(move || receive.recv()).expect("threads can be started");
        // A thread names itself, which may take it a moment.
        while threads_named("seen-by-").expect("this is Linux") == 0 {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(!wake_ups().expect("this is Linux").is_empty());
        drop(send);
        let _ = thread.join();
    }
}
