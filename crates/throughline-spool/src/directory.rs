//! The directories of the spool: how they are made, whose they are, and whether their process lives.
//!
//! ```text
//! <root>/                        0700, of one user
//!   key                          32 random bytes: what identities of destinations are keyed with
//!   ledger                       what became of the records of dead processes
//!   archive/                     the segments of dead processes
//!   rejected/                    payloads that a backend refused for good
//!   quarantine/                  what could not be read of directories that were removed
//!   <time>-<pid>-<16 hex digits>/  one process
//!     manifest                   who the process is and where its spans go
//!     lock                       held (flock) by the process while it lives
//!     ledger                     what was dropped and delivered, by reason and destination
//!     segments-0000 …            segments of records
//!     open-0000 …                slots of open spans
//! ```
//!
//! A process directory is made under a name that begins with a dot, locked, filled and then renamed, so that nobody ever
//! sees one half made.

pub(crate) mod kept;
pub(crate) mod liveness;
mod process;
mod rejected;
mod root;

pub use liveness::Life;
pub(crate) use process::Owned;
pub use process::ProcessDir;
pub use rejected::Rejected;
pub use root::Root;

pub(crate) const MANIFEST: &str = "manifest";
const LOCK: &str = "lock";
/// The files of open spans.
pub(crate) const SLOTS: &str = "open-";
/// What the name of a directory begins with that is being removed.
pub(crate) const GONE: &str = ".gone-";
/// The archive's directory in a root.
pub(crate) const ARCHIVE: &str = "archive";
/// What the name of a directory begins with that is being made.
pub(crate) const NEW: &str = ".new-";
/// No file of a process directory is longer, in bytes; what lies behind is not read.
pub(crate) const LONGEST_FILE: u64 = 64 << 20;

pub(crate) fn slots_name(number: usize) -> String {
    format!("{SLOTS}{number:04}")
}

/// A moment as names have it: `20261121T095930.123Z`, in UTC, so that names sort by time.
pub(crate) fn time_name(unix_nano: u64) -> String {
    let millis = unix_nano / 1_000_000;
    let (days, millis) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, millis) = (millis / 1000, millis % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}{month:02}{day:02}T{hours:02}{minutes:02}{seconds:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar.
///
/// Years are counted from March, so that the leap day is the last of one, in eras of 400 years, all of one length.
fn civil(days: u64) -> (u64, u64, u64) {
    // From 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

/// Whether a name is `<time>-<pid>-<16 hex digits>`.
pub(crate) fn is_process_name(name: &str) -> bool {
    let mut parts = name.split('-');
    let (Some(time), Some(pid), Some(random), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let shape = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    time.bytes().map(shape).eq(*b"00000000T000000.000Z")
        && !pid.is_empty()
        && pid.bytes().all(|b| b.is_ascii_digit())
        && random.len() == 16
        && random.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_names_are_dates_in_utc() {
        for (seconds, expected) in [
            (0, "19700101T000000.000Z"),
            (951_782_400, "20000229T000000.000Z"),
            (951_868_799, "20000229T235959.000Z"),
            (1_709_164_800, "20240229T000000.000Z"),
            (1_735_689_599, "20241231T235959.000Z"),
            (4_107_542_400, "21000301T000000.000Z"),
        ] {
            assert_eq!(time_name(seconds * 1_000_000_000), expected);
        }
        assert_eq!(time_name(1_763_719_170_123_456_789), "20251121T095930.123Z");
    }

    #[test]
    fn only_names_of_processes_are_taken_for_processes() {
        for (name, expected) in [
            ("20261121T095930.123Z-1-0123456789abcdef", true),
            (".new-20261121T095930.123Z-1-0123456789abcdef", false),
            ("rejected", false),
            ("1-0123456789abcdef", false),
            ("20261121T095930.123Z-1-0123456789abcde", false),
            ("20261121T095930.123Z--0123456789abcdef", false),
            ("20261121T095930.123Z-1-0123456789abcdef.tmp", false),
            ("20261121T095930.123Z-1-0123456789abcdef-1", false),
        ] {
            assert_eq!(is_process_name(name), expected, "{name}");
        }
    }
}
