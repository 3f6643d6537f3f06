//! A target beside what was measured of it, for every bench of this crate.

use std::fmt;

use serde_json::{Value, json};

/// A target and what was measured of it.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is compared, in words.
    pub what: String,
    /// The limit, in the unit that [`what`](Self::what) names.
    pub limit: f64,
    /// The figure.
    pub measured: f64,
    /// Whether the limit is a lower one.
    pub at_least: bool,
}

impl Verdict {
    /// Whether the figure keeps to the limit.
    #[must_use]
    pub fn met(&self) -> bool {
        if self.at_least {
            self.measured >= self.limit
        } else {
            self.measured <= self.limit
        }
    }

    /// The verdict as a JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "what": self.what,
            "limit": self.limit,
            "limit_is_lower": self.at_least,
            "measured": self.measured,
            "met": self.met(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = if self.at_least { ">=" } else { "<=" };
        let limit = format!("{relation} {}", self.limit);
        let met = if self.met() { "met" } else { "NOT MET" };
        write!(f, "{:<62} {limit:>10} {:>10.2} {met}", self.what, self.measured)
    }
}

/// Writes the verdicts as a block below a table; nothing where there are none.
pub(crate) fn write_all(f: &mut fmt::Formatter<'_>, verdicts: &[Verdict]) -> fmt::Result {
    if !verdicts.is_empty() {
        writeln!(f, "\n{:<62} {:>10} {:>10}", "target", "limit", "measured")?;
    }
    verdicts.iter().try_for_each(|verdict| writeln!(f, "{verdict}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_says_limit_and_measured_and_whether_met() {
        let verdict = |measured, at_least| Verdict {
            what: "spans that arrive".to_owned(),
            limit: 10.0,
            measured,
            at_least,
        };
        let words = |verdict: Verdict| {
            verdict
                .to_string()
                .split_whitespace()
                .skip(3)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(words(verdict(9.5, false)), "<= 10 9.50 met");
        assert_eq!(words(verdict(9.5, true)), ">= 10 9.50 NOT MET");
        assert_eq!(words(verdict(10.0, true)), ">= 10 10.00 met");
    }
}
