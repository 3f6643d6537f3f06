//! The names of files: which one spans go to, and which ones are ours.

use std::time::{SystemTime, UNIX_EPOCH};

const EXTENSION: &str = ".jsonl";
/// Of a service's name.
const LONGEST_SERVICE: usize = 64;

/// `<service>-<pid>-<start>`, the start as `20261121T224237.123Z`: what the files of this process begin with.
pub(super) fn of_process(service: &str) -> String {
    let service: String = service
        .chars()
        .take(LONGEST_SERVICE)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' || c == '.' {
                c
            } else {
                '_'
            }
        })
        .collect();
    // Neither hidden nor, by its name, another directory.
    let service = match service.trim_start_matches('.') {
        "" => "unknown_service",
        named => named,
    };
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let millisecond = since.subsec_millis();
    format!(
        "{service}-{}-{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{millisecond:03}Z",
        std::process::id()
    )
}

/// Of a file that is made to find out whether one can be made, and removed at once.
pub(super) fn of_check() -> String {
    format!(".check-{}", std::process::id())
}

/// `2026-11-21` in UTC, of nanoseconds since 1970.
pub(super) fn day(unix_nanos: u64) -> String {
    let (year, month, day) = date(unix_nanos / 86_400_000_000_000);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The first file of that stem, or one behind it when that is full.
pub(super) fn numbered(stem: &str, number: u32) -> String {
    match number {
        0 => format!("{stem}{EXTENSION}"),
        number => format!("{stem}.{number}{EXTENSION}"),
    }
}

/// Whether a directory has the name of a day.
pub(super) fn is_day(name: &str) -> bool {
    has_form(name, "0000-00-00")
}

/// The id of the trace that a file of a day is of.
pub(super) fn trace_id(name: &str) -> Option<&str> {
    let stem = stem(name)?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (stem.len() == 32 && stem.bytes().all(is_hex)).then_some(stem)
}

/// Whether a file is one of a process.
pub(super) fn is_of_process(name: &str) -> bool {
    let Some((rest, start)) = stem(name).and_then(|stem| stem.rsplit_once('-')) else {
        return false;
    };
    let pid = rest.rsplit_once('-').map_or("", |(_, pid)| pid);
    let is_pid = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
    is_pid && has_form(start, "00000000T000000.000Z")
}

/// Without the extension and the number.
fn stem(name: &str) -> Option<&str> {
    let name = name.strip_suffix(EXTENSION)?;
    match name.rsplit_once('.') {
        Some((stem, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => Some(stem),
        _ => Some(name),
    }
}

/// Whether `text` is as `form`, in which 0 stands for any digit.
fn has_form(text: &str, form: &str) -> bool {
    let is_same = |(byte, form): (u8, u8)| {
        if form == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == form
        }
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(is_same)
}

/// Year, month and day of a number of days since 1970-01-01, by the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March, so that a leap day is the last one; 719,468 days from 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_based + 2) / 5 + 1;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn day_is_that_of_the_gregorian_calendar_in_utc() {
        const DAY: u64 = 86_400_000_000_000;
        for (nanos, expected) in [
            (0, "1970-01-01"),
            (DAY - 1, "1970-01-01"),
            (DAY, "1970-01-02"),
            (789 * DAY, "1972-02-29"),
            (11_016 * DAY, "2000-02-29"),
            (20_778 * DAY, "2026-11-21"),
            (u64::MAX, "2554-07-21"),
        ] {
            assert_eq!(day(nanos), expected);
        }
    }

    #[test]
    fn files_of_ours_are_known_by_their_names() {
        for service in [
            "orders",
            "a-b.1",
            "..",
            "unknown_service:app",
            "ünï/code",
            "",
            &"x".repeat(500),
        ] {
            let stem = of_process(service);
            assert!(
                !stem.starts_with('.') && !stem.contains('/') && stem.len() < 110,
                "{stem}"
            );
            for number in [0, 1, 17] {
                assert!(is_of_process(&numbered(&stem, number)), "{stem} {number}");
            }
        }
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(trace_id(&numbered(trace, 0)), Some(trace));
        assert_eq!(trace_id(&numbered(trace, 3)), Some(trace));
        assert!(is_day("2026-11-21"));
        for other in [
            "data.jsonl",
            "2026-11-2",
            "orders-1-2.jsonl",
            "x-20261121T224237.123Z.jsonl",
            "a.json",
            "",
        ] {
            assert!(
                !is_of_process(other) && trace_id(other).is_none() && !is_day(other),
                "{other}"
            );
        }
    }
}
