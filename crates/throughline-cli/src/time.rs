//! Times and durations for people.

/// Nanoseconds in at most 9 columns: `987 ns`, `1.23 ms`, `45.6 s`, `2 m 03 s`, `1 h 02 m`, `5 d`.
pub fn duration(nanos: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    let (unit, name) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (1e3, "µs"),
        1_000_000..SECOND => (1e6, "ms"),
        _ => (1e9, "s"),
    };
    let seconds = nanos / SECOND;
    if seconds >= 100 * 3600 {
        return format!("{} d", seconds / 86_400);
    }
    if seconds >= 3600 {
        return format!("{} h {:02} m", seconds / 3600, seconds % 3600 / 60);
    }
    if seconds >= 60 {
        return format!("{} m {:02} s", seconds / 60, seconds % 60);
    }
    let value = nanos as f64 / unit;
    // Which rounding would lift from 9.995 to 10.00 must be decided before the digits are chosen.
    let decimals = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {name}")
}

/// A point in time as `2026-11-21 04:03:48 UTC`; nanoseconds since 1970. Nothing for 0, which stands for "not said".
pub fn moment(unix_nano: u64) -> String {
    if unix_nano == 0 {
        return String::new();
    }
    let seconds = unix_nano / 1_000_000_000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest % 3600 / 60, rest % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The Gregorian date so many days after 1970-01-01, counted in years that begin in March, so that a leap day is the last.
fn date(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_MARCH_0000: u64 = 719_468;
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_TO_MARCH_0000;
    let era = days / DAYS_IN_400_YEARS;
    let day_of_era = days % DAYS_IN_400_YEARS;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_996, "10.0 µs"),
            (1_234_567, "1.23 ms"),
            (99_960_000, "100 ms"),
            (1_500_000_000, "1.50 s"),
            (59_940_000_000, "59.9 s"),
            (123_000_000_000, "2 m 03 s"),
            (3_720_000_000_000, "1 h 02 m"),
            (359_999_000_000_000, "99 h 59 m"),
            (360_000_000_000_000, "4 d"),
            (u64::MAX, "213503 d"),
        ] {
            assert_eq!(duration(nanos), text);
        }
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, text) in [
            (1, "1970-01-01 00:00:01 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (4_107_542_400, "2100-03-01 00:00:00 UTC"),
            (1_795_233_828, "2026-11-21 04:03:48 UTC"),
        ] {
            assert_eq!(moment(seconds * 1_000_000_000), text);
        }
        assert_eq!(moment(0), "");
        assert!(moment(u64::MAX).starts_with("2554-"));
    }
}
