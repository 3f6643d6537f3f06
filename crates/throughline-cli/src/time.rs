//! Times and durations for people.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The option of commands that show times.
#[derive(clap::Args)]
pub struct ZoneOption {
    /// Show times in UTC instead of the local time zone
    #[arg(long)]
    utc: bool,
}

impl ZoneOption {
    pub fn zone(&self) -> Zone {
        Zone::new(self.utc)
    }
}

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

/// In which zone moments are shown.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// The system's (`TZ`, `/etc/localtime`), or UTC.
    pub fn new(is_utc: bool) -> Self {
        Self(if is_utc { TimeZone::UTC } else { TimeZone::system() })
    }

    /// A point in time as `2026-11-21 04:03:48`; nanoseconds since 1970. Nothing for 0, which stands for "not said".
    pub fn moment(&self, unix_nano: u64) -> String {
        self.format(unix_nano, "%Y-%m-%d %H:%M:%S")
    }

    /// The same without the year, if that is the present one: `11-21 04:03:48`.
    pub fn short_moment(&self, unix_nano: u64) -> String {
        let moment = self.moment(unix_nano);
        let this_year = Timestamp::now().to_zoned(self.0.clone()).strftime("%Y-").to_string();
        moment.strip_prefix(&this_year).map(str::to_owned).unwrap_or(moment)
    }

    /// The time of day with milliseconds: `04:03:48.123`.
    pub fn clock(&self, unix_nano: u64) -> String {
        self.format(unix_nano, "%H:%M:%S%.3f")
    }

    /// A point in time with its zone: `2026-11-21 04:03:48 UTC`, `2026-11-21 05:03:48 +01:00`.
    pub fn moment_with_zone(&self, unix_nano: u64) -> String {
        let text = self.format(unix_nano, "%Y-%m-%d %H:%M:%S %:z");
        text.strip_suffix("+00:00")
            .map(|text| format!("{text}UTC"))
            .unwrap_or(text)
    }

    /// What to put behind the heading of a column of moments.
    pub fn heading_suffix(&self) -> &'static str {
        if self.0 == TimeZone::UTC { " (UTC)" } else { "" }
    }

    fn format(&self, unix_nano: u64, format: &str) -> String {
        match Timestamp::from_nanosecond(unix_nano.into()) {
            Ok(time) if unix_nano > 0 => time.to_zoned(self.0.clone()).strftime(format).to_string(),
            _ => String::new(),
        }
    }
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
    fn moments_are_shown_in_their_zone() {
        let utc = Zone::new(true);
        let vienna = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        for (seconds, in_utc, in_vienna) in [
            (1, "1970-01-01 00:00:01 UTC", "1970-01-01 01:00:01 +01:00"),
            (951_868_799, "2000-02-29 23:59:59 UTC", "2000-03-01 00:59:59 +01:00"),
            (1_782_000_000, "2026-06-21 00:00:00 UTC", "2026-06-21 02:00:00 +02:00"),
            (1_795_233_828, "2026-11-21 04:03:48 UTC", "2026-11-21 05:03:48 +01:00"),
        ] {
            let nanos = seconds * 1_000_000_000;
            assert_eq!(utc.moment_with_zone(nanos), in_utc);
            assert_eq!(vienna.moment_with_zone(nanos), in_vienna);
            assert_eq!(vienna.moment(nanos), in_vienna[..19]);
        }
        assert_eq!((utc.moment(0), utc.moment_with_zone(0)), (String::new(), String::new()));
        assert!(utc.moment(u64::MAX).starts_with("2554-"));
    }
}
