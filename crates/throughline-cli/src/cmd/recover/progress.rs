//! How far delivery has come: a line on stderr that is written over and over, where that is a terminal.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::time::Duration;

use super::spans;
use crate::time::duration;

/// What is shown while spans are delivered. Dropping it removes the line.
pub struct Progress {
    /// How many there were to deliver.
    total: u64,
    is_shown: bool,
}

impl Progress {
    pub fn of(total: u64) -> Self {
        Self {
            total,
            is_shown: stderr().is_terminal(),
        }
    }

    /// So many are left after that time.
    pub fn show(&self, left: u64, elapsed: Duration) {
        if self.is_shown {
            let line = line(self.total, left, elapsed);
            let _ = stderr().write_all(format!("\r{line}\x1b[K").as_bytes());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = stderr().write_all(b"\r\x1b[K");
        }
    }
}

/// `1500 of 6000 spans delivered, 300 per second, about 15.0 s left`
fn line(total: u64, left: u64, elapsed: Duration) -> String {
    let delivered = total.saturating_sub(left);
    let mut line = format!("{delivered} of {} delivered", spans(total));
    let rate = delivered as f64 / elapsed.as_secs_f64();
    if delivered > 0 && rate.is_finite() {
        line.push_str(&format!(", {rate:.0} per second"));
        if left > 0 {
            let nanos = left as f64 / rate * 1e9;
            line.push_str(&format!(", about {} left", duration(nanos as u64)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_tells_spans_rate_and_time_left() {
        for (total, left, seconds, shown) in [
            (1, 1, 2, "0 of 1 span delivered"),
            (
                6000,
                4500,
                5,
                "1500 of 6000 spans delivered, 300 per second, about 15.0 s left",
            ),
            (6000, 0, 20, "6000 of 6000 spans delivered, 300 per second"),
            (2, 1, 0, "1 of 2 spans delivered"),
        ] {
            assert_eq!(line(total, left, Duration::from_secs(seconds)), shown);
        }
    }
}
