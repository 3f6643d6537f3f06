//! Page faults of the calling thread.

use std::fs;
use std::io;

/// How many the calling thread has had so far, minor and major.
///
/// # Errors
///
/// Where there is no `/proc` as Linux has it.
pub fn of_this_thread() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/thread-self/stat")?;
    faults_in(&stat).ok_or_else(|| io::Error::other("/proc/thread-self/stat has no page faults"))
}

/// The sum of fields 10 (minor faults) and 12 (major faults). Field 2 is a name in parentheses, which may have spaces.
fn faults_in(stat: &str) -> Option<u64> {
    let (_, from_third) = stat.rsplit_once(") ")?;
    let field = |number: usize| from_third.split(' ').nth(number - 3)?.parse::<u64>().ok();
    Some(field(10)? + field(12)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    #[test]
    fn minor_and_major_faults_are_added_whatever_the_name() {
        for name in ["bursts", "a b) c", ") 1 2 3"] {
            let stat = format!("7 ({name}) R 1 7 7 0 -1 4194304 120 9 3 8 5 6\n");
            assert_eq!(faults_in(&stat), Some(123), "{name}");
        }
        assert_eq!(faults_in("7 (bursts) R 1 7"), None);
        assert_eq!(faults_in(""), None);
    }

    #[test]
    fn touching_new_memory_faults() {
        let before = of_this_thread().expect("this is Linux");
        black_box(vec![1_u8; 64 << 20]);
        assert!(of_this_thread().expect("this is Linux") > before);
    }
}
